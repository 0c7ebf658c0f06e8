package bucket

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"mayfly/blobstore"
)

// Put implements blobstore.Store.
func (s *Store) Put(ctx context.Context, key blobstore.Key, r io.Reader, size int64) error {
	if err := s.put(ctx, key, r, size); err != nil {
		return fmt.Errorf("put blob %s: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key blobstore.Key, r io.Reader, size int64) error {
	if _, err := blobstore.ParseKey(string(key)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("%w: %d bytes", blobstore.ErrSize, size)
	}
	name := s.name(key)
	if size > PartSize {
		return s.putParts(ctx, name, r, size)
	}
	buffer, back, err := s.budget.take(ctx, size)
	if err != nil {
		return err
	}
	defer back()
	// The whole body is here, and was checked to its end, before the server hears of
	// it: a wrong one leaves nothing.
	if err := fill(ctx, r, buffer, true); err != nil {
		return err
	}
	ctx, cancel := s.Limits.transfer(ctx)
	defer cancel()
	err = s.client.Put(ctx, name, buffer)
	if err == nil {
		return nil
	}
	sum := md5.Sum(buffer)
	return s.settle(ctx, err, name, size, hex.EncodeToString(sum[:]))
}

// settle finds out what became of a blob whose Put ended with err: the answer may
// have been lost, and the SDK, which has tried again, met its own work. The tag of an
// object is the MD5 of its bytes; where a server makes it otherwise the Put fails,
// and the purge deletes what is there.
func (s *Store) settle(ctx context.Context, err error, name string, size int64, etag string) error {
	o, statErr := s.stat(ctx, name)
	switch {
	case statErr != nil:
		return err
	case o.Size != size || !strings.EqualFold(o.ETag, etag):
		return blobstore.ErrExists
	}
	return nil
}

// tagOfParts is the tag of an object that was put in parts.
func tagOfParts(etags []string) string {
	h := md5.New()
	for _, etag := range etags {
		etag, _, _ = strings.Cut(etag, " ")
		raw, _ := hex.DecodeString(etag) // of another form it will match nothing
		h.Write(raw)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(etags))
}

// putParts sends a body in parts. Until they are completed nobody sees any of it.
func (s *Store) putParts(ctx context.Context, name string, r io.Reader, size int64) (err error) {
	// Asked before the bytes are sent, and again, by the server, when they are completed.
	if _, err := s.stat(ctx, name); err == nil {
		return blobstore.ErrExists
	} else if !errors.Is(err, blobstore.ErrNotFound) {
		return err
	}
	upload, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.abort(ctx, name, upload)
		}
	}()
	etags, err := s.sendParts(ctx, name, upload, r, size)
	if err != nil {
		return err
	}
	return s.complete(ctx, name, upload, size, etags)
}

// sendParts reads a part while the one before it is sent. The last part is sent only
// after the body was read to its end, where a DigestReader says whether it is the
// right one.
func (s *Store) sendParts(ctx context.Context, name, upload string, r io.Reader, size int64) (etags []string, err error) {
	type sent struct {
		etag string
		err  error
	}
	var sending chan sent // nil: no part is on its way
	arrived := func() error {
		if sending == nil {
			return nil
		}
		part := <-sending
		sending = nil
		etags = append(etags, part.etag)
		return part.err
	}
	// Whoever aborts the upload must find no part on its way.
	defer func() {
		if lateErr := arrived(); err == nil {
			err = lateErr
		}
	}()
	number := 0
	for offset := int64(0); offset < size; offset += PartSize {
		n := min(PartSize, size-offset)
		buffer, back, err := s.budget.take(ctx, n)
		if err != nil {
			return nil, err
		}
		if err = fill(ctx, r, buffer, offset+n == size); err == nil {
			err = arrived()
		}
		if err != nil {
			back()
			return nil, err
		}
		number++
		done, part := make(chan sent, 1), number
		sending = done
		go func() {
			defer back()
			etag, err := s.putPart(ctx, name, upload, part, buffer)
			done <- sent{etag, err}
		}()
	}
	return etags, nil
}

func (s *Store) putPart(ctx context.Context, name, upload string, number int, body []byte) (string, error) {
	ctx, cancel := s.Limits.transfer(ctx)
	defer cancel()
	return s.client.PutPart(ctx, name, upload, number, body)
}

func (s *Store) begin(ctx context.Context, name string) (string, error) {
	ctx, cancel := s.Limits.request(ctx)
	defer cancel()
	return s.client.Begin(ctx, name)
}

// complete makes a blob of the parts.
func (s *Store) complete(ctx context.Context, name, upload string, size int64, etags []string) error {
	ctx, cancel := s.Limits.transfer(ctx)
	defer cancel()
	err := s.client.Complete(ctx, name, upload, etags)
	if err == nil {
		return nil
	}
	return s.settle(ctx, err, name, size, tagOfParts(etags))
}

// abort frees the parts of an upload that failed. What it cannot do now the sweep does.
func (s *Store) abort(ctx context.Context, name, upload string) {
	ctx, cancel := tidy(ctx)
	defer cancel()
	_ = s.client.Abort(ctx, name, upload)
}

// fill reads exactly buffer from r and, if these are the last bytes, finds r to end.
func fill(ctx context.Context, r io.Reader, buffer []byte, last bool) error {
	n := 0
	var one [1]byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := buffer[n:]
		if len(to) == 0 {
			if !last {
				return nil
			}
			to = one[:]
		}
		m, err := r.Read(to)
		if n == len(buffer) && m > 0 {
			return fmt.Errorf("%w: it goes on after %d bytes", blobstore.ErrSize, n)
		}
		n += m
		switch {
		case err == io.EOF && n < len(buffer):
			return fmt.Errorf("%w: it ends early", blobstore.ErrSize)
		case err == io.EOF:
			return nil // of a part that is not the last, the next one finds the same
		case err != nil:
			return fmt.Errorf("read the body: %w", err)
		}
	}
}
