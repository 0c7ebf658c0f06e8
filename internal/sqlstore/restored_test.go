package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
	"mayfly/tickets"
)

// eachDatabase runs a test on a database of each kind.
func eachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite://"+filepath.Join(t.TempDir(), "mayfly.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newSchema(t, testServer(t)).String())
	})
}

func openAny(t *testing.T, url string) *Store {
	t.Helper()
	st, err := Open(t.Context(), Config{URL: url, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// TestRestored: after a restore no ticket opens that may have been spent since the
// backup, whatever the clock says, no grant takes bytes, and all that was never opened
// is due. What was opened before the backup stays as long as it was to stay.
func TestRestored(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		st := openAny(t, url)
		const more = 2*restoreChunk + 3 // several chunks
		ts := storeMany(t, st, more)
		opened, half := ts[0], ts[1]
		extra := tickets.Ticket{ID: uuid.Must(uuid.NewV7()), BlobID: half.BlobID, Hash: hashOf(uuid.New()), Recipient: "bob", CreatedAt: benchStart}
		if _, err := st.AddTickets(t.Context(), "acme", half.BlobID, []tickets.Ticket{extra}, 10, benchStart); err != nil {
			t.Fatal(err)
		}
		for _, spent := range []tickets.Ticket{opened, half} {
			if won, err := st.Spend(t.Context(), spendFor(spent, hashOf(spent.ID))); err != nil || !won {
				t.Fatal(won, err)
			}
		}
		pending, pendingTickets := benchBlob()
		grant := hashOf(uuid.New())
		if err := st.Begin(t.Context(), pending, pendingTickets, grant); err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}

		now := benchStart.Add(time.Hour)
		blobs, err := Restored(t.Context(), Config{URL: url}, now)
		if err != nil || blobs != more+1 {
			t.Fatalf("%d blobs, %v", blobs, err)
		}
		st = openAny(t, url)
		for _, at := range []time.Time{now, now.Add(-12 * time.Hour)} {
			for _, ready := range append(ts[2:30], extra) {
				sp := spendFor(ready, hashOf(ready.ID))
				sp.Now = at
				if won, err := st.Spend(t.Context(), sp); err != nil || won {
					t.Fatalf("a ticket from before the restore opens: %v, %v", won, err)
				}
			}
			if err := st.BeginAttempt(t.Context(), pending.ID, benchKey(pending.ID), now.Add(time.Hour), at); !errors.Is(err, tickets.ErrTooLate) {
				t.Fatalf("a grant from before the restore takes bytes: %v", err)
			}
		}
		var due []expiry.Preview
		if due, err = st.Preview(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		count := map[string]int64{}
		for _, p := range due {
			count[p.Reason] = p.Blobs
		}
		if count["unopened"] != more-2 || count["not_uploaded"] != 1 || len(count) != 2 {
			t.Fatalf("due: %v", count)
		}
		for _, spent := range []tickets.Ticket{opened, half} {
			b, _, err := st.Blob(t.Context(), "acme", spent.BlobID, 1)
			if want := benchStart.Add(72 * time.Hour); err != nil || !b.PurgeAt.Equal(want) {
				t.Fatalf("what was opened is due at %v, want %v; %v", b.PurgeAt, want, err)
			}
		}
	})
}

// TestRestoredIsCutOff: a database that is void in part opens for nobody.
func TestRestoredIsCutOff(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		st := openAny(t, url)
		ts := storeMany(t, st, restoreChunk+1)
		must(t, st, func(c *conn) error { // as a process leaves it that is killed after its first chunk
			id := uuid.New()
			if _, err := c.exec(`INSERT INTO restores (id, began_at) VALUES ($1, $2)`, id[:], micros(benchStart)); err != nil {
				return err
			}
			_, _, err := makeVoid(c, uuid.UUID{}, benchStart)
			return err
		})
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		for _, migrate := range []bool{true, false} {
			if _, err := Open(t.Context(), Config{URL: url, Migrate: migrate}); !errors.Is(err, ErrRestoring) {
				t.Fatalf("%v, want %v", err, ErrRestoring)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Restored(cancelled, Config{URL: url}, benchStart); err == nil {
			t.Fatal("cancelled, and no error")
		}
		if blobs, err := Restored(t.Context(), Config{URL: url}, benchStart); err != nil || blobs != restoreChunk+1 {
			t.Fatal(blobs, err)
		}
		st = openAny(t, url)
		last := ts[restoreChunk]
		if won, err := st.Spend(t.Context(), spendFor(last, last.Hash)); err != nil || won {
			t.Fatal(won, err)
		}
	})
}

// TestSchemas: a program works with the schema that it knows, and with no other.
func TestSchemas(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		st := openAny(t, url)
		_, latest, err := st.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		change := func(query string, version int64) {
			must(t, st, func(c *conn) error {
				_, err := c.exec(query, version)
				return err
			})
		}
		refused := func(want error, cfg Config) {
			t.Helper()
			if _, err := Open(t.Context(), cfg); !errors.Is(err, want) {
				t.Fatalf("%v, want %v", err, want)
			}
			// What runs goes on: a new replica may migrate beside old ones.
			if err := st.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		change(`DELETE FROM goose_db_version WHERE version_id = $1`, latest)
		refused(ErrSchemaOld, Config{URL: url})
		for _, version := range []int64{latest, 999} {
			change(`INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, TRUE)`, version)
		}
		refused(ErrSchemaNew, Config{URL: url})
		refused(ErrSchemaNew, Config{URL: url, Migrate: true})
	})
}
