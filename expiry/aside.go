package expiry

// aside is a call that runs while the pass does something else. The zero aside is none.
type aside[T any] struct {
	done chan ended[T]
}

type ended[T any] struct {
	value T
	err   error
}

func beside[T any](call func() T) aside[T] {
	a := aside[T]{make(chan ended[T], 1)}
	go func() {
		var e ended[T]
		e.err = caught(func() error {
			e.value = call()
			return nil
		})
		a.done <- e
	}()
	return a
}

// wait waits for the call, once, and says what it returned; false if there is none. A
// panic in it comes out here: in a goroutine of its own nobody could catch it.
func (a *aside[T]) wait() (value T, ok bool) {
	if a.done == nil {
		return value, false
	}
	e := <-a.done
	a.done = nil
	if e.err != nil {
		panic(e.err)
	}
	return e.value, true
}
