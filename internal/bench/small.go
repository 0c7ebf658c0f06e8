package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/google/uuid"
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
	o, err := s.uploadForOpens(ctx, newSmallPayload())
	if err != nil {
		return err
	}
	all, err := s.takeTurns(ctx, &o.latencies, o.byGet(), o.byTicket(s.mayfly, s.mayflyURL))
	if err != nil {
		return err
	}
	r.add(newFigure("small-open", "64 KiB opens, 64 clients", opens, all[0], all[1], 0.5))
	return nil
}

// manyOpens are opens of small blobs by many clients, each of a ticket of its own.
type manyOpens struct {
	*servers
	body      payload
	n         int // in a turn
	uploaded  []created
	paths     map[uuid.UUID]string
	latencies latencies
}

func (s *servers) uploadForOpens(ctx context.Context, body payload) (*manyOpens, error) {
	o := &manyOpens{servers: s, body: body, n: s.b.scaled(opensOfRun)}
	var err error
	if o.uploaded, err = s.manyBlobs(ctx, body, o.n*(s.b.runs+1)); err != nil {
		return nil, err
	}
	o.paths, err = s.blobPaths()
	return o, err
}

// byGet is the plain server's side: GET of the same files.
func (o *manyOpens) byGet() side {
	return o.side(o.plain, func(ctx context.Context, blob created, w io.Writer) error {
		return o.get(ctx, o.paths[blob.ID], w)
	})
}

// byTicket is the side of a server at this URL that opens tickets.
func (o *manyOpens) byTicket(server *process, url string) side {
	return o.side(server, func(ctx context.Context, blob created, w io.Writer) error {
		return o.openAt(ctx, url, blob.Tickets[0].Token, w)
	})
}

func (o *manyOpens) side(server *process, fetch func(context.Context, created, io.Writer) error) side {
	return side{
		server: server,
		// Else who begins would fetch from the disk what the kernel has dropped
		// meanwhile, and the other one from memory.
		before: func(ctx context.Context, run int) error {
			return many(ctx, manyClients, o.n, func(_ context.Context, i int) error {
				return o.readThrough(o.paths[o.uploaded[run*o.n+i].ID])
			})
		},
		do: o.latencies.each(manyClients, o.n, func(ctx context.Context, run, i int) error {
			return fetchOne(ctx, o.body, run, o.uploaded[run*o.n+i], fetch)
		}),
	}
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
