package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
)

const (
	smallSize    = 64 << 10
	manyClients  = 64
	someClients  = 16
	opensOfRun   = 6000
	uploadsOfRun = 4000
)

func newSmallPayload() payload {
	block := make([]byte, smallSize)
	rand.Read(block)
	return newPayload(block, smallSize)
}

func smallOpen(ctx context.Context, b *bench, r *report) error {
	return b.withServers(ctx, func(s *servers) error { return s.smallOpen(ctx, r) })
}

func (s *servers) smallOpen(ctx context.Context, r *report) error {
	plain, mayfly, err := s.compareOpens(ctx, newSmallPayload())
	if err != nil {
		return err
	}
	r.add(newFigure("small-open", "64 KiB opens, 64 clients", opens, plain, mayfly, 0.5))
	return nil
}

// compareOpens compares the opens of small blobs by many clients, each of a ticket of
// its own, with GET of the same files.
func (s *servers) compareOpens(ctx context.Context, body payload) (plain, mayfly []measurement, err error) {
	n := s.b.scaled(opensOfRun)
	blobs, err := s.manyBlobs(ctx, body, n*(s.b.runs+1))
	if err != nil {
		return nil, nil, err
	}
	paths, err := s.blobPaths()
	if err != nil {
		return nil, nil, err
	}
	var l latencies
	each := func(fetch func(ctx context.Context, blob created, w io.Writer) error) turn {
		return l.each(manyClients, n, func(ctx context.Context, run, i int) error {
			return fetchOne(ctx, body, run, blobs[run*n+i], fetch)
		})
	}
	return s.compare(ctx, comparison{
		latencies: &l,
		// Else who begins would fetch from the disk what the kernel has dropped
		// meanwhile, and the other one from memory.
		before: func(ctx context.Context, run int) error {
			return many(ctx, manyClients, n, func(_ context.Context, i int) error {
				return s.readThrough(paths[blobs[run*n+i].ID])
			})
		},
		plain: each(func(ctx context.Context, blob created, w io.Writer) error {
			return s.get(ctx, paths[blob.ID], w)
		}),
		mayfly: each(func(ctx context.Context, blob created, w io.Writer) error {
			return s.open(ctx, blob.Tickets[0].Token, w)
		}),
	})
}

// fetchOne fetches a blob; in the warm-up it also compares.
func fetchOne(ctx context.Context, body payload, run int, blob created, fetch func(context.Context, created, io.Writer) error) error {
	if run > 0 {
		return fetch(ctx, blob, io.Discard)
	}
	var got bytes.Buffer
	if err := fetch(ctx, blob, &got); err != nil {
		return err
	}
	if !bytes.Equal(got.Bytes(), body.block) {
		return fmt.Errorf("blob %s: the bytes are not what was uploaded", blob.ID)
	}
	return nil
}

// manyBlobs uploads n blobs with a ticket each.
func (s *servers) manyBlobs(ctx context.Context, body payload, n int) ([]created, error) {
	s.b.say("  %d blobs are uploaded first", n)
	blobs := make([]created, n)
	return blobs, many(ctx, manyClients, n, func(ctx context.Context, i int) error {
		return s.upload(ctx, body, 1, &blobs[i])
	})
}

func smallUpload(ctx context.Context, b *bench, r *report) error {
	for _, clients := range []int{manyClients, someClients} {
		err := b.withServers(ctx, func(s *servers) error { return s.smallUpload(ctx, r, clients) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) smallUpload(ctx context.Context, r *report, clients int) error {
	body, n := newSmallPayload(), s.b.scaled(uploadsOfRun)
	var l latencies
	plain, mayfly, err := s.compare(ctx, comparison{
		latencies: &l,
		plain: l.each(clients, n, func(ctx context.Context, run, i int) error {
			return s.put(ctx, fmt.Sprintf("small/%d-%d", run, i), body)
		}),
		mayfly: l.each(clients, n, func(ctx context.Context, _, _ int) error {
			return s.upload(ctx, body, 1, nil)
		}),
	})
	if err != nil {
		return err
	}
	r.add(newFigure("small-upload", fmt.Sprintf("64 KiB uploads, %d clients", clients), uploads, plain, mayfly, 1))
	return nil
}
