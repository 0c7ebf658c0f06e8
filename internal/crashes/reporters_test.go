package crashes

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"sync"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// report is what its reporter and the moderator know.
type report struct {
	blob    *blob
	ticket  *ticket
	request reports.Request
	id      uuid.UUID // zero before it was told to one of the two
	// late: the bytes were purged before it was filed.
	late bool
	// over: its evidence is due, or gone.
	over bool
	// filed, brought and withdrawn are what was told the reporter.
	filed, brought, withdrawn answer

	// claimed and decided are what was told the moderator, pulls the tickets that it has.
	claimed, decided answer
	pulls            []*ticket
}

// evidenceTerms are such that undecided evidence is kept for ten days.
func evidenceTerms(context.Context, string) (reports.Terms, error) {
	return reports.Terms{
		Policy: "evidence", Keep: 10 * day, ResumeWindow: 15 * minute, UploadTTL: day, TombstoneTTL: day, MaxSize: terms.MaxSize,
	}, nil
}

var moderatorsKey = sync.OnceValue(func() envelope.Identity {
	id, err := envelope.GenerateIdentity(false)
	if err != nil {
		panic(err)
	}
	return id
})

func recipients(context.Context) ([]envelope.Recipient, error) {
	return []envelope.Recipient{moderatorsKey().Recipient()}, nil
}

// handle is the report's, made of the ticket as the API makes it.
func (r *report) handle(id uuid.UUID) reports.Hash {
	return reports.Hash(r.ticket.token.Derive(tickets.KindReport, id, []byte(r.request.Idempotency)).Hash())
}

// reports reports a blob.
func (l *life) reports(b *blob, t *ticket) *report {
	l.Helper()
	sealed, err := envelope.Seal(envelope.Contents{
		Blob: b.id, SHA256: blobstore.Digest(sha256.Sum256(b.body)), Size: int64(len(b.body)), Format: "age", Key: json.RawMessage(`"AGE-SECRET-KEY-…"`),
	}, []envelope.Recipient{moderatorsKey().Recipient()})
	if err != nil {
		l.Fatal(err)
	}
	r := &report{blob: b, ticket: t}
	r.request = reports.Request{
		Ticket: t.token.ID(), TicketHash: reports.Hash(t.token.Hash()), Reason: "harassment", Comment: "Look at that.",
		Consent: &reports.Given{Granted: true, Statement: reports.BuiltinStatement().ID}, SealedKey: sealed,
		Idempotency: rand.Text(), Handle: r.handle,
	}
	l.reported = append(l.reported, r)
	_ = l.files(r)
	return r
}

// files sends the request, for the first time or again.
func (l *life) files(r *report) error {
	l.Helper()
	x, err := l.desk.File(l.ctx, r.request)
	if l.after(err) != told {
		r.filed = max(r.filed, unsure)
		return err
	}
	if r.id != (uuid.UUID{}) && x.ID != r.id {
		l.Errorf("the same request made another report")
	}
	r.id, r.filed = x.ID, told
	return nil
}

// bringsMedia brings the bytes of which the server's copy is gone.
func (l *life) bringsMedia(r *report) error {
	_, err := l.desk.ReceiveMedia(l.ctx, r.id, r.handle(r.id), bytes.NewReader(r.blob.body), int64(len(r.blob.body)))
	r.brought = l.after(err)
	return err
}

func (l *life) withdraws(r *report) error {
	err := l.desk.Withdraw(l.ctx, r.id, r.handle(r.id))
	r.withdrawn = l.after(err)
	return err
}

// copies makes one pass of the copies.
func (l *life) copies() (reports.Copied, error) { return l.desk.CopyDue(l.ctx) }
