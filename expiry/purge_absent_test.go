package expiry_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// telling is a store that tells of many keys at once that they are absent.
type telling struct {
	*store
	absent func([]blobstore.Key) map[blobstore.Key]bool
}

func (s telling) Absent(_ context.Context, keys ...blobstore.Key) map[blobstore.Key]bool {
	return s.absent(keys)
}

func allOf(keys []blobstore.Key) map[blobstore.Key]bool {
	all := make(map[blobstore.Key]bool)
	for _, key := range keys {
		all[key] = true
	}
	return all
}

// TestPurgeBelievesNoAbsence of a key whose deletion failed, and looks itself for what the
// store does not tell of (P5).
func TestPurgeBelievesNoAbsence(t *testing.T) {
	t.Parallel()
	var everything []blobstore.Key
	for name, c := range map[string]struct {
		failed bool // the deletion of the first key, which stays; else it is acknowledged
		absent func([]blobstore.Key) map[blobstore.Key]bool
		stage  string
	}{
		"failed, and told of it": {true, func([]blobstore.Key) map[blobstore.Key]bool { return allOf(everything) }, expiry.StageDelete},
		"not told of":            {false, func(keys []blobstore.Key) map[blobstore.Key]bool { return allOf(keys[1:]) }, expiry.StageVerify},
		"told of nothing":        {false, func([]blobstore.Key) map[blobstore.Key]bool { return nil }, expiry.StageVerify},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			stays := w.blob(t, 0)
			everything = []blobstore.Key{stays.Keys[0], w.blob(t, 0).Keys[0], w.blob(t, 0).Keys[0]}
			var opened atomic.Int64 // by several at a time
			p := w.purge()
			p.Blobs = telling{&store{Store: w.blobs,
				open: func(context.Context, blobstore.Key) error { opened.Add(1); return nil },
				delete: func(ctx context.Context, keys []blobstore.Key) error {
					err := w.blobs.Delete(ctx, keys[1:]...)
					if c.failed {
						err = errors.Join(err, &blobstore.KeyError{Key: keys[0], Err: errFault})
					}
					return err
				}}, c.absent}
			r, err := p.Run(t.Context())
			if err != nil || r.Erased != 2 || r.Failed != 1 || r.Failures[0].ID != stays.ID || r.Failures[0].Stage != c.stage {
				t.Errorf("%+v, %v", r, err)
			}
			if n := opened.Load(); c.failed && n > 0 {
				t.Errorf("%d keys were asked for that the store had told of", n)
			}
			w.check(t)
		})
	}
}

// TestPurgeOfASlowStore: what it has deleted when its time is up is recorded.
func TestPurgeOfASlowStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dueBlobs(t, 3)
	synctest.Test(t, func(t *testing.T) {
		p := w.purge()
		p.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
			err := w.blobs.Delete(ctx, keys[0])
			<-ctx.Done()
			for _, key := range keys[1:] {
				err = errors.Join(err, &blobstore.KeyError{Key: key, Err: ctx.Err()})
			}
			return err
		}}
		began := time.Now()
		r, err := p.Run(t.Context())
		if !errors.Is(err, expiry.ErrStoreDown) || r.Erased != 1 || r.Failed != 2 {
			t.Errorf("%+v, %v after %s", r, err, time.Since(began))
		}
	})
	w.check(t)
}
