//go:build unix

package sqlstore

import (
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// BenchmarkPurgePass is the metadata side of a purge: b.N due blobs among PURGE_STORED
// that are not, with a blob store that deletes at once. A pass that finds nothing due is
// measured behind it.
//
//	PURGE_STORED=9000000 go run ./internal/testenv go test ./internal/sqlstore -run xxx -bench PurgePass -benchtime 1000000x
func BenchmarkPurgePass(b *testing.B) {
	for _, signed := range []bool{false, true} {
		name := "plain"
		if signed {
			name = "with receipts"
		}
		b.Run("postgres/"+name, func(b *testing.B) {
			table := newLoaded(b)
			stored := number(b, setting("PURGE_STORED", "100000"))
			table.load(b, b.N+stored)
			// As if each had been looked at before: so it is with what nobody opened.
			admin(b, table.server, "UPDATE "+table.schema+".blobs SET look_at = purge_at")
			admin(b, table.server, "VACUUM ANALYZE "+table.schema+".blobs")
			admin(b, table.server, "CHECKPOINT")
			// load has the first due in two weeks, and each a microsecond after the one before.
			benchmarkPass(b, table.Store, benchStart.Add(336*time.Hour+time.Duration(b.N-1)*time.Microsecond), signed)
		})
		b.Run("sqlite/"+name, func(b *testing.B) {
			st := openAt(b, filepath.Join(b.TempDir(), "mayfly.db"))
			storeMany(b, st, b.N+number(b, setting("PURGE_STORED", "100000")))
			must := func(query string) {
				if err := st.write(b.Context(), 1, func(c *conn) error { _, err := c.exec(query); return err }); err != nil {
					b.Fatal(err)
				}
			}
			must(`UPDATE blobs SET look_at = purge_at`)
			benchmarkPass(b, st, benchStart.Add(336*time.Hour+time.Duration(b.N-1)*time.Microsecond), signed)
		})
	}
}

func benchmarkPass(b *testing.B, st *Store, now time.Time, signed bool) {
	p := &expiry.Purge{Queue: st, Blobs: gone{}, Now: func() time.Time { return now }, MaxBatches: 1 << 20, Force: true}
	if signed {
		file, err := expiry.GenerateKey()
		if err != nil {
			b.Fatal(err)
		}
		if p.Receipts, err = expiry.NewSigner(file); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	r, err := p.Run(b.Context())
	b.StopTimer()
	if err != nil || r.Erased != int64(b.N) {
		b.Fatalf("%d of %d erased, %v", r.Erased, b.N, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
	const passes = 50
	began := time.Now()
	for range passes {
		if _, err := p.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(time.Since(began).Microseconds())/passes/1000, "ms/empty-pass")
}

// gone is a blob store that has nothing, and deletes at once.
type gone struct{ blobstore.Store }

func (gone) Delete(context.Context, ...blobstore.Key) error { return nil }

func (gone) Open(context.Context, blobstore.Key, int64) (io.ReadCloser, blobstore.Info, error) {
	return nil, blobstore.Info{}, blobstore.ErrNotFound
}
