package blobstoretest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"mayfly/blobstore"
)

// ErrFault is in every error that Faulty makes.
var ErrFault = errors.New("injected fault")

// Method names a method of blobstore.Store.
type Method string

// The methods of blobstore.Store.
const (
	Put     Method = "Put"
	Open    Method = "Open"
	Copy    Method = "Copy"
	Delete  Method = "Delete"
	All     Method = "All"
	Discard Method = "Discard"
	Check   Method = "Check"
)

// Call is one call of a Faulty, as its rule sees it.
type Call struct {
	Method Method
	// N counts the calls of this method from 1, since the rule was set.
	N int
	// Key is the blob's, of Copy the new blob's, and empty for All and Check.
	// About a Delete the rule is asked once per key, with the same N.
	Key blobstore.Key
}

// Mode says what happens to a call. The zero value lets it pass.
type Mode struct {
	kind  kind
	after int64
}

type kind int

const (
	pass kind = iota
	failed
	failedButApplied
	stalled
	broken
)

var (
	// Pass passes the call on.
	Pass = Mode{}
	// Failed returns an error; the call is not passed on.
	Failed = Mode{kind: failed}
	// FailedButApplied passes the call on and returns an error all the same: the
	// reply was lost. (Of All: everything is yielded, then the error.)
	FailedButApplied = Mode{kind: failedButApplied}
	// Stalled waits until the context of the call ends, and returns its error; the
	// call is not passed on.
	Stalled = Mode{kind: stalled}
)

// BreakAfter lets a body end with an error after n bytes: the one that Open
// returns, or the one that Put is given. Other methods pass.
func BreakAfter(n int64) Mode { return Mode{kind: broken, after: n} }

// Always is a rule: every call of the method m.
func Always(m Method, mode Mode) func(Call) Mode {
	return func(c Call) Mode {
		if c.Method == m {
			return mode
		}
		return Pass
	}
}

// Nth is a rule: the n-th call of the method m, counted from 1.
func Nth(m Method, n int, mode Mode) func(Call) Mode {
	return func(c Call) Mode {
		if c.Method == m && c.N == n {
			return mode
		}
		return Pass
	}
}

// Faulty is a Store that fails when its rule says so. Without a rule it passes
// everything on, readers as they are.
type Faulty struct {
	Store blobstore.Store

	mu    sync.Mutex
	rule  func(Call) Mode
	calls map[Method]int
}

var (
	_ blobstore.Store           = (*Faulty)(nil)
	_ blobstore.CountingDeleter = (*Faulty)(nil)
)

// Fail sets the rule for all calls from now on, and counts them from 1 again. nil
// lets all pass. The rule may be asked by several callers at once, and may block:
// so a test can hold a call where it wants it.
func (f *Faulty) Fail(rule func(Call) Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rule, f.calls = rule, nil
}

// Calls is how often the method was called since the rule was set.
func (f *Faulty) Calls(m Method) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[m]
}

// modes counts a call and asks the rule about each of its keys.
func (f *Faulty) modes(m Method, keys ...blobstore.Key) []Mode {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[Method]int{}
	}
	f.calls[m]++
	n, rule := f.calls[m], f.rule
	f.mu.Unlock()

	modes := make([]Mode, len(keys))
	for i, key := range keys {
		if rule != nil {
			modes[i] = rule(Call{Method: m, N: n, Key: key})
		}
	}
	return modes
}

func fault(m Method) error { return fmt.Errorf("%s: %w", m, ErrFault) }

// do makes a call in the rule's mode.
func (f *Faulty) do(ctx context.Context, m Method, key blobstore.Key, call func(Mode) error) error {
	mode := f.modes(m, key)[0]
	switch mode.kind {
	case failed:
		return fault(m)
	case failedButApplied:
		return errors.Join(fault(m), call(mode))
	case stalled:
		<-ctx.Done()
		return errors.Join(fault(m), ctx.Err())
	}
	return call(mode)
}

// Put implements blobstore.Store.
func (f *Faulty) Put(ctx context.Context, key blobstore.Key, r io.Reader, size int64) error {
	return f.do(ctx, Put, key, func(mode Mode) error {
		if mode.kind == broken {
			r = mode.breakBody(r)
		}
		return f.Store.Put(ctx, key, r, size)
	})
}

// Open implements blobstore.Store.
func (f *Faulty) Open(ctx context.Context, key blobstore.Key, offset int64) (io.ReadCloser, blobstore.Info, error) {
	var r io.ReadCloser
	var info blobstore.Info
	err := f.do(ctx, Open, key, func(mode Mode) (err error) {
		r, info, err = f.Store.Open(ctx, key, offset)
		if err == nil && mode.kind == broken {
			r = struct {
				io.Reader
				io.Closer
			}{mode.breakBody(r), r}
		}
		return err
	})
	if err != nil {
		if r != nil {
			r.Close()
		}
		return nil, blobstore.Info{}, err
	}
	return r, info, nil
}

// Copy implements blobstore.Store.
func (f *Faulty) Copy(ctx context.Context, dst, src blobstore.Key) error {
	return f.do(ctx, Copy, dst, func(Mode) error { return f.Store.Copy(ctx, dst, src) })
}

// Delete implements blobstore.Store. Keys that pass are deleted in one call.
func (f *Faulty) Delete(ctx context.Context, keys ...blobstore.Key) error {
	_, err := f.DeleteCounted(ctx, keys...)
	return err
}

// DeleteCounted implements blobstore.CountingDeleter: to a rule it is a Delete. It tells of
// the keys of which the Store does.
func (f *Faulty) DeleteCounted(ctx context.Context, keys ...blobstore.Key) (map[blobstore.Key]int64, error) {
	var removed map[blobstore.Key]int64
	var passed []blobstore.Key
	var errs []error
	for i, mode := range f.modes(Delete, keys...) {
		switch mode.kind {
		case failed:
			errs = append(errs, &blobstore.KeyError{Key: keys[i], Err: fault(Delete)})
			continue
		case failedButApplied:
			errs = append(errs, &blobstore.KeyError{Key: keys[i], Err: fault(Delete)})
		case stalled:
			<-ctx.Done()
			errs = append(errs, &blobstore.KeyError{Key: keys[i], Err: errors.Join(fault(Delete), ctx.Err())})
			continue
		}
		passed = append(passed, keys[i])
	}
	if len(passed) > 0 || len(keys) == 0 {
		var err error
		removed, err = blobstore.DeleteCounted(ctx, f.Store, passed...)
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// All implements blobstore.Store.
func (f *Faulty) All(ctx context.Context) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		stopped := false
		err := f.do(ctx, All, "", func(Mode) error {
			for info, err := range f.Store.All(ctx) {
				if err != nil {
					return err
				}
				if !yield(info, nil) {
					stopped = true
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(blobstore.Info{}, err)
		}
	}
}

// Discard implements blobstore.Store.
func (f *Faulty) Discard(ctx context.Context, partial blobstore.Info) error {
	return f.do(ctx, Discard, partial.Key, func(Mode) error { return f.Store.Discard(ctx, partial) })
}

// Check implements blobstore.Store.
func (f *Faulty) Check(ctx context.Context) error {
	return f.do(ctx, Check, "", func(Mode) error { return f.Store.Check(ctx) })
}

// breakBody ends r with ErrFault after mode.after bytes, or sooner if r ends.
func (mode Mode) breakBody(r io.Reader) io.Reader {
	return io.MultiReader(io.LimitReader(r, mode.after), brokenEnd{})
}

type brokenEnd struct{}

func (brokenEnd) Read([]byte) (int, error) { return 0, fmt.Errorf("body: %w", ErrFault) }
