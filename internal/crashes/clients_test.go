package crashes

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/tickets"
)

// answer is what a client knows of what it asked for.
type answer int

const (
	unasked answer = iota
	unsure         // no answer came, or an error of ours: it may have happened
	told           // it was told that it happened
)

// after is the answer to a call that ended with err.
func (l *life) after(err error) answer {
	if err != nil || l.isDead() {
		return unsure
	}
	return told
}

// blob is what its sender knows; or evidence, as moderators know it.
type blob struct {
	id       uuid.UUID
	body     []byte
	evidence bool
	grant    tickets.Token
	direct   *tickets.Direct
	// stored and unsent are what was told of the upload and of an unsend.
	stored, unsent answer
	tickets        []*ticket
}

// ticket is what its holder knows.
type ticket struct {
	token tickets.Token
	claim tickets.ClaimKey // that it opens with; zero for none
	// opened is what was told of an open, and got that a byte of it came.
	opened, delivered answer
	got               bool
}

func newClaim() tickets.ClaimKey {
	var raw [16]byte
	rand.Read(raw[:])
	c, err := tickets.ParseClaimKey(base64.RawURLEncoding.EncodeToString(raw[:]))
	if err != nil {
		panic(err)
	}
	return c
}

func newBody() []byte {
	body := make([]byte, 3000)
	rand.Read(body)
	return body
}

// knows remembers a blob of which its sender holds the tickets.
func (l *life) knows(issued tickets.Issued, body []byte, stored answer) *blob {
	b := &blob{id: issued.Blob.ID, body: body, grant: issued.Grant, direct: issued.Direct, stored: stored}
	for _, t := range issued.Tickets {
		b.tickets = append(b.tickets, &ticket{token: t.Token, claim: newClaim()})
	}
	l.known = append(l.known, b)
	return b
}

func request(body []byte) tickets.Request {
	return tickets.Request{
		Tenant: tenant, Size: int64(len(body)), Recipients: []string{"ada", "grace"},
		SHA256: new(blobstore.Digest(sha256.Sum256(body))),
	}
}

// uploads uploads in one call; nil if the sender learns of no blob.
func (l *life) uploads(expiresIn time.Duration) *blob {
	body := newBody()
	r := request(body)
	r.ExpiresIn = expiresIn
	issued, err := l.UploadNow(l.ctx, r, bytes.NewReader(body))
	if l.after(err) != told {
		return nil
	}
	return l.knows(issued, body, told)
}

// stored is a blob that is uploaded, without fail.
func (l *life) stored() *blob { return l.storedFor(0) }

func (l *life) storedFor(expiresIn time.Duration) *blob {
	l.Helper()
	b := l.uploads(expiresIn)
	if b == nil {
		l.Fatal("an upload without a fault failed")
	}
	return b
}

// announces announces a blob; nil if the sender learns of none.
func (l *life) announces() *blob {
	body := newBody()
	issued, err := l.Announce(l.ctx, request(body))
	if l.after(err) != told {
		return nil
	}
	return l.knows(issued, body, unasked)
}

// sends uploads with the grant, or completes what was brought to the store.
func (l *life) sends(b *blob) error {
	var err error
	if b.direct != nil {
		_, err = l.Complete(l.ctx, b.grant)
	} else {
		_, err = l.Upload(l.ctx, b.grant, bytes.NewReader(b.body), int64(len(b.body)))
	}
	b.stored = l.after(err)
	return err
}

// brings brings the bytes to the store, past the server.
func (l *life) brings(b *blob) {
	l.Helper()
	if err := bring(l.Context(), b.direct, b.body); err != nil {
		l.Fatal(err)
	}
}

// opens opens a ticket and reads all. While bytes come the process may die too: that
// is a step of its own.
func (l *life) opens(b *blob, t *ticket, claim tickets.ClaimKey) error {
	l.Helper()
	d, err := l.Open(l.ctx, t.token, claim)
	if err != nil {
		t.opened = max(t.opened, unsure)
		return err
	}
	t.opened = told
	return l.reads(b, t, d)
}

// resumes fetches all once more.
func (l *life) resumes(b *blob, t *ticket, claim tickets.ClaimKey) error {
	l.Helper()
	d, err := l.Resume(l.ctx, t.token, claim, func(b tickets.Blob) (tickets.Span, error) {
		return tickets.Span{Length: b.Size}, nil
	})
	if err != nil {
		return err
	}
	return l.reads(b, t, d)
}

func (l *life) reads(b *blob, t *ticket, d *tickets.Download) error {
	l.Helper()
	defer d.Close()
	if l.isDead() {
		return errStopped // no byte leaves a process that died in its last step
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(d.Body, first); err != nil {
		return err
	}
	t.got = true
	// P2: at the first byte the spend is durable, whatever becomes of this process.
	if row, _, err := l.db.FindTicket(l.Context(), t.token.ID(), t.token.Hash()); err != nil || row.State == tickets.TicketReady {
		l.Errorf("a byte left while the ticket is %s (%v) (P2)", row.State, err)
	}
	if b.evidence && !l.audited(reports.ActOpened, t.token.ID()) {
		l.Errorf("a byte of evidence left, and the audit log does not tell of it (P6)")
	}
	return l.step("the rest", func() error {
		rest, err := io.ReadAll(io.LimitReader(d.Body, d.Length-1))
		if err == nil && !bytes.Equal(append(first, rest...), b.body) {
			l.Errorf("other bytes came: %d, not %d (P1)", 1+len(rest), len(b.body))
		}
		return err
	})
}

func (l *life) acknowledges(t *ticket) error {
	err := l.Acknowledge(l.ctx, t.token, t.claim)
	t.delivered = l.after(err)
	return err
}

func (l *life) unsends(b *blob) error {
	err := l.Unsend(l.ctx, tenant, b.id)
	b.unsent = l.after(err)
	return err
}
