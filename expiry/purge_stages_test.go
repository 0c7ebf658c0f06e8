package expiry_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// stubbornStore is a store that cannot remove its unfinished uploads.
type stubbornStore struct{ blobstore.Store }

func (stubbornStore) Unfinished(context.Context, blobstore.Key) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) { yield(blobstore.Info{}, errFault) }
}

// forgetful is a queue that cannot write tombstones.
type forgetful struct {
	expiry.Queue
	fail func() error
}

func (q forgetful) Erase(context.Context, []expiry.Due, time.Time) error { return q.fail() }

// What failed is told by the stage that it failed at. The deletion and the look whether
// it is true: TestPurgePutsOffWhatCannotBeDeleted and TestPurgeVerifies.
func TestPurgeTellsTheStage(t *testing.T) {
	t.Parallel()
	t.Run(expiry.StageUnfinished, func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.add("pending", "not_uploaded", 9, start, 1)
		p := w.purge()
		p.Blobs = stubbornStore{w.blobs}
		r, err := p.Run(t.Context())
		if err != nil || r.Failed != 1 || r.Stages[expiry.StageUnfinished] != 1 || r.Failures[0].Stage != expiry.StageUnfinished {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run(expiry.StageRecord, func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.blob(t, 0)
		w.blob(t, 0)
		p := w.purge()
		p.Queue = forgetful{w.queue, func() error { return errFault }}
		// They are not put off: they come again when the lease runs out.
		r, err := p.Run(t.Context())
		if !errors.Is(err, errFault) || r.Failed != 0 || r.Erased != 0 || r.Stages[expiry.StageRecord] != 2 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.blob(t, 0)
		ctx, cancel := context.WithCancel(t.Context())
		p := w.purge()
		p.Queue = forgetful{w.queue, func() error { cancel(); return ctx.Err() }}
		if r, err := p.Run(ctx); !errors.Is(err, context.Canceled) || len(r.Stages) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// eraseThatPanics is named in the stack of its panic.
func eraseThatPanics() error { panic("boom") }

// A panic while tombstones are written, in a goroutine that the purge started or in a
// worker of that one, is told with the stack of where it happened.
func TestPurgePanicOfTheRecordingHasItsStack(t *testing.T) {
	t.Parallel()
	for where, change := range map[string]func(*expiry.Purge){
		"eraseThatPanics": func(p *expiry.Purge) { p.Queue = forgetful{p.Queue, eraseThatPanics} },
		"ed25519.Sign":    func(p *expiry.Purge) { p.Receipts = new(expiry.Signer) }, // without a key
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.pendingWith(1)
			passes := make(chan expiry.Pass, 1)
			s := newSchedule(t, func(p expiry.Pass) { passes <- p },
				expiry.Job{Name: "purge", Spec: "@daily", Run: func(ctx context.Context) error {
					p := w.purge()
					change(p)
					_, err := p.Run(ctx)
					return err
				}})
			s.Start(t.Context())
			pass := <-passes
			stop(t, s)
			p := new(expiry.PanicError)
			if !errors.As(pass.Err, &p) {
				t.Fatalf("%v", pass.Err)
			}
			if !strings.Contains(string(p.Stack), where) {
				t.Errorf("the stack does not say where:\n%s", p.Stack)
			}
		})
	}
}
