package api

import (
	"context"
	"testing"
	"time"

	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/openapi"
)

// withPurge gives the API a purge whose brake lets two blobs through.
func withPurge(w *world) {
	w.api.Purge = &expiry.Purge{Queue: w.db, Blobs: w.blobs, Now: w.now, Allowed: 2}
}

func (w *world) runPurge(key, query string) openapi.Purge {
	w.Helper()
	_, b := w.want(200, "POST /v1/purge"+query, key)
	return decode[openapi.Purge](w, b)
}

// The operator sees what is due, and has it erased, within the brake.
func TestRunPurge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withPurge)
	operator := w.newKey(keys.RoleOps, keys.EveryTenant)
	var ids []string
	for range 3 {
		id, _ := w.store(content(100), "")
		ids = append(ids, id)
	}
	if p := w.runPurge(operator, "?dry_run=true"); !p.DryRun || len(*p.Due) != 0 || p.Erased != nil {
		t.Errorf("nothing is due: %+v", p)
	}
	if p := w.runPurge(operator, ""); p.DryRun || *p.Erased != 0 || *p.More || p.Due != nil {
		t.Errorf("nothing is due: %+v", p)
	}
	w.advance(15 * 24 * time.Hour)
	p := w.runPurge(operator, "?dry_run=true")
	if due := *p.Due; len(due) != 1 || due[0].Blobs != 3 || due[0].Bytes != 300 || due[0].Reason != openapi.DueReasonUnopened {
		t.Errorf("%+v", due)
	}
	w.refused(409, "purge_braked", "POST /v1/purge", operator)
	if err := w.db.SetStop(context.Background(), expiry.Stop{Reason: "an accident", By: "eve", Since: w.now()}); err != nil {
		t.Fatal(err)
	}
	w.refused(409, "deletion_stopped", "POST /v1/purge?force=true", operator)
	w.runPurge(operator, "?dry_run=true")
	if err := w.db.EndStop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if b := w.status(id); b.State != openapi.BlobStateStored {
			t.Errorf("braked and stopped, and then %s", b.State)
		}
	}
	if p := w.runPurge(operator, "?force=true"); *p.Erased != 3 || *p.Bytes != 300 || *p.Failed != 0 || *p.More {
		t.Errorf("%+v", p)
	}
	for _, id := range ids {
		if b := w.status(id); b.State != openapi.BlobStateErased {
			t.Errorf("purged, and then %s", b.State)
		}
	}
}

// Only the operator of the installation may: a purge is for all tenants.
func TestPurgeIsForTheOperator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withPurge)
	for _, key := range []string{w.ops, w.key} {
		w.refused(403, "forbidden", "POST /v1/purge", key)
		w.refused(403, "forbidden", "POST /v1/purge?dry_run=true", key)
	}
	operator := w.newKey(keys.RoleOps, keys.EveryTenant)
	w.refused(400, "invalid_request", "POST /v1/purge?dry_run=maybe", operator)
	w.refused(400, "invalid_request", "POST /v1/purge?dry=true", operator)
	w = newWorld(t)
	w.refused(503, "unavailable", "POST /v1/purge", w.newKey(keys.RoleOps, keys.EveryTenant))
}
