package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/sqlstore"
	"mayfly/tickets"
)

const (
	erasures unit = "blobs/s"

	// purgeBatch is what the purge claims at once, and how many keys a plain loop
	// deletes at once.
	purgeBatch = 1000
)

// purgeFlags are the sizes of the scenarios that purge.
type purgeFlags struct {
	PurgeRows    int      `default:"1000000" placeholder:"N" help:"purge-rows: so many blobs are due (${default})."`
	PurgeAll     int      `default:"10000000" placeholder:"N" help:"purge-rows: among so many (${default}), at least four times as many."`
	PurgeTickets int      `default:"1" placeholder:"N" help:"purge-rows: tickets of each blob (${default})."`
	PurgeOn      []string `default:"sqlite,postgres" enum:"sqlite,postgres" placeholder:"NAME" help:"purge-rows, purge-opens: on these databases (${default})."`
	PurgeObjects int      `default:"20000" placeholder:"N" help:"purge-objects, purge-opens: so many blobs with bytes are due (${default})."`
	PurgeIn      []string `default:"folder,minio" enum:"folder,minio" placeholder:"NAME" help:"purge-objects: in these blob stores (${default})."`
	PurgeProfile string   `placeholder:"DIR" type:"existingdir" help:"purge-rows: write a processor profile of each pass there."`

	// The bench starts itself for each pass of purge-rows.
	PurgePass bool `hidden:""`
}

func (f purgeFlags) check() error {
	switch {
	case f.PurgeRows < purgeBatch:
		return fmt.Errorf("--purge-rows: at least %d", purgeBatch)
	case f.PurgeAll < 4*f.PurgeRows:
		return errors.New("--purge-all: at least four times --purge-rows, which the passes use up nearly three times")
	case f.PurgeTickets < 0:
		return errors.New("--purge-tickets: at least 0")
	case f.PurgeObjects < purgeBatch:
		return fmt.Errorf("--purge-objects: at least %d", purgeBatch)
	}
	return nil
}

// newLeast makes a figure of one rate that should be atLeast; 0 asks for nothing.
func newLeast(scenario, what string, u unit, perSecond, atLeast float64) figure {
	return figure{Scenario: scenario, What: what, Unit: u, Mayfly: perSecond, Target: target{AtLeast: atLeast}, Met: perSecond >= atLeast}
}

// newSigner makes a signer with a key of its own.
func newSigner() (*expiry.Signer, error) {
	file, err := expiry.GenerateKey()
	if err != nil {
		return nil, err
	}
	return expiry.NewSigner(file)
}

// newTinyPayload is of 4 KiB.
func newTinyPayload() payload {
	block := make([]byte, tinySize)
	rand.Read(block)
	return newPayload(block, tinySize)
}

// house is a database and a blob store, as a Mayfly has them.
type house struct {
	db    *sqlstore.Store
	blobs blobstore.Store
}

// overdue is a blob as nobody opened it in time, a minute ago: a purge by the schedule
// finds nothing that is later.
func overdue(key blobstore.Key, id uuid.UUID, body payload, digest blobstore.Digest) (tickets.Blob, []tickets.Ticket) {
	stored := time.Now().UTC().Add(-unopenedTTL - time.Minute)
	return tickets.Blob{
		ID: id, Tenant: "bench", State: tickets.BlobStored, Key: key, Size: body.size, SHA256: &digest,
		Terms: tickets.Terms{
			Policy: "view-once", UnopenedTTL: unopenedTTL, ReportWindow: reportWindow,
			ResumeWindow: resumeWindow, UploadTTL: uploadTTL, TombstoneTTL: tombstoneTTL, MaxSize: maxSize,
		},
		CreatedAt: stored, UploadUntil: stored.Add(uploadTTL), StoredAt: stored,
		ExpiresAt: stored.Add(unopenedTTL), PurgeAt: stored.Add(unopenedTTL),
	}, []tickets.Ticket{{ID: uuid.Must(uuid.NewV7()), BlobID: id, Hash: tickets.Hash(digest), Recipient: "recipient-0", CreatedAt: stored}}
}

// fill stores n blobs that are due, as uploads do it: an attempt, the bytes, the row
// with its ticket.
func (h house) fill(ctx context.Context, body payload, n int) error {
	return many(ctx, manyClients, n, func(ctx context.Context, _ int) error {
		id := uuid.Must(uuid.NewV7())
		key := blobstore.NewKey(id)
		blob, issued := overdue(key, id, body, blobstore.Digest(sha256.Sum256(body.block)))
		if err := h.db.Reserve(ctx, []tickets.Attempt{{ID: id, Key: key, Due: blob.UploadUntil}}); err != nil {
			return err
		}
		if err := h.blobs.Put(ctx, key, body.reader(), body.size); err != nil {
			return err
		}
		return h.db.Create(ctx, blob, issued)
	})
}

// putMany stores n blobs of which no row knows.
func (h house) putMany(ctx context.Context, body payload, n int) ([]blobstore.Key, error) {
	keys := make([]blobstore.Key, n)
	return keys, many(ctx, manyClients, n, func(ctx context.Context, i int) error {
		keys[i] = blobstore.NewKey(uuid.Must(uuid.NewV7()))
		return h.blobs.Put(ctx, keys[i], body.reader(), body.size)
	})
}

// empty is nil if the blob store has nothing.
func (h house) empty(ctx context.Context) error {
	for info, err := range h.blobs.All(ctx) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s is still in the blob store", info.Key)
	}
	return nil
}
