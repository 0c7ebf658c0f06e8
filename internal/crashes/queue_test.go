package crashes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
)

func (r rows) Stopped(ctx context.Context) (s expiry.Stop, on bool, err error) {
	err = r.p.step("Stopped", func() error { s, on, err = r.db.Stopped(ctx); return err })
	return s, on, err
}

func (r rows) SetStop(ctx context.Context, s expiry.Stop) error {
	return r.p.step("SetStop", func() error { return r.db.SetStop(ctx, s) })
}

func (r rows) EndStop(ctx context.Context) error {
	return r.p.step("EndStop", func() error { return r.db.EndStop(ctx) })
}

func (r rows) Earliest(ctx context.Context, from, now time.Time) (at time.Time, ok bool, err error) {
	err = r.p.step("Earliest", func() error { at, ok, err = r.db.Earliest(ctx, from, now); return err })
	return at, ok, err
}

func (r rows) Claim(ctx context.Context, from, now time.Time, lease time.Duration, limit int) (due []expiry.Due, err error) {
	err = r.p.step("Claim", func() error { due, err = r.db.Claim(ctx, from, now, lease, limit); return err })
	if err != nil {
		return nil, err
	}
	return due, nil
}

func (r rows) Erase(ctx context.Context, done []expiry.Due, now time.Time) error {
	return r.p.step("Erase", func() error { return r.db.Erase(ctx, done, now) })
}

func (r rows) Defer(ctx context.Context, d expiry.Due, retry time.Time) error {
	return r.p.step("Defer", func() error { return r.db.Defer(ctx, d, retry) })
}

func (r rows) Preview(ctx context.Context, now time.Time) (ps []expiry.Preview, err error) {
	err = r.p.step("Preview", func() error { ps, err = r.db.Preview(ctx, now); return err })
	return ps, err
}

func (r rows) Forget(ctx context.Context, now time.Time, limit int) (n int, err error) {
	err = r.p.step("Forget", func() error { n, err = r.db.Forget(ctx, now, limit); return err })
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (r rows) Share(ctx context.Context, now time.Time, above int64, times float64) (s expiry.Share, err error) {
	err = r.p.step("Share", func() error { s, err = r.db.Share(ctx, now, above, times); return err })
	return s, err
}

func (r rows) Backlog(ctx context.Context, now time.Time) (b expiry.Backlog, err error) {
	err = r.p.step("Backlog", func() error { b, err = r.db.Backlog(ctx, now); return err })
	return b, err
}

func (r rows) Owned(ctx context.Context, keys []blobstore.Key) (owned []bool, err error) {
	err = r.p.step("Owned", func() error { owned, err = r.db.Owned(ctx, keys); return err })
	return owned, err
}

func (r rows) Stored(ctx context.Context, after uuid.UUID, limit int) (page []expiry.StoredBlob, err error) {
	err = r.p.step("Stored", func() error { page, err = r.db.Stored(ctx, after, limit); return err })
	return page, err
}
