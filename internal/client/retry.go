package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// bounds are how often and how long something is tried again.
type bounds struct {
	tries uint
	// elapsed is the longest time that all tries and waits may take; 0 is no bound.
	elapsed time.Duration
	// stall is how long a single try may take; 0 is Client.Stall.
	stall time.Duration
}

var (
	// shortly is for calls with nothing at stake: a server that is not there should
	// be said to be so while somebody is looking.
	shortly = bounds{tries: 5, elapsed: 2 * time.Minute}
	// once is for a look that is not worth a wait.
	once = bounds{tries: 1}
	// uploading has no bound on time: a long upload that broke near its end may
	// begin again.
	uploading = bounds{tries: 6}
)

// patiently is for a ticket that is spent, or may be: there is no second chance.
func (c *Client) patiently() bounds { return bounds{tries: 40, elapsed: c.patience()} }

// retry tries op until it succeeds, fails for good (of itself or with
// backoff.Permanent), or the bounds are reached. The error is op's last one, or
// the reason why ctx ended.
func retry[T any](ctx context.Context, c *Client, b bounds, op func() (T, error)) (T, error) {
	var last error
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := op()
		if err == nil {
			return v, nil
		}
		var permanent *backoff.PermanentError
		if errors.As(err, &permanent) {
			last = permanent.Err
			return v, err
		}
		last = err
		wait, again := retryable(err)
		switch {
		case ctx.Err() != nil, !again, wait > c.patience():
			return v, backoff.Permanent(err)
		case wait > 0:
			return v, &backoff.RetryAfterError{Duration: wait}
		}
		return v, err
	},
		backoff.WithBackOff(c.backOff()),
		backoff.WithMaxTries(b.tries),
		backoff.WithMaxElapsedTime(b.elapsed),
		backoff.WithNotify(func(_ error, wait time.Duration) {
			if c.Retrying != nil {
				c.Retrying(last, wait)
			}
		}),
	)
	switch {
	case err == nil:
		return v, nil
	case ctx.Err() != nil:
		return v, context.Cause(ctx)
	}
	return v, last
}

func (c *Client) backOff() backoff.BackOff {
	if c.BackOff != nil {
		return c.BackOff()
	}
	b := backoff.NewExponentialBackOff()
	b.MaxInterval = 30 * time.Second
	return b
}

// passing are the statuses that are likely to pass, Mayfly's own and those of a
// proxy in front.
var passing = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
	http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInsufficientStorage,
}

// retryable reports whether another try may succeed, and how long the server asks
// to wait before it.
func retryable(err error) (time.Duration, bool) {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem.RetryAfter, slices.Contains(passing, problem.Status)
	}
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return 0, !misconfigured(unreachable.Err)
	}
	return 0, errors.Is(err, ErrBroken)
}

// misconfigured tells a server that can never be talked to as things are from one
// that cannot be reached now.
func misconfigured(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch)
}
