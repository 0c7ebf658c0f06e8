package client

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"

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
	return d.c.call(ctx, shortly, http.StatusNoContent, nil, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
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
