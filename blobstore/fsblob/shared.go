package fsblob

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// sharedSync lets uploads that wait for the disk at the same time share one sync of
// the whole file system, where each would make two of its own: for 64 KiB at 64
// callers that was 1.5 to 2 times as many uploads a second, for half the processor
// time. A sync serves those who asked before it began, so a caller waits for one
// and a half on average.
//
// It writes out what everybody has written to that file system, so it is left alone
// where that could be much: while one of our own large uploads is under way, and
// for a while after one has been slow.
type sharedSync struct {
	// sync makes everything durable that was written before it was called.
	sync func() error
	// possible is false where sync would not promise that.
	possible bool
	// from is how many small uploads have to be under way. Fewer are better served by
	// syncs of their own.
	from int32

	small, large atomic.Int32 // uploads under way
	avoidUntil   atomic.Int64 // Unix nanoseconds
	failures     atomic.Int64 // syncs that failed

	mu      sync.Mutex
	next    *round // those who wait for the next sync; nil: nobody
	running bool
}

// round is one sync and its outcome.
type round struct {
	done chan struct{}
	err  error
}

const (
	// smallUpload is the size in bytes up to which an upload may share a sync.
	smallUpload = 1 << 20
	// shareFrom is sharedSync.from, but in tests.
	shareFrom = 4
	// A sync that took longer than slowSync wrote for somebody else; for avoidFor no
	// other one is tried.
	slowSync = 2 * time.Second
	avoidFor = time.Minute
)

// upload is one that takes part.
type upload struct {
	g     *sharedSync
	count *atomic.Int32
	// failures of g when the upload began.
	failures int64
}

// enter begins an upload of size bytes, and its leave ends it.
func (g *sharedSync) enter(size int64) upload {
	u := upload{g, &g.small, g.failures.Load()}
	if size > smallUpload {
		u.count = &g.large
	}
	u.count.Add(1)
	return u
}

func (u upload) leave() { u.count.Add(-1) }

// shares reports whether the upload, which is written, had better share a sync.
func (u upload) shares() bool {
	g := u.g
	return u.count == &g.small && g.possible && g.small.Load() >= g.from && g.large.Load() == 0 &&
		time.Now().UnixNano() >= g.avoidUntil.Load()
}

// wait returns when a sync that began after the call has ended, and says how. It
// fails too if one failed since the upload began: that one may have tried to write
// this upload's bytes, and Linux tells of a failed write only once.
func (u upload) wait() error {
	r := u.g.join()
	<-r.done
	if r.err != nil {
		return r.err
	}
	return u.sound()
}

// sound is nil if no shared sync has failed since the upload began. It is asked also
// of uploads that sync by themselves: what was lost may be of their folder.
func (u upload) sound() error {
	if u.g.failures.Load() != u.failures {
		return errSyncFailed
	}
	return nil
}

var errSyncFailed = errors.New("a sync of the file system failed meanwhile")

// join makes the caller one of those who wait for the next sync.
func (g *sharedSync) join() *round {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &round{done: make(chan struct{})}
	}
	if !g.running {
		g.running = true
		go g.run()
	}
	return g.next
}

// run syncs for as long as somebody waits.
func (g *sharedSync) run() {
	for {
		g.mu.Lock()
		r := g.next
		g.next, g.running = nil, r != nil
		g.mu.Unlock()
		if r == nil {
			return
		}
		began := time.Now()
		if r.err = g.sync(); r.err != nil {
			g.failures.Add(1)
		}
		if time.Since(began) > slowSync {
			g.avoidUntil.Store(time.Now().Add(avoidFor).UnixNano())
		}
		close(r.done)
	}
}
