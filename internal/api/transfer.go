package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"mayfly/internal/metrics"
	"mayfly/tickets"
)

// chunk is how many bytes are sent, or awaited, under one deadline.
const chunk = 1 << 20

// past is a deadline that ends a blocked read or write at once.
var past = time.Unix(1, 0)

// allowance is how long n bytes may take: Limits.Stall and their time at
// Limits.MinRate.
func (l *Limits) allowance(n int64) time.Duration {
	return l.Stall + time.Duration(n)*time.Second/time.Duration(l.MinRate)
}

// deadline for the next n bytes of a transfer that must be over at end.
func (l *Limits) deadline(now, end time.Time, n int64) time.Time {
	d := now.Add(l.allowance(min(n, chunk)))
	if d.After(end) {
		return end
	}
	return d
}

// download is a blob, or a part of one, on its way out. It is the response of both
// calls that send one; in place of the generated types, which would print each
// header by reflection.
type download struct {
	e *endpoints
	c *call
	*tickets.Download
	status int
	// opening counts the outcome as one of an open.
	opening bool
	// until is the deadline that is set.
	until time.Time
}

// VisitOpenBlobResponse sends the blob.
func (d *download) VisitOpenBlobResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitResumeBlobResponse sends the blob, or a part of it.
func (d *download) VisitResumeBlobResponse(w http.ResponseWriter) error { return d.send(w) }

// send writes the answer. It does not return an error: whatever fails here fails
// with the answer begun, and aborts the connection.
func (d *download) send(w http.ResponseWriter) error {
	defer d.Close()
	d.header(w.Header())
	var n int64
	d.e.metrics.Sending()
	defer func() { d.e.metrics.Sent(n) }()
	d.c.rolling = true
	n, err := d.copy(w)

	outcome := metrics.OutcomeSent
	if err != nil {
		outcome = d.blame(err)
	}
	if d.opening {
		d.e.metrics.Open(outcome)
	}
	if err == nil {
		return nil
	}
	d.c.code = outcome
	if outcome == metrics.OutcomeStoreFailed {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // without the client's address
		}
		d.c.err = err
	}
	// Never a return from here: it would end the body in good order.
	panic(http.ErrAbortHandler)
}

// copy writes header and body, in chunks under rolling deadlines, and fails if it is
// not all of it.
func (d *download) copy(w http.ResponseWriter) (sent int64, err error) {
	ctx, control, limits := d.Context(), d.c.control, &d.e.limits
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		_ = control.SetWriteDeadline(past)
	})
	defer func() {
		if !stop() {
			<-cut // it must not touch the connection once another request has it
		}
	}()

	end := time.Now().Add(limits.MaxTransfer)
	body := io.LimitedReader{R: d.Body}
	for first := true; first || sent < d.Length; first = false {
		left := d.Length - sent
		d.until = limits.deadline(time.Now(), end, left)
		_ = control.SetWriteDeadline(d.until)
		// After the deadline, not before it: a cut between the two would be undone.
		if ctx.Err() != nil {
			return sent, context.Cause(ctx)
		}
		if first {
			w.WriteHeader(d.status)
		}
		if left == 0 {
			break
		}
		if first && left <= chunk && isFile(&body) { // of more the header is nothing
			if err := flushHeld(d.c.in.Context(), control); err != nil {
				return sent, err
			}
		}
		body.N = min(chunk, left)
		n, err := w.(io.ReaderFrom).ReadFrom(&body)
		sent += n
		if err != nil {
			return sent, err
		}
		if n < min(chunk, left) {
			// P1 is broken; to go on would make it look whole.
			return sent, &readError{io.ErrUnexpectedEOF}
		}
	}
	return sent, nil
}

// blame says whose fault a broken transfer was.
func (d *download) blame(err error) string {
	cause := context.Cause(d.Context())
	_, read := errors.AsType[*readError](err)
	switch {
	case cause != nil && !errors.Is(cause, context.Canceled):
		return metrics.OutcomeUnsent
	case !time.Now().Before(d.until):
		return metrics.OutcomeTooSlow
	case cause == nil && (read || errors.Is(err, syscall.EIO)):
		return metrics.OutcomeStoreFailed
	}
	return metrics.OutcomeClientGone
}
