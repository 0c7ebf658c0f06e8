package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"

	"github.com/cenkalti/backoff/v5"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// UncertainError says that an open failed and that nobody knows whether the
// ticket is spent: a request for it went out, and no answer told.
type UncertainError struct{ Err error }

func (e *UncertainError) Error() string { return e.Err.Error() + "; the ticket may be spent" }
func (e *UncertainError) Unwrap() error { return e.Err }

// Open spends a ticket and begins the download. ctx covers the whole of it. A
// fresh claim key goes with the request, so that a lost answer is asked for
// again and a broken download resumed, by this Download only. On an error the
// ticket is not spent, unless it is an *UncertainError or a *Problem that says
// so. Fails with ErrServer, *Problem, *UnreachableError, ErrRedirect, ErrAnswer.
func (c *Client) Open(ctx context.Context, ticket tickets.Token) (*Download, error) {
	claim := make([]byte, 32)
	rand.Read(claim) // never fails: crypto/rand ends the program instead
	d := &Download{
		c: c, ctx: ctx, ticket: ticket, claim: base64.RawURLEncoding.EncodeToString(claim), hash: sha256.New(),
	}
	if err := d.open(); err != nil {
		return nil, err
	}
	return d, nil
}

// opening is what the tries of one open came to.
type opening struct {
	// stake: a request may have arrived whose answer was lost, so that giving up
	// may waste the ticket.
	stake bool
	// doubt: a try may have spent the ticket.
	doubt bool
}

// open repeats the POST until there is an answer: with the same claim key it is
// the same open. As long as there is little at stake it gives up early, and then
// looks what became of the ticket.
func (d *Download) open() error {
	var o opening
	err := d.try(&o)
	var problem *Problem
	// Only behind an answer of Mayfly's own no request is still under way.
	if o.doubt && errors.As(err, &problem) && problem.Code != "" && d.ctx.Err() == nil {
		seen, lookErr := d.c.look(d.ctx, once, d.ticket)
		switch {
		case lookErr != nil:
		case seen.State == string(openapi.TicketStateReady):
			return err
		case seen.State == string(openapi.TicketStateOpened) && !o.stake:
			// By this try, or by somebody else: asking again tells.
			o.stake = true
			err = d.try(&o)
		}
	}
	if err != nil && o.doubt {
		return &UncertainError{err}
	}
	return err
}

func (d *Download) try(o *opening) error {
	tries := uint(0)
	_, err := retry(d.ctx, d.c, d.c.patiently(), func() (struct{}, error) {
		tries++
		sent, err := d.post()
		switch {
		case err == nil || refused(err):
			*o = opening{}
		case lost(err, sent):
			*o = opening{stake: true, doubt: true}
		case failed(err):
			o.doubt = true
		}
		if err != nil && !o.stake && tries >= shortly.tries {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	})
	return err
}

// lost reports whether Mayfly may have answered a POST that failed.
func lost(err error, sent bool) bool {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem.Status >= 500 && problem.Code == "" // a proxy's
	}
	var unreachable *UnreachableError
	return errors.As(err, &unreachable) && sent || errors.Is(err, ErrAnswer)
}

// failed reports whether Mayfly failed, most likely, but not certainly, before it
// spent the ticket: its database's answer may have been lost.
func failed(err error) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Status >= 500
}

// refused reports whether the server said what became of the ticket, which ends
// all doubt about an earlier try.
func refused(err error) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code != "" && problem.Status < 500 && problem.Status != http.StatusTooManyRequests
}

// post is one try to open. sent reports whether there was a connection to send
// the request on.
func (d *Download) post() (sent bool, err error) {
	api, err := d.c.api()
	if err != nil {
		return false, err
	}
	w := newWatch(d.ctx, d.c.stall())
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(w.ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	resp, err := api.OpenBlob(ctx, &openapi.OpenBlobParams{ClaimKey: &d.claim}, bearer(d.ticket), verbatim)
	if err != nil {
		w.stop()
		return connected.Load(), err
	}
	body := &watchedBody{resp.Body, w}
	w.pause()
	if err := d.begin(resp); err != nil {
		body.Close()
		return true, err
	}
	d.body = body
	return true, nil
}

// begin takes length and digest from the first answer.
func (d *Download) begin(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return problemOf(resp)
	}
	sum, err := digestOf(resp.Header)
	if err != nil {
		return err
	}
	if resp.ContentLength < 0 {
		return fmt.Errorf("%w: no length", ErrAnswer)
	}
	d.Size, d.SHA256, d.etag = resp.ContentLength, sum, resp.Header.Get("ETag")
	return nil
}

// digestOf reads the SHA-256 of the whole blob from both headers that hold it.
func digestOf(h http.Header) (blobstore.Digest, error) {
	hex, ok := strings.CutPrefix(h.Get("ETag"), `"`)
	hex, ok2 := strings.CutSuffix(hex, `"`)
	sum, err := blobstore.ParseDigest(hex)
	if !ok || !ok2 || err != nil {
		return blobstore.Digest{}, fmt.Errorf("%w: no SHA-256 in the ETag", ErrAnswer)
	}
	if h.Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
		return blobstore.Digest{}, fmt.Errorf("%w: ETag and Repr-Digest disagree", ErrAnswer)
	}
	return sum, nil
}

// verbatim asks that nothing on the way compresses what the digest is of.
func verbatim(_ context.Context, req *http.Request) error {
	req.Header.Set("Accept-Encoding", "identity")
	return nil
}
