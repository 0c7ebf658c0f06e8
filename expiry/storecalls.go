package expiry

import (
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"mayfly/blobstore"
)

// storeWorkers is how many calls of the blob store run at once where one call
// per blob is needed: over a network they are mostly waiting.
const storeWorkers = 8

// byKey divides the error of a call on many keys: which keys it names, and what
// else it says. What else it says concerns every key of the call.
func byKey(err error) (failed map[blobstore.Key]error, rest error) {
	failed = make(map[blobstore.Key]error)
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case nil:
		case *blobstore.KeyError:
			failed[e.Key] = e
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		case interface{ Unwrap() error }:
			if key := new(blobstore.KeyError); errors.As(err, &key) {
				walk(e.Unwrap())
				return
			}
			rest = errors.Join(rest, err)
		default:
			rest = errors.Join(rest, err)
		}
	}
	walk(err)
	return failed, rest
}

// parallel calls f for 0 to n-1 and returns when all calls have. A panic in one
// comes out here as a *PanicError: in a goroutine of its own nobody could catch it.
func parallel(n int, f func(i int)) {
	var (
		wg       sync.WaitGroup
		next     atomic.Int64
		panicked atomic.Pointer[PanicError]
	)
	for range min(n, storeWorkers) {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					panicked.CompareAndSwap(nil, &PanicError{Value: v, Stack: debug.Stack()})
				}
			}()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
	if p := panicked.Load(); p != nil {
		panic(p)
	}
}
