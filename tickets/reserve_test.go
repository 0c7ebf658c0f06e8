package tickets_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/tickets"
)

// countingRows counts reservations, and keeps who makes one waiting.
type countingRows struct {
	*faultyRows
	calls, rows atomic.Int64
}

func (c *countingRows) Reserve(ctx context.Context, attempts []tickets.Attempt) error {
	c.calls.Add(1)
	c.rows.Add(int64(len(attempts)))
	return c.faultyRows.Reserve(ctx, attempts)
}

// uploadsAtOnce uploads n blobs, all under way at the same time.
func (h *house) uploadsAtOnce(n int) []tickets.Issued {
	h.t.Helper()
	var together, done sync.WaitGroup
	together.Add(n)
	issued := make([]tickets.Issued, n)
	for i := range n {
		done.Go(func() {
			body := &readerFunc{r: strings.NewReader(picture), before: func() { together.Done(); together.Wait() }}
			var err error
			issued[i], err = h.UploadNow(h.t.Context(), tickets.Request{Tenant: tenant, Size: int64(len(picture))}, body)
			if err != nil {
				h.t.Error(err)
			}
		})
	}
	done.Wait()
	return issued
}

func TestUploadsReserveAhead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	rows := &countingRows{faultyRows: h.rows}
	h.Service.Store = rows

	// One at a time each makes its own, and nothing is left over.
	for range 5 {
		h.stored(picture, tickets.Request{})
	}
	if rows.rows.Load() != 5 {
		t.Fatalf("%d attempts for 5 uploads", rows.rows.Load())
	}

	const n = 40
	issued := h.uploadsAtOnce(n / 2)
	before := rows.calls.Load()
	issued = append(issued, h.uploadsAtOnce(n/2)...)
	if made := rows.calls.Load() - before; made >= n/2 {
		t.Errorf("%d uploads at once made %d reservations, each its own", n/2, made)
	}
	// However many come at once, there is a bound to what is left over.
	if ahead := rows.rows.Load() - 5 - n; ahead > 64 {
		t.Errorf("%d reservations that nobody needs", ahead)
	}
	seen := map[blobstore.Key]bool{}
	for _, i := range issued {
		if seen[i.Blob.Key] {
			t.Errorf("key %s was given out twice", i.Blob.Key)
		}
		seen[i.Blob.Key] = true
		got, err := h.opens(i.Tickets[0].Token, none)
		h.served("one of many uploads", got, err, picture)
	}

	// What is left over is not good for ever: its time to upload has begun.
	calls := rows.calls.Load()
	h.clock.forward(10 * time.Minute)
	h.stored(picture, tickets.Request{})
	if rows.calls.Load() == calls {
		t.Error("an upload began with a reservation of ten minutes ago")
	}
	h.keepsPromises()

	// The purge removes those that nobody used, and every blob in its time.
	h.clock.forward(30 * 24 * time.Hour)
	left := rows.rows.Load() - 5 - n - 1
	if r := h.purges(); int64(r.Erased) != left+5+n+1 {
		t.Errorf("erased %d, want %d blobs and %d reservations", r.Erased, 5+n+1, left)
	}
	h.keptNothing()
}

// A policy with more time to upload does not take a reservation that ends before.
func TestReservationLastsAsLongAsItsUpload(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var ttl atomic.Int64
	ttl.Store(int64(time.Hour))
	h.Service.Policies = func(ctx context.Context, tenant, name string) (tickets.Terms, bool, error) {
		terms, ok, err := builtin(ctx, tenant, name)
		terms.UploadTTL = time.Duration(ttl.Load())
		return terms, ok, err
	}
	rows := &countingRows{faultyRows: h.rows}
	h.Service.Store = rows
	h.uploadsAtOnce(8)
	calls := rows.calls.Load()
	h.stored(picture, tickets.Request{})
	if rows.calls.Load() != calls {
		t.Fatal("nothing was left over to take")
	}
	ttl.Store(int64(3 * time.Hour))
	slow := &readerFunc{r: strings.NewReader(picture), before: func() {
		h.clock.forward(2 * time.Hour)
		h.purges()
	}}
	if _, err := h.UploadNow(t.Context(), tickets.Request{Tenant: tenant, Size: int64(len(picture))}, slow); err != nil {
		t.Errorf("an upload of two hours out of three: %v", err)
	}
}
