package tickets

import (
	"context"
	"slices"
	"sync"
	"time"

	"mayfly/blobstore"
)

// reservations are attempts that are on record before anybody has asked for them.
// An upload in one call would otherwise wait for two commits, one before its first
// byte and one after its last: while several run, one of them makes the first for
// those that come next. What is never used the purge removes.
type reservations struct {
	mu      sync.Mutex
	uploads int // in one call, under way
	making  int // more than those who make them need
	ready   []reservation
}

type reservation struct {
	Attempt
	fresh time.Time // until when it may be taken
}

const (
	// From reserveFrom uploads at a time on, one that finds no reservation makes
	// reserveAhead, up to maxReserved in all. Fewer make their own, one each: then
	// nothing is left over.
	reserveFrom  = 4
	reserveAhead = 16
	maxReserved  = 64
	// reserveFor is how long a reservation is good for an upload to begin with.
	reserveFor = 10 * time.Minute
)

// reserve is the attempt of an upload that may take ttl from now on, durably
// recorded. done ends the upload. Fails with *StoreError.
func (s *Service) reserve(ctx context.Context, ttl time.Duration) (a Attempt, done func(), err error) {
	now := s.now()
	a, ok, n := s.reservations.take(now, ttl)
	if !ok {
		fresh := now.Add(reserveFor)
		made := make([]reservation, n)
		rows := make([]Attempt, n)
		for i := range made {
			id := newID()
			rows[i] = Attempt{ID: id, Key: blobstore.NewKey(id), Due: fresh.Add(ttl)}
			made[i] = reservation{rows[i], fresh}
		}
		if err := s.Store.Reserve(ctx, rows); err != nil {
			s.reservations.add(nil, n-1)
			s.reservations.done()
			return Attempt{}, nil, &StoreError{"record the upload", err}
		}
		a = rows[0]
		s.reservations.add(made[1:], n-1)
	}
	return a, s.reservations.done, nil
}

// take begins an upload and gives it a reservation; if there is none, n is how many
// to make.
func (r *reservations) take(now time.Time, ttl time.Duration) (a Attempt, ok bool, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uploads++
	r.ready = slices.DeleteFunc(r.ready, func(a reservation) bool { return !now.Before(a.fresh) })
	last := now.Add(ttl)
	if i := slices.IndexFunc(r.ready, func(a reservation) bool { return !a.Due.Before(last) }); i >= 0 {
		a = r.ready[i].Attempt
		r.ready = slices.Delete(r.ready, i, i+1)
		return a, true, 0
	}
	if r.uploads >= reserveFrom && len(r.ready)+r.making+reserveAhead <= maxReserved {
		r.making += reserveAhead - 1
		return Attempt{}, false, reserveAhead
	}
	return Attempt{}, false, 1
}

// add adds what was made of what take has asked for, beyond the first.
func (r *reservations) add(made []reservation, asked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.making -= asked
	r.ready = append(r.ready, made...)
}

func (r *reservations) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uploads--
}
