package expiry_test

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// queue keeps the Queue's contract in memory: the rows of a small world.
type queue struct {
	mu   sync.Mutex
	rows []*row
	stop *expiry.Stop
}

// row is a blob or, with the zero ID, a lone upload attempt.
type row struct {
	expiry.Due
	state  string    // pending, stored, purging, erased
	free   time.Time // of the lease or the delay
	forget time.Time
	gone   bool // removed or forgotten
}

// untouched: a blob that no pass has begun with.
func (r *row) untouched() bool {
	return r.ID != uuid.UUID{} && (r.state == "pending" || r.state == "stored")
}

const tombstoneTTL = 90 * 24 * time.Hour

func newKey(id uuid.UUID) blobstore.Key { return blobstore.NewKey(id) }

// add makes a row that is due at that time.
func (q *queue) add(state, reason string, size int64, at time.Time, keys int) *row {
	r := &row{state: state, Due: expiry.Due{ID: uuid.New(), Size: size, At: at, Reason: reason}}
	for range keys {
		r.Keys = append(r.Keys, newKey(r.ID))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rows = append(q.rows, r)
	return r
}

// due are the rows that Claim would find, in its order.
func (q *queue) due(now time.Time) []*row {
	var due []*row
	for _, r := range q.rows {
		if !r.gone && r.state != "erased" && !r.At.After(now) && !r.free.After(now) {
			due = append(due, r)
		}
	}
	slices.SortStableFunc(due, func(a, b *row) int { return a.At.Compare(b.At) })
	return due
}

func (q *queue) Earliest(ctx context.Context, from, now time.Time) (time.Time, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.due(now) {
		if r.untouched() && !r.At.Before(from) {
			return r.At, true, ctx.Err()
		}
	}
	return time.Time{}, false, ctx.Err()
}

func (q *queue) Claim(ctx context.Context, from, now time.Time, lease time.Duration, limit int) ([]expiry.Due, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var claimed []expiry.Due
	for _, r := range q.due(now) {
		if len(claimed) == limit {
			break
		}
		if r.untouched() && r.At.Before(from) {
			continue
		}
		r.state, r.free = "purging", now.Add(lease)
		claimed = append(claimed, r.Due)
	}
	return claimed, ctx.Err()
}

func (q *queue) find(d expiry.Due) *row {
	for _, r := range q.rows {
		if r.ID == d.ID && slices.Equal(r.Keys, d.Keys) {
			return r
		}
	}
	panic("an entry that was never claimed")
}

func (q *queue) Erase(ctx context.Context, done []expiry.Due, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range done {
		r := q.find(d)
		if r.state == "erased" {
			continue
		}
		r.state, r.forget, r.Proof = "erased", now.Add(tombstoneTTL), d.Proof
		r.gone = d.ID == uuid.UUID{}
	}
	return ctx.Err()
}

func (q *queue) Defer(ctx context.Context, d expiry.Due, retry time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.find(d)
	r.free = retry
	r.Failures++
	return ctx.Err()
}

func (q *queue) Preview(ctx context.Context, now time.Time) ([]expiry.Preview, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var ps []expiry.Preview
	for _, r := range q.due(now) {
		i := slices.IndexFunc(ps, func(p expiry.Preview) bool { return p.Reason == r.Reason })
		if i < 0 {
			i = len(ps)
			ps = append(ps, expiry.Preview{Reason: r.Reason, OldestDueAt: r.At})
		}
		ps[i].Blobs++
		ps[i].Bytes += r.Size
	}
	slices.SortFunc(ps, func(a, b expiry.Preview) int { return cmp.Compare(a.Reason, b.Reason) })
	return ps, ctx.Err()
}

func (q *queue) Forget(ctx context.Context, now time.Time, limit int) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, r := range q.rows {
		if n < limit && r.state == "erased" && !r.gone && !r.forget.After(now) {
			r.gone = true
			n++
		}
	}
	return n, ctx.Err()
}

func (q *queue) Backlog(ctx context.Context, now time.Time) (expiry.Backlog, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var b expiry.Backlog
	if due := q.due(now); len(due) > 0 {
		b.Due, b.OldestDueAt = int64(len(due)), due[0].At
	}
	return b, ctx.Err()
}

func (q *queue) Owned(ctx context.Context, keys []blobstore.Key) ([]bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	owned := make([]bool, len(keys))
	for _, r := range q.rows {
		for i, key := range keys {
			if !r.gone && r.state != "erased" && slices.Contains(r.Keys, key) {
				owned[i] = true
			}
		}
	}
	return owned, ctx.Err()
}

func (q *queue) Stored(ctx context.Context, after uuid.UUID, limit int) ([]expiry.StoredBlob, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var page []expiry.StoredBlob
	for _, r := range q.rows {
		if r.state == "stored" && bytes.Compare(r.ID[:], after[:]) > 0 {
			page = append(page, expiry.StoredBlob{ID: r.ID, Key: r.Keys[0], Size: r.Size})
		}
	}
	slices.SortFunc(page, func(a, b expiry.StoredBlob) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return page[:min(limit, len(page))], ctx.Err()
}

func (q *queue) Share(ctx context.Context, now time.Time, above int64, times float64) (s expiry.Share, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.rows {
		if r.ID == (uuid.UUID{}) || r.state != "pending" && r.state != "stored" {
			continue
		}
		s.All++
		if !r.At.After(now) {
			s.Due++
		}
	}
	s.All = min(s.All, int64(times*float64(s.Due))+1)
	if s.Due <= above {
		s.All = 0
	}
	return s, ctx.Err()
}

func (q *queue) Stopped(ctx context.Context) (expiry.Stop, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stop == nil {
		return expiry.Stop{}, false, ctx.Err()
	}
	return *q.stop, true, ctx.Err()
}

func (q *queue) SetStop(_ context.Context, s expiry.Stop) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stop = &s
	return nil
}

func (q *queue) EndStop(context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stop = nil
	return nil
}
