package client

import (
	"context"
	"io"
	"time"
)

// watch ends a request on which nothing moves: TCP alone would wait for hours.
// It begins running.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

func newWatch(ctx context.Context, limit time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(ctx)
	return &watch{
		ctx: ctx, cancel: cancel, limit: limit,
		timer: time.AfterFunc(limit, func() { cancel(ErrStalled) }),
	}
}

// run gives the other side the whole time again.
func (w *watch) run() { w.timer.Reset(w.limit) }

// pause is for the time in which it is this side that is waited for.
func (w *watch) pause() { w.timer.Stop() }

// stop ends the watch and its request.
func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// watchedBody is an answer's body under a watch that runs only during Read: who
// reads may take its time.
type watchedBody struct {
	body io.ReadCloser
	w    *watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.w.run()
	n, err := b.body.Read(p)
	b.w.pause()
	if err != nil && err != io.EOF {
		if cause := context.Cause(b.w.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.w.stop()
	return b.body.Close()
}
