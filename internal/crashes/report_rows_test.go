package crashes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
)

func (r rows) Reported(ctx context.Context, ticket uuid.UUID, h reports.Hash) (tenant string, x reports.Reported, err error) {
	err = r.p.step("Reported", func() error { tenant, x, err = r.db.Reported(ctx, ticket, h); return err })
	return tenant, x, err
}

func (r rows) File(ctx context.Context, f reports.Filing) (x reports.Report, replayed bool, err error) {
	err = r.p.step("File", func() error { x, replayed, err = r.db.File(ctx, f); return err })
	if err != nil {
		return reports.Report{}, false, err
	}
	return x, replayed, nil
}

func (r rows) Report(ctx context.Context, tenant string, id uuid.UUID) (x reports.Report, err error) {
	err = r.p.step("Report", func() error { x, err = r.db.Report(ctx, tenant, id); return err })
	return x, err
}

func (r rows) Filed(ctx context.Context, f reports.Filing) (x reports.Report, err error) {
	err = r.p.step("Filed", func() error { x, err = r.db.Filed(ctx, f); return err })
	return x, err
}

func (r rows) HandledReport(ctx context.Context, id uuid.UUID, handle reports.Hash) (x reports.Report, err error) {
	err = r.p.step("HandledReport", func() error { x, err = r.db.HandledReport(ctx, id, handle); return err })
	return x, err
}

func (r rows) Reports(ctx context.Context, tenant string, q reports.Query) (page []reports.Report, err error) {
	err = r.p.step("Reports", func() error { page, err = r.db.Reports(ctx, tenant, q); return err })
	return page, err
}

func (r rows) Change(ctx context.Context, who reports.Who, now time.Time, change func(reports.Report) (reports.Change, error)) (x reports.Report, err error) {
	err = r.p.step("Change", func() error { x, err = r.db.Change(ctx, who, now, change); return err })
	if err != nil {
		return reports.Report{}, err
	}
	return x, nil
}

func (r rows) ClaimCopies(ctx context.Context, now time.Time, lease time.Duration, limit int) (copies []reports.Copy, err error) {
	err = r.p.step("ClaimCopies", func() error { copies, err = r.db.ClaimCopies(ctx, now, lease, limit); return err })
	if err != nil {
		return nil, err
	}
	return copies, nil
}

func (r rows) PutOffCopy(ctx context.Context, id uuid.UUID, until time.Time, failed bool) error {
	return r.p.step("PutOffCopy", func() error { return r.db.PutOffCopy(ctx, id, until, failed) })
}

func (r rows) AwaitMedia(ctx context.Context, id uuid.UUID, now time.Time) error {
	return r.p.step("AwaitMedia", func() error { return r.db.AwaitMedia(ctx, id, now) })
}

func (r rows) BeginEvidence(ctx context.Context, id uuid.UUID, key blobstore.Key, now time.Time) error {
	return r.p.step("BeginEvidence", func() error { return r.db.BeginEvidence(ctx, id, key, now) })
}

func (r rows) StoreEvidence(ctx context.Context, e reports.StoredEvidence) error {
	return r.p.step("StoreEvidence", func() error { return r.db.StoreEvidence(ctx, e) })
}

func (r rows) Audit(ctx context.Context, tenant string, after int64, limit int) (page []reports.Entry, head reports.Head, err error) {
	err = r.p.step("Audit", func() error { page, head, err = r.db.Audit(ctx, tenant, after, limit); return err })
	return page, head, err
}

func (r rows) ReportBacklog(ctx context.Context, now time.Time) (b reports.Backlog, err error) {
	err = r.p.step("ReportBacklog", func() error { b, err = r.db.ReportBacklog(ctx, now); return err })
	return b, err
}
