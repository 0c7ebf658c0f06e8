package reports

import "sync"

// waker lets who files a report tell the loop that copies. The zero value is ready.
type waker struct {
	once sync.Once
	c    chan struct{}
}

func (w *waker) signal() chan struct{} {
	w.once.Do(func() { w.c = make(chan struct{}, 1) })
	return w.c
}

// up wakes the loop, or lets it know that there is more once it is done.
func (w *waker) up() {
	select {
	case w.signal() <- struct{}{}:
	default:
	}
}
