package main

import (
	"context"
	"fmt"
	"io"
)

const (
	s3Parallel    = 32
	s3MemoryBound = 256 << 20
)

// s3Memory takes Mayfly's resident memory at its peak. It is one run of each: they
// are long, and what counts is the most. Each has a fresh process: what uploads leave
// resident is not the downloads'.
func s3Memory(ctx context.Context, b *bench, r *report) error {
	return b.withBucket(ctx, func(s *servers, _ direct) error { return s.s3Peaks(ctx, r) })
}

func (s *servers) s3Peaks(ctx context.Context, r *report) error {
	body := newPayload(newBlock(), int64(s.b.scaled(256))<<20)
	blobs := make([]created, s3Parallel)
	for _, stage := range []struct {
		what string
		do   func(ctx context.Context, i int) error
	}{
		{"uploads", func(ctx context.Context, i int) error { return s.upload(ctx, body, 1, &blobs[i]) }},
		{"downloads", func(ctx context.Context, i int) error { return s.open(ctx, blobs[i].Tickets[0].Token, io.Discard) }},
	} {
		if err := s.restartMayfly(ctx); err != nil {
			return err
		}
		m, err := peakDuring(s.mayfly, func() error { return many(ctx, s3Parallel, s3Parallel, stage.do) })
		if err != nil {
			return err
		}
		what := fmt.Sprintf("peak with %d %s of %s with MinIO", s3Parallel, stage.what, sizeText(body.size))
		s.b.say("  %s: %s resident, of that %s its own memory", what, bytesResident.format(float64(m.Peak)), bytesResident.format(float64(m.Anon)))
		r.add(newBound("s3-memory", what, bytesResident, nil, []float64{float64(m.Peak)}, s3MemoryBound))
		if err := settle(ctx); err != nil {
			return err
		}
	}
	return nil
}
