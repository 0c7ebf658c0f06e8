package metrics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mayfly/expiry"
)

// values are Mayfly's series with their values; of a histogram its count.
func values(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			var labels []string
			for _, l := range s.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			all[name] = s.GetCounter().GetValue() + s.GetGauge().GetValue() + float64(s.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func expect(t *testing.T, m *Metrics, want map[string]float64) {
	t.Helper()
	got := values(t, m)
	for name, n := range want {
		if v, ok := got[name]; !ok || v != n {
			t.Errorf("%s is %v (there: %v), want %v", name, v, ok, n)
		}
	}
}

func TestTransfers(t *testing.T) {
	t.Parallel()
	m := New()
	m.Open("opened")
	m.Open(OutcomeSent)
	m.Upload(OutcomeStored)
	m.Receiving()
	m.Sending()
	m.Sending()
	m.Sent(100)
	expect(t, m, map[string]float64{
		`mayfly_opens_total{outcome="opened"}`:        1,
		`mayfly_opens_total{outcome="sent"}`:          1,
		`mayfly_opens_total{outcome="expired"}`:       0, // there before it happens, so that a rate sees the first
		`mayfly_uploads_total{outcome="stored"}`:      1,
		`mayfly_blob_bytes_total{direction="out"}`:    100,
		`mayfly_transfers_in_flight{direction="in"}`:  1,
		`mayfly_transfers_in_flight{direction="out"}`: 1,
	})
}

// P8: a label value that is in no list never gets in.
func TestLabelsAreClosed(t *testing.T) {
	t.Parallel()
	m := New()
	m.Open("tenant acme")
	m.Upload("mft_secret")
	m.JobPanic("whatever")
	m.Purge(PurgePass{Erased: map[string]int64{"because": 2}, Failed: map[string]int64{"secret": 3}}, time.Time{})
	m.Route("GET /x").Observe(99, time.Second)
	m.Route("GET /x").Observe(100_000, time.Second)
	expect(t, m, map[string]float64{
		`mayfly_opens_total{outcome="other"}`:                   1,
		`mayfly_uploads_total{outcome="other"}`:                 1,
		`mayfly_job_panics_total{name="other"}`:                 1,
		`mayfly_purged_blobs_total{reason="other"}`:             2,
		`mayfly_purge_failures_total{stage="other"}`:            3,
		`mayfly_http_requests_total{code="500",route="GET /x"}`: 2,
		`mayfly_http_request_duration_seconds{route="GET /x"}`:  2,
	})
	for name := range values(t, m) {
		if strings.Contains(name, "acme") || strings.Contains(name, "secret") || strings.Contains(name, "because") {
			t.Error(name)
		}
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	m := New()
	at := time.Unix(1000, 500_000_000)
	m.Purge(PurgePass{Erased: map[string]int64{"unopened": 3, "unsent": 1}}, at)
	m.Purge(PurgePass{Erased: map[string]int64{"unopened": 1}, Failed: map[string]int64{expiry.StageVerify: 2}, Unsigned: 1}, at.Add(time.Hour))
	m.Purge(PurgePass{}, time.Time{}) // failed as a whole
	expect(t, m, map[string]float64{
		`mayfly_purged_blobs_total{reason="unopened"}`: 4,
		`mayfly_purged_blobs_total{reason="unsent"}`:   1,
		`mayfly_purge_failures_total{stage="verify"}`:  2,
		`mayfly_purge_failures_total{stage="delete"}`:  0,
		`mayfly_purge_unsigned_total`:                  1,
		`mayfly_purge_last_success_timestamp_seconds`:  1000.5,
		`mayfly_purge_braked`:                          0,
		`mayfly_deletion_stopped`:                      0,
	})
	m.Purge(PurgePass{Braked: true}, time.Time{})
	expect(t, m, map[string]float64{`mayfly_purge_braked`: 1, `mayfly_deletion_stopped`: 0})
	m.Purge(PurgePass{Stopped: true}, time.Time{})
	expect(t, m, map[string]float64{`mayfly_purge_braked`: 0, `mayfly_deletion_stopped`: 1})
}

// The purge's words and those of this package are the same.
func TestPurgeStages(t *testing.T) {
	t.Parallel()
	m := New()
	stages := []string{expiry.StageDelete, expiry.StageVerify, expiry.StageUnfinished, expiry.StageRecord}
	for _, stage := range stages {
		m.Purge(PurgePass{Failed: map[string]int64{stage: 1}}, time.Time{})
		expect(t, m, map[string]float64{
			fmt.Sprintf("mayfly_purge_failures_total{stage=%q}", stage): 1,
			`mayfly_purge_failures_total{stage="other"}`:                0,
		})
	}
	if len(stages) != len(purgeStages) {
		t.Errorf("stages %q, of which the purge knows %q", purgeStages, stages)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	m := New()
	at := time.Unix(1000, 0)
	m.Sweep(SweepPass{Orphans: 5, Stale: 2, Missing: 1, Damaged: 4, Deleted: 5, Discarded: 1, Failed: 0}, at)
	m.Sweep(SweepPass{Orphans: 1, Failed: 3}, time.Time{}) // broke off: it has not seen all
	expect(t, m, map[string]float64{
		`mayfly_sweep_found{kind="orphan"}`:           5,
		`mayfly_sweep_found{kind="missing"}`:          1,
		`mayfly_sweep_found{kind="damaged"}`:          4,
		`mayfly_sweep_removed_total{kind="orphan"}`:   5,
		`mayfly_sweep_removed_total{kind="stale"}`:    1,
		`mayfly_sweep_failures_total`:                 3,
		`mayfly_sweep_braked`:                         0,
		`mayfly_sweep_last_success_timestamp_seconds`: 1000,
	})
	m.Sweep(SweepPass{Orphans: 900, Braked: true}, time.Time{})
	expect(t, m, map[string]float64{
		`mayfly_sweep_found{kind="orphan"}`:           900,
		`mayfly_sweep_braked`:                         1,
		`mayfly_sweep_last_success_timestamp_seconds`: 1000,
	})
	m.SweptElsewhere()
	expect(t, m, map[string]float64{
		`mayfly_sweep_found{kind="orphan"}`:           0,
		`mayfly_sweep_found{kind="missing"}`:          0,
		`mayfly_sweep_braked`:                         0,
		`mayfly_sweep_removed_total{kind="orphan"}`:   5,
		`mayfly_sweep_last_success_timestamp_seconds`: 1000,
	})
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	m := New()
	var due int64 = 7
	oldest := time.Now().Add(-time.Hour)
	var fail error
	m.Backlog(func(ctx context.Context) (int64, time.Time, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("a scrape may wait for ever")
		}
		return due, oldest, fail
	})
	got := values(t, m)
	if got["mayfly_due_blobs"] != 7 || got["mayfly_oldest_overdue_seconds"] < 3600 || got["mayfly_oldest_overdue_seconds"] > 3700 {
		t.Errorf("%v, %v", got["mayfly_due_blobs"], got["mayfly_oldest_overdue_seconds"])
	}
	due, oldest = 0, time.Time{}
	expect(t, m, map[string]float64{"mayfly_due_blobs": 0, "mayfly_oldest_overdue_seconds": 0})
	oldest = time.Now().Add(time.Minute) // another clock
	expect(t, m, map[string]float64{"mayfly_oldest_overdue_seconds": 0})

	fail = errors.New("database is down")
	got = values(t, m)
	if _, ok := got["mayfly_due_blobs"]; ok {
		t.Error("a backlog that nobody could read")
	}
	expect(t, m, map[string]float64{"mayfly_job_panics_total{name=\"purge\"}": 0}) // the others are told
	fail = nil
	if values(t, m)["mayfly_backlog_read_failures_total"] < 1 {
		t.Error("the failure is not counted")
	}
}

func TestPolicyChanges(t *testing.T) {
	t.Parallel()
	m := New()
	var unfinished int64 = 2
	oldest := time.Now().Add(-time.Hour)
	var fail error
	m.PolicyChanges(func(context.Context) (int64, time.Time, error) { return unfinished, oldest, fail })
	m.Backlog(func(context.Context) (int64, time.Time, error) { return 7, time.Time{}, nil })
	got := values(t, m)
	if age := got["mayfly_oldest_unfinished_policy_change_seconds"]; got["mayfly_unfinished_policy_changes"] != 2 || age < 3600 || age > 3700 {
		t.Errorf("%v, %v", got["mayfly_unfinished_policy_changes"], age)
	}
	unfinished, oldest = 0, time.Time{}
	expect(t, m, map[string]float64{"mayfly_unfinished_policy_changes": 0, "mayfly_oldest_unfinished_policy_change_seconds": 0, "mayfly_due_blobs": 7})
	fail = errors.New("database is down")
	if _, ok := values(t, m)["mayfly_unfinished_policy_changes"]; ok {
		t.Error("a number that nobody could read")
	}
	fail = nil
	if values(t, m)["mayfly_policy_read_failures_total"] < 1 {
		t.Error("the failure is not counted")
	}
}

func BenchmarkObserve(b *testing.B) {
	r := New().Route("POST /v1/download")
	b.ReportAllocs()
	for b.Loop() {
		r.Observe(200, time.Millisecond)
	}
}
