package postgres

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// copied is a copy that the test need not stop.
func copied(t *testing.T, s *Server) *Server {
	t.Helper()
	c, err := s.Copy(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestACopyIsWhatACrashWouldLeave(t *testing.T) {
	t.Parallel()
	s := begun(t)
	conn, open := connect(t, s), connect(t, s)
	run(t, conn, "CREATE TABLE kept (name text)", "INSERT INTO kept VALUES ('first')")
	run(t, open, "BEGIN", "INSERT INTO kept VALUES ('open')")
	c := copied(t, s)
	if got := names(t, c); got != "first" {
		t.Errorf("the copy has %q", got)
	}

	// Both run on, and neither knows of the other.
	run(t, connect(t, c), "INSERT INTO kept VALUES ('copy')")
	run(t, open, "COMMIT")
	run(t, conn, "INSERT INTO kept VALUES ('second')")
	if got := names(t, s); got != "first open second" {
		t.Errorf("the first server has %q", got)
	}
	if got := names(t, c); got != "copy first" {
		t.Errorf("the copy has %q", got)
	}

	// So does a copy of what has crashed, and a copy can crash as well.
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, copied(t, s)); got != "first open second" {
		t.Errorf("the copy of what has crashed has %q", got)
	}
	if err := c.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, c); got != "copy first" {
		t.Errorf("the copy has %q after its crash", got)
	}
}

func TestACopyUnderLoadHasAllThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	s := begun(t)
	run(t, connect(t, s), "CREATE TABLE counted (writer int, n int, PRIMARY KEY (writer, n))")
	const writers = 6
	var acknowledged [writers]atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan struct{})
	defer close(done)
	some := make(chan struct{}, writers)
	for w := range writers {
		conn := connect(t, s)
		wg.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if _, err := conn.Exec(t.Context(), "INSERT INTO counted VALUES ($1, $2)", w, n); err != nil {
					t.Error(err)
					return
				}
				acknowledged[w].Store(n)
				if n == 10 {
					some <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-some
	}
	for range 3 {
		var before [writers]int64
		for w := range writers {
			before[w] = acknowledged[w].Load()
		}
		conn := connect(t, copied(t, s))
		for w := range writers {
			of := fmt.Sprintf(" FROM counted WHERE writer = %d", w)
			last, err := strconv.ParseInt(value(t, conn, "SELECT max(n)::text"+of), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if last < before[w] {
				t.Errorf("writer %d was told of %d, and the copy has %d", w, before[w], last)
			}
			if count := value(t, conn, "SELECT count(*)::text"+of); count != strconv.FormatInt(last, 10) {
				t.Errorf("writer %d: %s rows up to %d", w, count, last)
			}
		}
	}
}
