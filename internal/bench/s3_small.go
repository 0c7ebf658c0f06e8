package main

import (
	"context"
	"fmt"
	"io"
)

// s3OpsOfRun is how many blobs a run opens or uploads: MinIO takes milliseconds for one.
const s3OpsOfRun = 2000

func s3Small(ctx context.Context, b *bench, r *report) error {
	for _, do := range []func(*servers, context.Context, *report, direct) error{(*servers).s3SmallOpen, (*servers).s3SmallUpload} {
		if err := b.withBucket(ctx, func(s *servers, d direct) error { return do(s, ctx, r, d) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) s3SmallOpen(ctx context.Context, r *report, d direct) error {
	body, n := newSmallPayload(), s.b.scaled(s3OpsOfRun)
	blobs, err := s.manyBlobs(ctx, body, n*(s.b.runs+1))
	if err != nil {
		return err
	}
	names, err := d.names(ctx)
	if err != nil {
		return err
	}
	var l latencies
	each := func(fetch func(ctx context.Context, blob created, w io.Writer) error) turn {
		return l.each(someClients, n, func(ctx context.Context, run, i int) error {
			return fetchOne(ctx, body, run, blobs[run*n+i], fetch)
		})
	}
	fromMinio := each(func(ctx context.Context, blob created, w io.Writer) error {
		return d.get(ctx, names[blob.ID], w)
	})
	plain, mayfly, err := s.compare(ctx, comparison{
		latencies: &l,
		// As in small-open: the one who begins is not to be the first who reads.
		before: func(ctx context.Context, run int) error { _, err := fromMinio(ctx, run); return err },
		plain:  fromMinio,
		mayfly: each(func(ctx context.Context, blob created, w io.Writer) error {
			return s.open(ctx, blob.Tickets[0].Token, w)
		}),
	})
	if err != nil {
		return err
	}
	addS3Small(r, "opens", opens, plain, mayfly)
	return nil
}

func (s *servers) s3SmallUpload(ctx context.Context, r *report, d direct) error {
	body, n := newSmallPayload(), s.b.scaled(s3OpsOfRun)
	var l latencies
	plain, mayfly, err := s.compare(ctx, comparison{
		latencies: &l,
		plain: l.each(someClients, n, func(ctx context.Context, run, i int) error {
			return d.put(ctx, fmt.Sprintf("direct/%d-%d", run, i), body, 0)
		}),
		mayfly: l.each(someClients, n, func(ctx context.Context, _, _ int) error {
			return s.upload(ctx, body, 1, nil)
		}),
	})
	if err != nil {
		return err
	}
	addS3Small(r, "uploads", uploads, plain, mayfly)
	return nil
}

// addS3Small adds a rate, which has no target, and the latencies of the same runs.
func addS3Small(r *report, what string, u unit, plain, mayfly []measurement) {
	what = fmt.Sprintf("64 KiB %s with MinIO, %d clients", what, someClients)
	r.add(newFigure("s3-small", what+"; plain is minio-go", u, plain, mayfly, 0))
	r.add(newAdded("s3-small", what+": half are within", plain, mayfly, func(m measurement) float64 { return m.P50 }))
	r.add(newAdded("s3-small", what+": 99 % are within", plain, mayfly, func(m measurement) float64 { return m.P99 }))
}
