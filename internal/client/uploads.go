package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
)

var (
	// ErrLength: the source has another length than announced. Nothing of it is kept.
	ErrLength = errors.New("the source has another length than announced")
	// ErrStoredOther: the server stored other bytes than were sent. Unsend them.
	ErrStoredOther = errors.New("the server stored other bytes than were sent")
)

// Upload is the bytes that a grant is for.
type Upload struct {
	Grant Grant
	// Size in bytes, as announced.
	Size int64
	// Open gives the bytes from their beginning. It is called for each try, and may
	// give other bytes of the same length each time, as an encryption does, unless
	// their digest was announced. A reader may still be read when the next try opens
	// its own, and for a moment after Upload returned.
	Open func() (io.ReadCloser, error)
	// Stored says what the server has. It is asked when the blob turns out to be
	// stored although no answer said so: the answer of a try was lost. Without it
	// such an upload fails with the *Problem already_stored.
	Stored func(context.Context) (Stored, error)
	// Progress, if set, is told how many bytes of this try are sent.
	Progress func(sent int64)
}

// Stored is what the server has on stable storage.
type Stored struct {
	Size      int64
	SHA256    blobstore.Digest
	ExpiresAt time.Time
}

// Upload sends the bytes and returns when they are on the server's stable storage
// with the SHA-256 that was sent (P1). It begins again after a broken connection,
// a stall, 408, 429, 5xx, six tries in all. Fails with *Problem, *UnreachableError,
// ErrLength, ErrStoredOther, ErrAnswer, ErrRedirect, or an error of Open or its
// reader. After a failure nothing is stored, unless the last answers were lost or
// it is ErrStoredOther.
func (c *Client) Upload(ctx context.Context, u Upload) (Stored, error) {
	if u.Grant.Method != http.MethodPut {
		return Stored{}, fmt.Errorf("%w: it wants the upload by another method than PUT", ErrAnswer)
	}
	if err := c.checkAddress(u.Grant.URL); err != nil {
		return Stored{}, err
	}
	// The tries that were sent whole, whatever became of their answers.
	var sent []blobstore.Digest
	return retry(ctx, c, uploading, func() (Stored, error) {
		body, err := u.open(ctx, c.stall())
		if err != nil {
			return Stored{}, backoff.Permanent(err)
		}
		stored, err := c.put(u, body)
		sum, whole, broken := body.end()
		if whole {
			sent = append(sent, sum)
		}
		var problem *Problem
		switch {
		case broken != nil:
			return Stored{}, backoff.Permanent(broken)
		case errors.As(err, &problem) && problem.Code == "already_stored" && len(sent) > 0 && u.Stored != nil:
			if stored, err = u.Stored(ctx); err != nil {
				return Stored{}, backoff.Permanent(err)
			}
		case err != nil:
			return Stored{}, err
		}
		if stored.Size != u.Size || !slices.Contains(sent, stored.SHA256) {
			return Stored{}, backoff.Permanent(ErrStoredOther)
		}
		return stored, nil
	})
}

// put is one try. The body is closed, or will be by the transport.
func (c *Client) put(u Upload, body *uploadBody) (Stored, error) {
	var answer openapi.Uploaded
	if err := c.putBody(u, body, &answer); err != nil {
		return Stored{}, err
	}
	sum, err := blobstore.ParseDigest(answer.Sha256)
	if err != nil || answer.State != openapi.BlobStateStored {
		return Stored{}, fmt.Errorf("%w: the upload is neither stored nor refused", ErrAnswer)
	}
	return Stored{Size: answer.Size, SHA256: sum, ExpiresAt: answer.ExpiresAt}, nil
}

// putBody sends a body and decodes the answer.
func (c *Client) putBody(u Upload, body *uploadBody, answer any) error {
	req, err := http.NewRequestWithContext(body.w.ctx, http.MethodPut, u.Grant.URL, body)
	if err != nil {
		body.Close()
		return fmt.Errorf("%w: no address for the upload", ErrAnswer)
	}
	for name, value := range u.Grant.Header {
		req.Header.Set(name, value)
	}
	req.Header.Set("Expect", "100-continue")
	req.ContentLength = u.Size
	if u.Size == 0 {
		// With a body net/http would take a length of 0 for an unknown one.
		_, err := io.Copy(io.Discard, body)
		body.Close()
		if err != nil {
			return err
		}
		req.Body = http.NoBody
	}
	resp, err := doer{c}.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return problemOf(resp)
	}
	return decode(body.w.ctx, resp, answer)
}

// uploadBody is one try's body: it counts and hashes what is sent, and holds the
// last bytes back until it knows that the source ends there. The transport may
// read and close it after the request is over; then it gives nothing more.
type uploadBody struct {
	src      io.ReadCloser
	size     int64
	progress func(int64)
	w        *watch
	read     int64 // from src; Read alone uses it, and atEnd
	atEnd    bool

	mu    sync.Mutex
	ended bool
	sent  int64
	hash  hash.Hash
	err   error
}

func (u Upload) open(ctx context.Context, stall time.Duration) (*uploadBody, error) {
	src, err := u.Open()
	if err != nil {
		return nil, err
	}
	return &uploadBody{src: src, size: u.Size, progress: u.Progress, w: newWatch(ctx, stall), hash: sha256.New()}, nil
}

func (b *uploadBody) Read(p []byte) (int, error) {
	b.w.pause() // now it is the source that is waited for
	n, err := b.fill(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return 0, errors.New("the request is over")
	}
	if err != nil && err != io.EOF {
		b.err = err
		return 0, err
	}
	b.hash.Write(p[:n])
	b.sent += int64(n)
	if b.progress != nil && n > 0 {
		b.progress(b.sent)
	}
	b.w.run()
	if err == io.EOF {
		b.w.timer.Reset(storeTime)
	}
	return n, err
}

// fill reads the source. Together with the last byte it looks for the source's
// end: a byte later the server would have a whole body and keep it (P1).
func (b *uploadBody) fill(p []byte) (int, error) {
	if b.atEnd {
		return 0, io.EOF
	}
	n, err := b.src.Read(p)
	b.read += int64(n)
	switch {
	case b.read > b.size:
		return 0, fmt.Errorf("%w: more than %d bytes", ErrLength, b.size)
	case err == nil && b.read == b.size:
		var next [1]byte
		_, err = io.ReadFull(b.src, next[:])
		if err == nil {
			return 0, fmt.Errorf("%w: more than %d bytes", ErrLength, b.size)
		}
	}
	if err == io.EOF && b.read < b.size {
		return 0, fmt.Errorf("%w: %d bytes, not %d", ErrLength, b.read, b.size)
	}
	b.atEnd = err == io.EOF
	return n, err
}

// end ends the try. sum is of what was sent, whole whether that was all of it,
// broken the fault of the source if it has one.
func (b *uploadBody) end() (sum blobstore.Digest, whole bool, broken error) {
	b.w.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.hash.Sum(sum[:0])
	return sum, b.err == nil && b.sent == b.size, b.err
}

// Close closes the source.
func (b *uploadBody) Close() error { return b.src.Close() }
