package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
	"mayfly/tickets"
)

// oldBlob makes a database whose schema is of an older version, and in it a blob that was
// stored at benchStart, as versions from 6 on have it.
func oldBlob(t *testing.T, url string, version int64, sum blobstore.Digest, size int64) (b tickets.Blob, ts []tickets.Ticket, expires time.Time) {
	t.Helper()
	l, err := locate(url)
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := l.(sqliteFile); ok {
		if err := f.create(); err != nil {
			t.Fatal(err)
		}
		c, err := f.openVerified() // which chooses the log
		if err != nil {
			t.Fatal(err)
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
	}
	p, done, err := l.(goosed).provider()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	b, ts = benchBlob()
	expires = benchStart.Add(14 * benchDay)
	db, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(db.write(context.Background(), 2, func(c *conn) error {
		_, err := c.exec(`INSERT INTO blobs (id, tenant, state, policy, unlimited, shared_ticket, unopened_ttl, report_window, resume_window,
			upload_ttl, tombstone_ttl, max_size, keep, size, sha256, key, key_commitment, context, ready, created_at, upload_until, stored_at,
			expires_at, purge_at, look_at)
			VALUES ($1, 'acme', 'stored', 'view-once', 0, 0, $2, $3, $3, $2, $2, 1000, $3, $4, $5, $6, 'commitment', 'context', 1, $7, $8, $7, $8, $8, $8)`,
			b.ID[:], duration(14*benchDay), duration(72*time.Hour), size, sum[:], string(benchKey(b.ID)), micros(benchStart), micros(expires))
		if err != nil {
			return err
		}
		return addTickets(c, b.ID, ts)
	}), db.close())
	if err != nil {
		t.Fatal(err)
	}
	return b, ts, expires
}

// distant is a blob store over a network that has these bytes under every key.
type distant struct {
	blobstore.Store
	content []byte
}

func (d distant) Open(context.Context, blobstore.Key, int64) (io.ReadCloser, blobstore.Info, error) {
	return io.NopCloser(bytes.NewReader(d.content)), blobstore.Info{Size: int64(len(d.content))}, nil
}

// TestMigrateChecksums: a blob of the schema before checksums has none, and is verified by
// its SHA-256.
func TestMigrateChecksums(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		content := bytes.Repeat([]byte("a picture of old "), 40_000) // more than is hashed in place
		flipped := bytes.Clone(content)
		flipped[len(flipped)/2] ^= 1
		b, _, _ := oldBlob(t, url, 7, sha256.Sum256(content), int64(len(content)))
		st := openAny(t, url)
		found, _, err := st.Blob(t.Context(), "acme", b.ID, 10)
		if err != nil || found.State != tickets.BlobStored || !found.Checksum.IsZero() {
			t.Fatalf("%+v, %v", found, err)
		}
		for size, want := range map[int]bool{checksum.Size: true, checksum.Size - 1: false, checksum.Size + 1: false} {
			errUndone := errors.New("undone")
			err := st.write(t.Context(), 1, func(c *conn) error {
				_, err := c.exec(`UPDATE blobs SET checksum = $2 WHERE id = $1`, b.ID[:], make([]byte, size))
				return cmp.Or(err, errUndone)
			})
			if err == nil || errors.Is(err, errUndone) != want {
				t.Errorf("a checksum of %d bytes: %v", size, err)
			}
		}
		for _, c := range []struct {
			content []byte
			want    error
		}{{content, nil}, {flipped, tickets.ErrDamaged}} {
			s := &tickets.Service{Store: st, Blobs: distant{content: c.content}, Now: func() time.Time { return benchStart }}
			issued, err := s.AddTickets(t.Context(), "acme", b.ID, []string{"bob"})
			if err != nil {
				t.Fatal(err)
			}
			d, err := s.Open(t.Context(), issued.Tickets[0].Token, tickets.ClaimKey{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(d.Body)
			d.Close()
			if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(got, content) || c.want != nil && len(got) >= len(content) {
				t.Errorf("%d of %d bytes, %v, want %v", len(got), len(content), err, c.want)
			}
		}
	})
}

// TestOldReceipts: tombstones from before proofs have their receipts whole, and keep them.
func TestOldReceipts(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		const envelope = `{"payloadType":"of before"}`
		b, _, expires := oldBlob(t, url, 8, sha256.Sum256(nil), 7)
		st := openAny(t, url)
		err := st.write(t.Context(), 1, func(c *conn) error {
			_, err := c.exec(`UPDATE blobs SET state = 'erased', key = NULL, ready = 0, reason = 'unopened', erased_at = $2, forget_at = $2, receipt = $3 WHERE id = $1`,
				b.ID[:], micros(expires), envelope)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		found, _, err := st.Blob(t.Context(), "acme", b.ID, 10)
		if err != nil || found.Receipt != envelope {
			t.Errorf("%q, %v", found.Receipt, err)
		}
		page, _, err := st.Receipts(t.Context(), "acme", uuid.UUID{}, 10)
		if err != nil || len(page) != 1 || string(page[0].Envelope) != envelope {
			t.Errorf("%+v, %v", page, err)
		}
		// A proof that the database has damaged is an error, and no receipt that is none.
		err = st.write(t.Context(), 1, func(c *conn) error {
			_, err := c.exec(`UPDATE blobs SET receipt = NULL, proof = $2 WHERE id = $1`, b.ID[:], []byte{1, 2, 3})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if found, _, err := st.Blob(t.Context(), "acme", b.ID, 10); err == nil {
			t.Errorf("a damaged proof is served: %q", found.Receipt)
		}
		if _, _, err := st.Receipts(t.Context(), "acme", uuid.UUID{}, 10); err == nil {
			t.Error("a damaged proof is counted")
		}
		// To calls that are about something else it is nothing.
		if _, err := st.AddTickets(t.Context(), "acme", b.ID, nil, 10, expires.Add(-time.Second)); !errors.Is(err, tickets.ErrErased) {
			t.Errorf("more tickets: %v", err)
		}
	})
}
