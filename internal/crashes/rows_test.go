package crashes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/sqlstore"
	"mayfly/reports"
	"mayfly/tickets"
)

// rows are the metadata store as a process sees it: each call is a step. Nothing is
// embedded, so that a method which is added to a contract cannot be passed over.
type rows struct {
	p  *process
	db *sqlstore.Store
}

var (
	_ tickets.Store = rows{}
	_ expiry.Queue  = rows{}
	_ reports.Store = rows{}
)

func (r rows) Begin(ctx context.Context, b tickets.Blob, ts []tickets.Ticket, grant tickets.Hash) error {
	return r.p.step("Begin", func() error { return r.db.Begin(ctx, b, ts, grant) })
}

func (r rows) Reserve(ctx context.Context, attempts []tickets.Attempt) error {
	return r.p.step("Reserve", func() error { return r.db.Reserve(ctx, attempts) })
}

func (r rows) Create(ctx context.Context, b tickets.Blob, ts []tickets.Ticket) error {
	return r.p.step("Create", func() error { return r.db.Create(ctx, b, ts) })
}

func (r rows) FindGrant(ctx context.Context, id uuid.UUID, grant tickets.Hash) (b tickets.Blob, err error) {
	err = r.p.step("FindGrant", func() error { b, err = r.db.FindGrant(ctx, id, grant); return err })
	return b, err
}

func (r rows) BeginAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key, due, now time.Time) error {
	return r.p.step("BeginAttempt", func() error { return r.db.BeginAttempt(ctx, id, key, due, now) })
}

func (r rows) DropAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key) error {
	return r.p.step("DropAttempt", func() error { return r.db.DropAttempt(ctx, id, key) })
}

func (r rows) Commit(ctx context.Context, c tickets.Commit) error {
	return r.p.step("Commit", func() error { return r.db.Commit(ctx, c) })
}

func (r rows) FindTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (t tickets.Ticket, b tickets.Blob, err error) {
	err = r.p.step("FindTicket", func() error { t, b, err = r.db.FindTicket(ctx, id, h); return err })
	return t, b, err
}

func (r rows) Spend(ctx context.Context, s tickets.Spend) (won bool, err error) {
	err = r.p.step("Spend", func() error { won, err = r.db.Spend(ctx, s); return err })
	return won && err == nil, err
}

func (r rows) Keep(ctx context.Context, blob uuid.UUID, until time.Time) error {
	return r.p.step("Keep", func() error { return r.db.Keep(ctx, blob, until) })
}

func (r rows) Acknowledge(ctx context.Context, id uuid.UUID, h, claim tickets.Hash, now time.Time) (changed bool, err error) {
	err = r.p.step("Acknowledge", func() error { changed, err = r.db.Acknowledge(ctx, id, h, claim, now); return err })
	return changed && err == nil, err
}

func (r rows) Contest(ctx context.Context, counts map[uuid.UUID]int64) error {
	return r.p.step("Contest", func() error { return r.db.Contest(ctx, counts) })
}

func (r rows) Blob(ctx context.Context, tenant string, id uuid.UUID, limit int) (b tickets.Blob, ts []tickets.Ticket, err error) {
	err = r.p.step("Blob", func() error { b, ts, err = r.db.Blob(ctx, tenant, id, limit); return err })
	return b, ts, err
}

func (r rows) AddTickets(ctx context.Context, tenant string, id uuid.UUID, ts []tickets.Ticket, limit int, now time.Time) (b tickets.Blob, err error) {
	err = r.p.step("AddTickets", func() error { b, err = r.db.AddTickets(ctx, tenant, id, ts, limit, now); return err })
	return b, err
}

func (r rows) Revoke(ctx context.Context, tenant string, blob, ticket uuid.UUID, now time.Time) error {
	return r.p.step("Revoke", func() error { return r.db.Revoke(ctx, tenant, blob, ticket, now) })
}

func (r rows) Unsend(ctx context.Context, tenant string, id uuid.UUID, now time.Time) error {
	return r.p.step("Unsend", func() error { return r.db.Unsend(ctx, tenant, id, now) })
}
