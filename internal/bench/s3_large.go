package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"mayfly/blobstore/bucket"
)

// directObject is where minio-go puts the large blob.
const directObject = "direct"

func s3Large(ctx context.Context, b *bench, r *report) error {
	return b.withBucket(ctx, func(s *servers, d direct) error {
		body := s.b.largePayload()
		if err := s.s3LargeOpen(ctx, r, d, body); err != nil {
			return err
		}
		return s.s3LargeUpload(ctx, r, d, body)
	})
}

func (s *servers) s3LargeOpen(ctx context.Context, r *report, d direct, body payload) error {
	var blob created
	if err := s.upload(ctx, body, opensPerRun*(s.b.runs+1), &blob); err != nil {
		return err
	}
	names, err := d.names(ctx)
	if err != nil {
		return err
	}
	name, ok := names[blob.ID]
	if !ok {
		return fmt.Errorf("blob %s has no object", blob.ID)
	}
	plain, mayfly, err := s.compare(ctx, comparison{
		plain: repeated(body, func(ctx context.Context, _ int, w io.Writer) error {
			return d.get(ctx, name, w)
		}),
		mayfly: repeated(body, func(ctx context.Context, i int, w io.Writer) error {
			return s.open(ctx, blob.Tickets[i].Token, w)
		}),
	})
	if err != nil {
		return err
	}
	r.add(newFigure("s3-large", sizeText(body.size)+" download from MinIO, one client; plain is minio-go", bytesPerSecond, plain, mayfly, 0.85))
	return s.discard(ctx, &blob)
}

func (s *servers) s3LargeUpload(ctx context.Context, r *report, d direct, body payload) error {
	var blob created
	plain, mayfly, err := s.compare(ctx, comparison{
		plain: func(ctx context.Context, _ int) (float64, error) {
			return float64(body.size), d.put(ctx, directObject, body, bucket.PartSize)
		},
		mayfly: func(ctx context.Context, _ int) (float64, error) {
			return float64(body.size), s.upload(ctx, body, 1, &blob)
		},
		after: func(ctx context.Context) error {
			if err := s.discard(ctx, &blob); err != nil {
				return err
			}
			return d.remove(ctx, directObject)
		},
	})
	if err != nil {
		return err
	}
	r.add(newFigure("s3-large", fmt.Sprintf("%s upload to MinIO, one client; plain is minio-go with parts of %s", sizeText(body.size), sizeText(bucket.PartSize)),
		bytesPerSecond, plain, mayfly, 0.8))
	return s.sayDefaultPut(ctx, d, body)
}

// sayDefaultPut tells how fast minio-go is with larger parts, as it makes them by
// itself. It stands beside no run of Mayfly, and is no figure.
func (s *servers) sayDefaultPut(ctx context.Context, d direct, body payload) error {
	var rates []float64
	for range s.b.runs {
		if err := settle(ctx); err != nil {
			return err
		}
		start := time.Now()
		if err := d.put(ctx, directObject, body, 0); err != nil {
			return err
		}
		rates = append(rates, float64(body.size)/time.Since(start).Seconds())
		if err := d.remove(ctx, directObject); err != nil {
			return err
		}
	}
	s.b.say("  minio-go with parts of its own size: %s", bytesPerSecond.format(median(rates)))
	return nil
}
