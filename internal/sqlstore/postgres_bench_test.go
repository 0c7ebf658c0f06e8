//go:build unix

package sqlstore

import (
	"sync/atomic"
	"testing"

	"mayfly/tickets"
)

// BenchmarkPostgresSpend is what 64 callers spend through the store; internal/bench
// sets it against pgbench's single-row updates on the same server.
func BenchmarkPostgresSpend(b *testing.B) {
	st := openURL(b, newSchema(b, testServer(b)))
	ts := storeMany(b, st, b.N)
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
