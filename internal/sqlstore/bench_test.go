//go:build unix

package sqlstore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"mayfly/blobstore"
	"mayfly/tickets"
)

// callers is how many opens are under way at once.
const callers = 64

var benchStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// BenchmarkSpendShared against BenchmarkSpendSingle is what sharing commits is worth:
// the same callers, on a real disk, with a commit of their own each.
func BenchmarkSpendShared(b *testing.B) { benchmarkSpend(b, maxBatchRows) }

func BenchmarkSpendSingle(b *testing.B) { benchmarkSpend(b, 1) }

func benchmarkSpend(b *testing.B, limit int) {
	st := openAt(b, filepath.Join(b.TempDir(), "mayfly.db"))
	ts := storeMany(b, st, b.N)
	embedded(st).writes.limit = limit
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	defer reportCPU(b, cpuTime())
	parallel(callers, func() {
		for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
			t := ts[i-1]
			won, err := st.Spend(b.Context(), tickets.Spend{Ticket: t.ID, Blob: t.BlobID, Hash: t.Hash, Claim: t.Hash, Now: benchStart})
			if err != nil || !won {
				b.Errorf("spend: %v, %v", won, err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "spends/s")
}

// BenchmarkFindTicket looks up tickets all over a database of 100,000.
func BenchmarkFindTicket(b *testing.B) {
	st := openAt(b, filepath.Join(b.TempDir(), "mayfly.db"))
	ts := storeMany(b, st, 100_000)
	b.ReportAllocs()
	defer reportCPU(b, cpuTime())
	for i := 0; b.Loop(); i++ {
		t := ts[i*7919%len(ts)]
		if _, _, err := st.FindTicket(b.Context(), t.ID, t.Hash); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is what an open asks of the store: a FindTicket and a Spend, by 64
// callers at once.
func BenchmarkOpen(b *testing.B) {
	st := openAt(b, filepath.Join(b.TempDir(), "mayfly.db"))
	ts := storeMany(b, st, b.N)
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	defer reportCPU(b, cpuTime())
	parallel(callers, func() {
		for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
			t := ts[i-1]
			if _, _, err := st.FindTicket(b.Context(), t.ID, t.Hash); err != nil {
				b.Error(err)
			}
			won, err := st.Spend(b.Context(), tickets.Spend{Ticket: t.ID, Blob: t.BlobID, Hash: t.Hash, Claim: t.Hash, Now: benchStart})
			if err != nil || !won {
				b.Errorf("spend: %v, %v", won, err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "opens/s")
}

// BenchmarkReserveCreate is what an upload asks of the store, by 64 callers at once.
func BenchmarkReserveCreate(b *testing.B) {
	st := openAt(b, filepath.Join(b.TempDir(), "mayfly.db"))
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	defer reportCPU(b, cpuTime())
	parallel(callers, func() {
		for int(next.Add(1)) <= b.N {
			blob, ts := benchBlob()
			key := benchKey(blob.ID)
			blob.State, blob.Key, blob.StoredAt = tickets.BlobStored, key, benchStart
			blob.ExpiresAt, blob.PurgeAt = benchStart.Add(336*time.Hour), benchStart.Add(336*time.Hour)
			if err := st.Reserve(b.Context(), []tickets.Attempt{{ID: blob.ID, Key: key, Due: blob.UploadUntil}}); err != nil {
				b.Error(err)
			}
			if err := st.Create(b.Context(), blob, ts); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "uploads/s")
}

// BenchmarkPurge claims and erases 10,000 due blobs among 10 times as many that are
// not due: its cost must follow the first number.
func BenchmarkPurge(b *testing.B) {
	st := openAt(b, filepath.Join(b.TempDir(), "mayfly.db"))
	storeMany(b, st, 100_000)
	for b.Loop() {
		b.StopTimer()
		due := storeMany(b, st, 10_000)
		for _, t := range due {
			if err := st.Unsend(b.Context(), "acme", t.BlobID, benchStart); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		for n := 0; n < len(due); {
			batch, err := st.Claim(b.Context(), time.Time{}, benchStart, time.Hour, 100)
			if err != nil || len(batch) == 0 {
				b.Fatal(len(batch), err)
			}
			if err := st.Erase(b.Context(), batch, benchStart); err != nil {
				b.Fatal(err)
			}
			n += len(batch)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/blob")
}

// cpuTime is what the process has used. On a machine that others use too it says
// more than the time that passed.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportCPU reports the processor time of one operation since start.
func reportCPU(b *testing.B, start time.Duration) {
	b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
}

func parallel(n int, do func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(do)
	}
	all.Wait()
}

// storeMany stores n blobs with a ticket each, in few transactions.
func storeMany(b testing.TB, st *Store, n int) []tickets.Ticket {
	b.Helper()
	all := make([]tickets.Ticket, 0, n)
	for len(all) < n {
		err := st.write(b.Context(), maxBatchRows, func(c *conn) error {
			for range min(n-len(all), 5000) {
				blob, ts := benchBlob()
				if err := errors.Join(addBlob(c, blob, ts, ts[0].Hash), addTickets(c, blob.ID, ts)); err != nil {
					return err
				}
				_, err := c.exec(`UPDATE blobs SET state = 'stored', key = $2, sha256 = $3, stored_at = $4, expires_at = $5, purge_at = $5, look_at = $4 + keep
					WHERE id = $1`, blob.ID[:], string(benchKey(blob.ID)), ts[0].Hash[:],
					micros(benchStart), micros(benchStart.Add(336*time.Hour))+int64(len(all)))
				if err != nil {
					return err
				}
				all = append(all, ts[0])
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return all
}

func benchBlob() (tickets.Blob, []tickets.Ticket) {
	id := uuid.Must(uuid.NewV7())
	terms := tickets.Terms{
		Policy: "view-once", UnopenedTTL: 336 * time.Hour, ReportWindow: 72 * time.Hour,
		ResumeWindow: 15 * time.Minute, UploadTTL: 24 * time.Hour, TombstoneTTL: 90 * 24 * time.Hour, MaxSize: 2 << 30,
	}
	t := tickets.Ticket{ID: uuid.Must(uuid.NewV7()), BlobID: id, Recipient: "alice", CreatedAt: benchStart}
	rand.Read(t.Hash[:])
	return tickets.Blob{
		ID: id, Tenant: "acme", State: tickets.BlobPending, Terms: terms, Size: 65536, Context: "conversation 7",
		CreatedAt: benchStart, UploadUntil: benchStart.Add(24 * time.Hour),
	}, []tickets.Ticket{t}
}

func benchKey(id uuid.UUID) blobstore.Key {
	var attempt [8]byte
	rand.Read(attempt[:])
	return blobstore.Key(hex.EncodeToString(id[:]) + "-" + hex.EncodeToString(attempt[:]))
}
