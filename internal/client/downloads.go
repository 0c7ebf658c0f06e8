package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"

	"github.com/cenkalti/backoff/v5"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

var (
	// ErrDigest: the whole blob arrived, and does not have the SHA-256 that the
	// server announced.
	ErrDigest = errors.New("the bytes that arrived are not those that were uploaded")
	// ErrIncomplete: there is nothing to acknowledge yet.
	ErrIncomplete = errors.New("the download is not complete")
)

// UncertainError says that an open failed and that nobody knows whether the
// ticket is spent: a request for it went out, and its answer never came.
type UncertainError struct{ Err error }

func (e *UncertainError) Error() string { return e.Err.Error() + "; the ticket may be spent" }
func (e *UncertainError) Unwrap() error { return e.Err }

// Download is an opened blob on its way here. It is an io.Reader that resumes by
// itself and verifies; Close it in any case. Not safe for concurrent use. It
// prints redacted: within is the claim key.
type Download struct {
	// Size in bytes and SHA256 of the whole blob, as the server announced them.
	Size   int64
	SHA256 blobstore.Digest

	c      *Client
	ctx    context.Context
	ticket tickets.Token
	claim  string
	etag   string

	body   io.ReadCloser // nil between two connections
	offset int64
	hash   hash.Hash
	err    error // the end, once it is reached
}

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

// open repeats the POST until there is an answer: with the same claim key it is
// the same open. As long as no request can have arrived it gives up early.
func (d *Download) open() error {
	tries, uncertain := uint(0), false
	_, err := retry(d.ctx, d.c, d.c.patiently(), func() (struct{}, error) {
		tries++
		sent, err := d.post()
		uncertain = err != nil && (doubtful(err, sent) || uncertain && !refused(err))
		if err != nil && !uncertain && tries >= shortly.tries {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	})
	if err != nil && uncertain {
		return &UncertainError{err}
	}
	return err
}

// doubtful reports whether a POST that failed may have spent the ticket.
func doubtful(err error, sent bool) bool {
	var problem *Problem
	if errors.As(err, &problem) {
		// Mayfly's own 503 says that it did not. Another 5xx may be a proxy's, that lost the answer.
		return problem.Status >= 500 && problem.Code != "unavailable"
	}
	var unreachable *UnreachableError
	return errors.As(err, &unreachable) && sent || errors.Is(err, ErrAnswer)
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

// Read gives the blob's bytes. io.EOF comes only after length and digest are
// verified. A connection that breaks or stalls is made anew and goes on at the
// same byte, until nothing arrived for Client.Patience. Fails with ErrDigest,
// *Problem (the blob was unsent, or the resume window has closed), ErrBroken,
// *UnreachableError, ErrRedirect, ErrAnswer; the same again after the first time.
func (d *Download) Read(p []byte) (int, error) {
	switch {
	case d.err != nil:
		return 0, d.err
	case d.offset == d.Size:
		d.err = d.verify()
		return 0, d.err
	case len(p) == 0:
		return 0, nil
	}
	n, err := d.read(p)
	if err == nil {
		return n, nil
	}
	first := err
	n, d.err = retry(d.ctx, d.c, d.c.patiently(), func() (int, error) {
		if first != nil {
			err, first = first, nil // the wait comes before the second try
			return 0, err
		}
		if err := d.resume(); err != nil {
			return 0, err
		}
		return d.read(p)
	})
	return n, d.err
}

// read reads what is there on the connection, at least a byte.
func (d *Download) read(p []byte) (int, error) {
	if d.body == nil {
		return 0, fmt.Errorf("%w at byte %d of %d", ErrBroken, d.offset, d.Size)
	}
	n, err := io.ReadAtLeast(d.body, p[:min(int64(len(p)), d.Size-d.offset)], 1)
	d.hash.Write(p[:n])
	d.offset += int64(n)
	if err != nil {
		d.drop()
	}
	if n > 0 {
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, fmt.Errorf("%w at byte %d of %d: %w", ErrBroken, d.offset, d.Size, err)
}

// resume asks for the rest.
func (d *Download) resume() error {
	api, err := d.c.api()
	if err != nil {
		return err
	}
	from := fmt.Sprintf("bytes=%d-", d.offset)
	w := newWatch(d.ctx, d.c.stall())
	resp, err := api.ResumeBlob(w.ctx, &openapi.ResumeBlobParams{ClaimKey: &d.claim, Range: &from, IfRange: &d.etag}, bearer(d.ticket), verbatim)
	if err != nil {
		w.stop()
		return err
	}
	body := &watchedBody{resp.Body, w}
	w.pause()
	if err := d.follows(resp, body); err != nil {
		body.Close()
		return err
	}
	d.body = body
	return nil
}

// follows checks that the answer goes on where the last one broke.
func (d *Download) follows(resp *http.Response, body io.Reader) error {
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if resp.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", d.offset, d.Size-1, d.Size) {
			return fmt.Errorf("%w: other bytes than were asked for", ErrAnswer)
		}
	case http.StatusOK:
		if resp.ContentLength != d.Size {
			return fmt.Errorf("%w: the blob has another length than before", ErrAnswer)
		}
	default:
		return problemOf(resp)
	}
	sum, err := digestOf(resp.Header)
	if err != nil {
		return err
	}
	if sum != d.SHA256 {
		return fmt.Errorf("%w: the blob has another SHA-256 than before", ErrAnswer)
	}
	if resp.StatusCode == http.StatusOK {
		// Something on the way does not know ranges.
		if _, err := io.CopyN(io.Discard, body, d.offset); err != nil {
			return fmt.Errorf("%w before byte %d of %d: %w", ErrBroken, d.offset, d.Size, err)
		}
	}
	return nil
}

// verify decides how the download ends: io.EOF if it is what was announced.
func (d *Download) verify() error {
	d.drop()
	if subtle.ConstantTimeCompare(d.hash.Sum(nil), d.SHA256[:]) != 1 {
		return ErrDigest
	}
	return io.EOF
}

func (d *Download) drop() {
	if d.body != nil {
		d.body.Close()
		d.body = nil
	}
}

// Err is what ended the download: nil if it goes on, io.EOF if it is complete
// and verified.
func (d *Download) Err() error { return d.err }

// Rewind begins again at the first byte, as the claim key allows until Acknowledge:
// for bytes that arrived damaged, or could not be used.
func (d *Download) Rewind() {
	d.drop()
	d.offset, d.err = 0, nil
	d.hash.Reset()
}

// Acknowledge says that the whole blob is safe here, which ends the resume window.
// Call it when what was made of the bytes is on stable storage. Fails with
// ErrIncomplete before Read gave io.EOF, and like Open. A failure loses nothing.
func (d *Download) Acknowledge(ctx context.Context) error {
	if d.err != io.EOF {
		return ErrIncomplete
	}
	return d.c.call(ctx, http.StatusNoContent, nil, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.AcknowledgeBlob(ctx, &openapi.AcknowledgeBlobParams{ClaimKey: &d.claim}, bearer(d.ticket))
	})
}

// Close ends the connection. What was not read is lost with the Download, as
// nobody else has its claim key.
func (d *Download) Close() error {
	d.drop()
	return nil
}

// Format prints no field but the progress, for any verb.
func (d *Download) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "download at byte %d of %d", d.offset, d.Size)
}

// LogValue is the redacted form.
func (d *Download) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(d)) }
