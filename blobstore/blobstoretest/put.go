package blobstoretest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"mayfly/blobstore"
)

var putTests = []test{
	{"round trip of any size", putRoundTrip},
	{"reads a body in odd pieces", putOddReaders},
	{"is visible only when complete", putVisibleWhenComplete},
	{"leaves nothing when it fails", putLeavesNothing},
	{"ends soon when the body does not", putEndless},
	{"reads to the end of a digest reader", putDigest},
	{"does not replace", putExists},
	{"has one winner", putRace},
}

func putRoundTrip(t *testing.T, s store) {
	var keys []blobstore.Key
	for _, size := range []int{0, 1, 4095, 64<<10 - 1, 64 << 10, 64<<10 + 1, big} {
		key, body := s.put(t, size)
		s.wantBlob(t, key, body)
		keys = append(keys, key)
	}
	s.wantOnly(t, keys...)
}

func putOddReaders(t *testing.T, s store) {
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one byte at a time":    iotest.OneByteReader,
		"EOF with the data":     iotest.DataErrReader,
		"half of what is asked": iotest.HalfReader,
	} {
		key, body := s.newKey(), newBody(70_001)
		if err := s.Put(t.Context(), key, wrap(bytes.NewReader(body)), int64(len(body))); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.wantBlob(t, key, body)
	}
}

func putVisibleWhenComplete(t *testing.T, s store) {
	key, body := s.newKey(), newBody(big)
	p := s.putHalf(t, key, body)

	s.wantNone(t, key)
	blobs, partial := s.list(t)
	if len(blobs) != 0 {
		t.Errorf("All yields %v as complete while it is being put", blobs)
	}
	for _, info := range partial {
		if info.Key != "" && info.Key != key {
			t.Errorf("All yields an unfinished upload of %s, not of %s", info.Key, key)
		}
	}

	if err := p.finish(); err != nil {
		t.Fatalf("Put: %v", err)
	}
	s.wantBlob(t, key, body)
	s.wantOnly(t, key)
}

// halfPut is a Put that waits in the middle of its body.
type halfPut struct {
	release func()
	result  chan error
}

// putHalf begins to put body and returns when half of it was read.
func (s store) putHalf(t *testing.T, key blobstore.Key, body []byte) halfPut {
	t.Helper()
	reached, released := make(chan struct{}), make(chan struct{})
	half := len(body) / 2
	r := io.MultiReader(
		bytes.NewReader(body[:half]),
		call(func() { close(reached); <-released }),
		bytes.NewReader(body[half:]),
	)
	p := halfPut{sync.OnceFunc(func() { close(released) }), make(chan error, 1)}
	t.Cleanup(p.release)
	go func() { p.result <- s.Put(t.Context(), key, r, int64(len(body))) }()
	select {
	case <-reached:
	case err := <-p.result:
		t.Fatalf("Put ended before half of its body was read: %v", err)
	}
	return p
}

// finish lets the Put read on and waits for its end.
func (p halfPut) finish() error {
	p.release()
	return <-p.result
}

// call is a reader of nothing that calls a function when it is its turn.
type call func()

func (c call) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}

var errBody = errors.New("the client went away")

