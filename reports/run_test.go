package reports_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"mayfly/reports"
	"mayfly/reports/envelope"
)

// TestRun: what is filed is copied at once, by the real stores and the real clock: a tick
// would come after a minute.
func TestRun(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, stop := context.WithCancel(t.Context())
	passes := make(chan reports.Copied, 100)
	var ended sync.WaitGroup
	ended.Go(func() {
		h.Run(ctx, func(c reports.Copied, err error) {
			if err != nil {
				t.Error(err)
			}
			passes <- c
		})
	})
	defer ended.Wait()
	defer stop()
	if c := <-passes; c.Copied != 0 {
		t.Errorf("the first pass: %+v", c)
	}
	for range 3 {
		r := h.files(h.sends(photo))
		for h.report(r.ID).State != reports.StateOpen {
			select {
			case <-passes:
			case <-time.After(30 * time.Second):
				t.Fatal("a report was filed, and nobody woke")
			}
		}
	}
}

// pendingCopies is the part of a reports.Store that Run uses when nothing is to be copied.
type pendingCopies struct {
	reports.Store
	mu     sync.Mutex
	passes []time.Time
	during func() // runs in the next pass
	err    error
}

func (p *pendingCopies) ClaimCopies(_ context.Context, now time.Time, _ time.Duration, _ int) ([]reports.Copy, error) {
	p.mu.Lock()
	p.passes = append(p.passes, now)
	during, err := p.during, p.err
	p.during = nil
	p.mu.Unlock()
	if during != nil {
		during()
	}
	return nil, err
}

// set says how the next passes go.
func (p *pendingCopies) set(during func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.during, p.err = during, err
}

func (p *pendingCopies) Reported(context.Context, uuid.UUID, reports.Hash) (string, reports.Reported, error) {
	return tenant, reports.Reported{}, nil
}

func (p *pendingCopies) File(context.Context, reports.Filing) (reports.Report, bool, error) {
	return reports.Report{State: reports.StateCopying}, false, nil
}

// TestRunLoop: a pass at the start, after each report, and each minute; no more.
func TestRunLoop(t *testing.T) {
	h := newHouse(t)
	request := h.complaint(h.sends(photo))
	to := []envelope.Recipient{h.identity.Recipient()}
	synctest.Test(t, func(t *testing.T) {
		store := new(pendingCopies)
		s := &reports.Service{
			Store: store, Terms: evidenceTerms,
			Recipients: func(context.Context) ([]envelope.Recipient, error) { return to, nil },
		}
		file := func() {
			if _, err := s.File(t.Context(), request); err != nil {
				t.Error(err)
			}
		}
		begin := time.Now()
		var want []time.Duration
		check := func(what string, after ...time.Duration) {
			t.Helper()
			synctest.Wait()
			want = append(want, after...)
			store.mu.Lock()
			defer store.mu.Unlock()
			if len(store.passes) != len(want) {
				t.Fatalf("%s: %d passes, want %d", what, len(store.passes), len(want))
			}
			for i, at := range store.passes {
				if at.Sub(begin) != want[i] {
					t.Errorf("%s: pass %d after %v, want %v", what, i+1, at.Sub(begin), want[i])
				}
			}
		}
		file() // before the loop runs: it looks at once anyway
		ctx, stop := context.WithCancel(t.Context())
		told := 0
		var last error
		var ended sync.WaitGroup
		ended.Go(func() { s.Run(ctx, func(_ reports.Copied, err error) { told++; last = err }) })
		check("at the start", 0, 0)
		time.Sleep(10 * time.Second)
		check("nothing to do")
		file()
		check("filed", 10*time.Second)
		store.set(func() { file(); file(); file() }, nil)
		file()
		check("filed during a pass", 10*time.Second, 10*time.Second)
		time.Sleep(50 * time.Second)
		check("a minute", time.Minute)
		store.set(nil, errRows)
		time.Sleep(time.Minute)
		check("two", 2*time.Minute)
		if _, ok := errors.AsType[*reports.StoreError](last); !ok {
			t.Errorf("a pass that failed was told as %v", last)
		}
		store.set(nil, nil)
		file()
		check("after a failure", 2*time.Minute)
		if told != len(want) {
			t.Errorf("%d passes were told, of %d", told, len(want))
		}
		stop()
		ended.Wait()
		file() // nobody listens, and nobody waits
		check("at the end")
	})
}
