package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore"
	"mayfly/blobstore/bucket"
	"mayfly/blobstore/fsblob"
	"mayfly/blobstore/minioblob"
	"mayfly/expiry"
	"mayfly/internal/sqlstore"
)

const (
	purgeObjectsTarget = 0.8
	// mayflyProcs is how many goroutines Mayfly lets run at once, at the least.
	mayflyProcs = 4
)

// purgeObjects compares a whole purge, with its claims, deletions, looks whether all is
// gone, tombstones and, the second time, receipts, with what deletes the same blobs and nothing else: a
// loop of the same store's Delete, which is as durable, and of MinIO also minio-go's
// RemoveObjects. In every turn the store is filled anew.
func purgeObjects(ctx context.Context, b *bench, r *report) error {
	var errs []error
	if slices.Contains(b.purge.PurgeIn, "folder") {
		errs = append(errs, b.purgeFiles(ctx, r))
	}
	if slices.Contains(b.purge.PurgeIn, "minio") {
		errs = append(errs, b.purgeBucket(ctx, r))
	}
	return errors.Join(errs...)
}

func (b *bench) purgeFiles(ctx context.Context, r *report) (err error) {
	return b.withDatabase(ctx, func(dir string, db *sqlstore.Store) (err error) {
		blobs, err := fsblob.Open(filepath.Join(dir, "blobs"))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, blobs.Close()) }()
		return b.purgeStore(ctx, r, "a folder", house{db, blobs}, nil)
	})
}

func (b *bench) purgeBucket(ctx context.Context, r *report) error {
	return b.withBucket(ctx, func(s *servers, d direct) error {
		s.mayfly.stop() // the bucket is what is wanted of it
		cfg, err := minioblob.Parse(s.blobs)
		if err != nil {
			return err
		}
		at, err := minioAddress(os.Getenv(minioVariable))
		if err != nil {
			return err
		}
		secret, _ := at.User.Password()
		blobs, err := minioblob.Open(cfg, minioblob.Credentials{AccessKey: at.User.Username(), SecretKey: secret}, bucket.NewBudget(bucket.DefaultBudget))
		if err != nil {
			return err
		}
		defer blobs.Close()
		return b.withDatabase(ctx, func(_ string, db *sqlstore.Store) error {
			return b.purgeStore(ctx, r, "MinIO", house{db, blobs}, &d)
		})
	})
}

// withDatabase calls do with a fresh SQLite in a fresh folder.
func (b *bench) withDatabase(ctx context.Context, do func(dir string, db *sqlstore.Store) error) error {
	dir, err := os.MkdirTemp(b.dir, "purge-")
	if err != nil {
		return err
	}
	db, err := sqlstore.Open(ctx, sqlstore.Config{URL: "sqlite://" + filepath.Join(dir, "mayfly.db"), Migrate: true})
	if err != nil {
		return err
	}
	return errors.Join(do(dir, db), db.Close())
}

func (b *bench) purgeStore(ctx context.Context, r *report, name string, h house, d *direct) error {
	// All sides run in this process, and as Mayfly itself does: who waits for the disk does
	// not keep the others waiting.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(mayflyProcs, runtime.GOMAXPROCS(0))))
	n, body := b.scaled(b.purge.PurgeObjects), newTinyPayload()
	signer, err := newSigner()
	if err != nil {
		return err
	}
	purge := func(receipts *expiry.Signer) emptying {
		return h.filled(body, n, func(ctx context.Context) error {
			return h.purge(ctx, &expiry.Purge{Receipts: receipts, Allowed: int64(n)}, int64(n))
		})
	}
	purges := []string{"a whole purge", "a whole purge with receipts"}
	sides := []emptying{purge(nil), purge(signer), h.put(body, n, h.deleteAll)}
	loops := []string{"the store's Delete"}
	if d != nil {
		sides = append(sides, h.put(body, n, d.removeAll))
		loops = append(loops, "minio-go's RemoveObjects")
	}
	turns, err := b.alternate(ctx, float64(n), sides, h.empty)
	if err != nil {
		return err
	}
	for i, loop := range loops {
		for j, purge := range purges {
			what := fmt.Sprintf("%d blobs of 4 KiB in %s, %s; in place of the plain server a loop of %s", n, name, purge, loop)
			r.add(newFigure("purge-objects", what, erasures, turns[len(purges)+i], turns[j], purgeObjectsTarget))
		}
	}
	return nil
}

// emptying is one of several that empty the same store.
type emptying struct {
	// fill is done before each turn, and not measured.
	fill, empty func(context.Context) error
}

// filled is for what reads the rows of n blobs that are due.
func (h house) filled(body payload, n int, empty func(context.Context) error) emptying {
	return emptying{func(ctx context.Context) error { return h.fill(ctx, body, n) }, empty}
}

// put is for what is given the keys of n blobs.
func (h house) put(body payload, n int, empty func(context.Context, []blobstore.Key) error) emptying {
	var keys []blobstore.Key
	return emptying{
		func(ctx context.Context) (err error) { keys, err = h.putMany(ctx, body, n); return err },
		func(ctx context.Context) error { return empty(ctx, keys) },
	}
}

func (h house) purge(ctx context.Context, p *expiry.Purge, n int64) error {
	p.Queue, p.Blobs = h.db, h.blobs
	r, err := p.Run(ctx)
	if err == nil && (r.Erased != n || r.Unsigned > 0) {
		err = fmt.Errorf("of %d blobs %d were erased, %d failed and %d have no receipt: %v", n, r.Erased, r.Failed, r.Unsigned, r.Failures)
	}
	return err
}

func (h house) deleteAll(ctx context.Context, keys []blobstore.Key) error {
	for batch := range slices.Chunk(keys, purgeBatch) {
		if err := h.blobs.Delete(ctx, batch...); err != nil {
			return err
		}
	}
	return nil
}

// removeAll deletes with as few requests as there can be, without Mayfly. The bucket has no prefix.
func (d direct) removeAll(ctx context.Context, keys []blobstore.Key) error {
	results, err := d.core.RemoveObjectsWithIter(ctx, d.bucket, func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			if !yield(minio.ObjectInfo{Key: string(key)}) {
				return
			}
		}
	}, minio.RemoveObjectsOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for r := range results {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.ObjectName, r.Err))
		}
	}
	return errors.Join(errs...)
}

// alternate is inTurn for more than two sides, each of which does amount. After each
// turn check is called.
func (b *bench) alternate(ctx context.Context, amount float64, sides []emptying, check func(context.Context) error) ([][]measurement, error) {
	turns := make([][]measurement, len(sides))
	for run := range b.runs + 1 {
		for i := range sides {
			at := (i + run) % len(sides)
			m, err := sides[at].measure(ctx, amount)
			if err := errors.Join(err, ctx.Err()); err != nil {
				return nil, err
			}
			if err := check(ctx); err != nil {
				return nil, err
			}
			if run > 0 {
				turns[at] = append(turns[at], m)
			}
		}
	}
	return turns, nil
}

func (e emptying) measure(ctx context.Context, amount float64) (m measurement, err error) {
	if err := errors.Join(e.fill(ctx), settle(ctx)); err != nil {
		return m, err
	}
	began := time.Now()
	err = e.empty(ctx)
	m.Seconds = time.Since(began).Seconds()
	m.PerSecond = amount / m.Seconds
	return m, err
}