func putLeavesNothing(t *testing.T, s store) {
	for _, size := range []int{10, 64 << 10, big} {
		body := newBody(size)
		half := body[:size/2]
		for _, c := range []struct {
			name string
			want error
			body func(cancel func()) io.Reader
		}{
			{"cancelled before", context.Canceled, func(cancel func()) io.Reader {
				cancel()
				return bytes.NewReader(body)
			}},
			{"cancelled midway", context.Canceled, func(cancel func()) io.Reader {
				return io.MultiReader(bytes.NewReader(half), call(cancel), bytes.NewReader(body[len(half):]))
			}},
			{"short", blobstore.ErrSize, func(func()) io.Reader { return bytes.NewReader(half) }},
			{"short by one", blobstore.ErrSize, func(func()) io.Reader { return bytes.NewReader(body[:size-1]) }},
			{"empty", blobstore.ErrSize, func(func()) io.Reader { return bytes.NewReader(nil) }},
			{"long by one", blobstore.ErrSize, func(func()) io.Reader {
				return io.MultiReader(bytes.NewReader(body), bytes.NewReader([]byte{0}))
			}},
			{"twice as long", blobstore.ErrSize, func(func()) io.Reader {
				return io.MultiReader(bytes.NewReader(body), bytes.NewReader(body))
			}},
			{"failing at once", errBody, func(func()) io.Reader { return iotest.ErrReader(errBody) }},
			{"failing midway", errBody, func(func()) io.Reader {
				return io.MultiReader(bytes.NewReader(half), iotest.ErrReader(errBody))
			}},
			{"failing in place of the end", errBody, func(func()) io.Reader {
				return io.MultiReader(bytes.NewReader(body), iotest.ErrReader(errBody))
			}},
			// What net/http gives when a client breaks off: not to be taken for
			// the short read of some io function.
			{"broken off", io.ErrUnexpectedEOF, func(func()) io.Reader {
				return io.MultiReader(bytes.NewReader(half), iotest.ErrReader(io.ErrUnexpectedEOF))
			}},
		} {
			key := s.newKey()
			ctx, cancel := context.WithCancel(t.Context())
			err := s.Put(ctx, key, c.body(cancel), int64(size))
			cancel()
			if !errors.Is(err, c.want) {
				t.Errorf("%d bytes, %s: %v, want %v", size, c.name, err, c.want)
			}
			if c.want == io.ErrUnexpectedEOF && errors.Is(err, blobstore.ErrSize) {
				t.Errorf("%d bytes, %s: %v: the body's own error is taken for a wrong size", size, c.name, err)
			}
			s.wantNone(t, key)
			s.wantOnly(t)
			if t.Failed() {
				t.Fatalf("%d bytes, %s", size, c.name)
			}
			if size == 10 {
				// Nothing that is left stands in the way either.
				s.mustPut(t, key, body)
				if err := s.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// putEndless: who announces little and sends without end fills neither the disk
// nor the memory.
func putEndless(t *testing.T, s store) {
	const size, enough = 1000, 16 << 20
	key := s.newKey()
	r := io.MultiReader(io.LimitReader(zeros{}, size+enough), iotest.ErrReader(errBody))
	if err := s.Put(t.Context(), key, r, size); !errors.Is(err, blobstore.ErrSize) {
		t.Errorf("Put: %v, want ErrSize before %d bytes too many", err, enough)
	}
	s.wantNone(t, key)
	s.wantOnly(t)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func putDigest(t *testing.T, s store) {
	for _, size := range []int{0, 1, 64 << 10, big} {
		key, body := s.newKey(), newBody(size)
		r := blobstore.NewDigestReader(bytes.NewReader(body), int64(size), nil)
		if err := s.Put(t.Context(), key, r, int64(size)); err != nil {
			t.Fatal(err)
		}
		sum, ok := r.Sum()
		if !ok {
			t.Fatalf("Put of %d bytes did not read its body to the end", size)
		}

		other := s.newKey()
		wrong := sum
		wrong[0]++
		r = blobstore.NewDigestReader(bytes.NewReader(body), int64(size), &wrong)
		if err := s.Put(t.Context(), other, r, int64(size)); !errors.Is(err, blobstore.ErrDigest) {
			t.Fatalf("Put of %d bytes with a wrong digest: %v, want ErrDigest", size, err)
		}
		s.wantNone(t, other)
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		s.wantOnly(t)
	}
}

func putExists(t *testing.T, s store) {
	key, body := s.put(t, 1000)
	for _, size := range []int{0, 1000, 2000} {
		err := s.Put(t.Context(), key, bytes.NewReader(newBody(size)), int64(size))
		if !errors.Is(err, blobstore.ErrExists) {
			t.Fatalf("second Put: %v, want ErrExists", err)
		}
		s.wantBlob(t, key, body)
		s.wantOnly(t, key)
	}
}

func putRace(t *testing.T, s store) {
	const racers = 16
	for _, size := range []int{100, 300_000} {
		key := s.newKey()
		var bodies [racers][]byte
		var errs [racers]error
		start := make(chan struct{})
		var done sync.WaitGroup
		for i := range racers {
			bodies[i] = newBody(size)
			done.Go(func() {
				<-start
				errs[i] = s.Put(t.Context(), key, bytes.NewReader(bodies[i]), int64(size))
			})
		}
		close(start)
		done.Wait()

		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner < 0:
				winner = i
			case err == nil:
				t.Errorf("%d and %d both won", winner, i)
			case !errors.Is(err, blobstore.ErrExists):
				t.Errorf("a loser got %v, want ErrExists", err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody won")
		}
		s.wantBlob(t, key, bodies[winner])
		s.wantOnly(t, key)
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
}
