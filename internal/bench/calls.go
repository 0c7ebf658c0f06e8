package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// newClient is the client of both sides. It keeps a connection per caller.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 1024,
		DisableCompression:  true,
	}}
}

// copyBuffers make the client's part of a large body cheap: io.Discard alone
// would read 8 KiB at a time.
var copyBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// onlyWriter hides io.ReaderFrom, so that the buffer is used.
type onlyWriter struct{ io.Writer }

// do makes a request that must be answered with want, and copies the body to w.
func (s *servers) do(req *http.Request, want int, w io.Writer) error {
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s %s: %s\n%s", req.Method, req.URL.Path, resp.Status, text)
	}
	buf := copyBuffers.Get().(*[256 << 10]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(onlyWriter{w}, resp.Body, buf[:])
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	if resp.ContentLength >= 0 && n != resp.ContentLength {
		return fmt.Errorf("%s %s: %d bytes, not %d", req.Method, req.URL.Path, n, resp.ContentLength)
	}
	return nil
}

// created is what Mayfly answers to an upload.
type created struct {
	ID      uuid.UUID `json:"id"`
	Tickets []issued  `json:"tickets"`
}

type issued struct {
	Token string `json:"token"`
}

// upload stores a blob in one call, with a ticket for each of n recipients. The
// answer is decoded into c unless that is nil.
func (s *servers) upload(ctx context.Context, body payload, n int, c *created) error {
	query := url.Values{"sha256": {body.digest}}
	for i := range n {
		query.Add("recipient", fmt.Sprintf("recipient-%d", i))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.mayflyURL+"/v1/blobs?"+query.Encode(), body.reader())
	if err != nil {
		return err
	}
	req.ContentLength = body.size
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/octet-stream")
	if c == nil {
		return s.do(req, http.StatusCreated, io.Discard)
	}
	var answer bytes.Buffer
	if err := s.do(req, http.StatusCreated, &answer); err != nil {
		return err
	}
	if err := json.Unmarshal(answer.Bytes(), c); err != nil {
		return err
	}
	if len(c.Tickets) != n {
		return fmt.Errorf("%d tickets, not %d", len(c.Tickets), n)
	}
	return nil
}

// open spends a ticket and copies the blob to w.
func (s *servers) open(ctx context.Context, token string, w io.Writer) error {
	return s.openAt(ctx, s.mayflyURL, token, w)
}

// openAt opens a ticket at the server with this URL.
func (s *servers) openAt(ctx context.Context, url, token string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/download", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return s.do(req, http.StatusOK, w)
}

// unsend makes a blob due.
func (s *servers) unsend(ctx context.Context, id uuid.UUID) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.mayflyURL+"/v1/blobs/"+id.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	return s.do(req, http.StatusNoContent, io.Discard)
}

// get fetches a file from the plain server.
func (s *servers) get(ctx context.Context, path string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.plainURL+"/"+path, nil)
	if err != nil {
		return err
	}
	return s.do(req, http.StatusOK, w)
}

// put sends a file to the plain server.
func (s *servers) put(ctx context.Context, path string, body payload) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.plainURL+"/"+path, body.reader())
	if err != nil {
		return err
	}
	req.ContentLength = body.size
	req.Header.Set("Content-Type", "application/octet-stream")
	return s.do(req, http.StatusCreated, io.Discard)
}

// payload is the content of a blob: one block again and again.
type payload struct {
	block  []byte
	size   int64
	digest string
}

// newPayload makes a payload of size bytes, which the block's length divides.
func newPayload(block []byte, size int64) payload {
	p := payload{block: block, size: size}
	h := sha256.New()
	io.Copy(h, p.reader())
	p.digest = fmt.Sprintf("%x", h.Sum(nil))
	return p
}

func (p payload) reader() io.Reader {
	if int64(len(p.block)) == p.size {
		return bytes.NewReader(p.block)
	}
	return &repeat{block: p.block, left: p.size}
}

// check is a writer and the question whether it was given the payload.
func (p payload) check() (io.Writer, func() error) {
	h := sha256.New()
	return h, func() error {
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != p.digest {
			return fmt.Errorf("the bytes have the SHA-256 %s, not %s", got, p.digest)
		}
		return nil
	}
}

// repeat reads a block again and again, left bytes in all, which the block's
// length divides.
type repeat struct {
	block []byte
	left  int64
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := int64(len(r.block))
	m := copy(p, r.block[(n-r.left%n)%n:])
	r.left -= int64(m)
	return m, nil
}

// many calls do for 0 to n-1 from as many goroutines as there are clients. The
// first error ends it.
func many(ctx context.Context, clients, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
