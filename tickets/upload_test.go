package tickets_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/tickets"
)

const picture = "an encrypted picture"

func (h *house) announced(r tickets.Request) tickets.Issued {
	h.t.Helper()
	r.Tenant, r.Size = tenant, int64(len(picture))
	issued, err := h.Announce(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	return issued
}

func (h *house) uploads(grant tickets.Token, content string) error {
	_, err := h.Upload(h.t.Context(), grant, strings.NewReader(content), int64(len(content)))
	return err
}

func TestUploadByGrant(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.announced(tickets.Request{Recipients: []string{"alice", "bob"}, SHA256: digest(picture)})
	_, err := h.opens(issued.Tickets[0].Token, tickets.ClaimKey{})
	h.refused("an open before the bytes are there", err, tickets.ErrNotUploaded)

	// Bodies that are not what was announced keep nothing, and may be tried again.
	for _, c := range []struct {
		name   string
		body   io.Reader
		length int64
		want   error
	}{
		{"shorter than announced", strings.NewReader("short"), 5, blobstore.ErrSize},
		{"ends early", strings.NewReader("short"), int64(len(picture)), blobstore.ErrSize},
		{"goes on", strings.NewReader(picture + "!"), int64(len(picture)), blobstore.ErrSize},
		{"another digest", strings.NewReader(strings.ToUpper(picture)), int64(len(picture)), blobstore.ErrDigest},
		{"breaks", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)), int64(len(picture)), io.ErrUnexpectedEOF},
	} {
		_, err := h.Upload(t.Context(), issued.Grant, c.body, c.length)
		h.refused(c.name, err, c.want)
		h.keptNothing()
	}
	var tooLarge *tickets.TooLargeError
	if err := h.uploads(issued.Grant, picture+"!"); !errors.As(err, &tooLarge) || tooLarge.Limit != int64(len(picture)) {
		t.Errorf("larger than announced: %v", err)
	}

	if err := h.uploads(issued.Grant, picture); err != nil {
		t.Fatal(err)
	}
	h.refused("a second upload", h.uploads(issued.Grant, picture), tickets.ErrAlreadyStored)
	b, ts := h.state(issued.Blob.ID)
	if b.State != tickets.BlobStored || *b.SHA256 != *digest(picture) || !b.ExpiresAt.Equal(h.clock.Now().Add(14*24*time.Hour)) || len(ts) != 2 {
		t.Errorf("stored as %+v with %d tickets", b, len(ts))
	}
	h.keepsPromises()
}

func TestUploadTooLate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.announced(tickets.Request{})
	h.clock.forward(24*time.Hour - time.Microsecond)
	late := h.announced(tickets.Request{})
	h.clock.forward(time.Microsecond)
	h.refused("a day after the announcement", h.uploads(issued.Grant, picture), tickets.ErrTooLate)
	if err := h.uploads(late.Grant, picture); err != nil {
		t.Errorf("in time: %v", err)
	}
	if err := h.Unsend(t.Context(), tenant, h.announced(tickets.Request{}).Blob.ID); err != nil {
		t.Error(err)
	}
	unknown := tickets.NewToken(tickets.KindGrant, issued.Blob.ID)
	h.refused("a grant that was never issued", h.uploads(unknown, picture), tickets.ErrUnknownGrant)
}

// Bytes that finish arriving after the time to upload are not stored, however the
// upload began.
func TestUploadOutlastsItsTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.announced(tickets.Request{})
	slow := &readerFunc{r: strings.NewReader(picture), before: func() { h.clock.forward(25 * time.Hour) }}
	_, err := h.Upload(t.Context(), issued.Grant, slow, int64(len(picture)))
	h.refused("an upload of 25 hours", err, tickets.ErrTooLate)
	h.keptNothing()

	slow = &readerFunc{r: strings.NewReader(picture), before: func() { h.clock.forward(24 * time.Hour) }}
	_, err = h.UploadNow(t.Context(), tickets.Request{Tenant: tenant, Size: int64(len(picture))}, slow)
	h.refused("an upload of a day in one call", err, tickets.ErrTooLate)
	h.keptNothing()
}

// readerFunc calls before once, at the first read.
type readerFunc struct {
	r      io.Reader
	before func()
}

func (r *readerFunc) Read(p []byte) (int, error) {
	if r.before != nil {
		r.before()
		r.before = nil
	}
	return r.r.Read(p)
}

func TestUnsendCutsAnUpload(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.announced(tickets.Request{})
	in, out := io.Pipe()
	unsending := &readerFunc{r: in, before: func() {
		if err := h.Unsend(t.Context(), tenant, issued.Blob.ID); err != nil {
			t.Error(err)
		}
	}}
	defer out.Close()
	// The sender never sends a byte: what ends the upload is the unsend alone.
	_, err := h.Upload(t.Context(), issued.Grant, struct {
		io.Reader
		io.Closer
	}{unsending, in}, int64(len(picture)))
	h.refused("an upload that was unsent", err, tickets.ErrTooLate)
	h.purges()
	h.keptNothing()
}

// TestUploadFaults fails each step of an upload, before and after its effect: what
// was acknowledged can be opened, what was not leaves nothing after one purge.
func TestUploadFaults(t *testing.T) {
	t.Parallel()
	steps := []struct {
		name string
		fail func(*house)
	}{
		{"Reserve", func(h *house) { h.rows.fail("Reserve", false) }},
		{"Reserve, answer lost", func(h *house) { h.rows.fail("Reserve", true) }},
		{"BeginAttempt", func(h *house) { h.rows.fail("BeginAttempt", false) }},
		{"BeginAttempt, answer lost", func(h *house) { h.rows.fail("BeginAttempt", true) }},
		{"Put", func(h *house) { h.blobs.Fail(blobstoretest.Always(blobstoretest.Put, blobstoretest.Failed)) }},
		{"Put, answer lost", func(h *house) { h.blobs.Fail(blobstoretest.Always(blobstoretest.Put, blobstoretest.FailedButApplied)) }},
		{"Put breaks, and so does the clean-up", func(h *house) {
			h.blobs.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
				if c.Method == blobstoretest.Put {
					return blobstoretest.FailedButApplied
				}
				return blobstoretest.Failed
			})
		}},
		{"Put breaks, and the record of it stays", func(h *house) {
			h.blobs.Fail(blobstoretest.Always(blobstoretest.Put, blobstoretest.FailedButApplied))
			h.rows.fail("DropAttempt", false)
		}},
		{"Commit", func(h *house) { h.rows.fail("Commit", false) }},
		{"Commit, answer lost", func(h *house) { h.rows.fail("Commit", true) }},
		{"Create", func(h *house) { h.rows.fail("Create", false) }},
		{"Create, answer lost", func(h *house) { h.rows.fail("Create", true) }},
	}
	for _, step := range steps {
		for _, way := range []string{"by grant", "in one call"} {
			t.Run(step.name+" "+way, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				var issued tickets.Issued
				var err error
				if way == "by grant" {
					issued = h.announced(tickets.Request{})
					step.fail(h)
					err = h.uploads(issued.Grant, picture)
				} else {
					step.fail(h)
					issued, err = h.UploadNow(t.Context(), tickets.Request{Tenant: tenant, Size: int64(len(picture))}, strings.NewReader(picture))
				}
				h.blobs.Fail(nil)
				h.keepsPromises()
				var ours *tickets.StoreError
				if err != nil && !errors.As(err, &ours) {
					t.Errorf("the fault is not told as ours: %v", err)
				}
				if err == nil {
					got, openErr := h.opens(issued.Tickets[0].Token, tickets.ClaimKey{})
					h.served("an acknowledged upload", got, openErr, picture)
				}
				if way == "by grant" && err != nil {
					// The client tries again with the same grant: it works, or it worked before.
					again := h.uploads(issued.Grant, picture)
					if again != nil && !errors.Is(again, tickets.ErrAlreadyStored) {
						t.Errorf("the second try: %v", again)
					}
					got, openErr := h.opens(issued.Tickets[0].Token, tickets.ClaimKey{})
					h.served("after the second try", got, openErr, picture)
				}
				h.clock.forward(15 * 24 * time.Hour)
				h.purges()
				h.keepsPromises()
				h.keptNothing()
			})
		}
	}
}

func TestUploadNowKeepsNothingAfterABadBody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, err := h.UploadNow(t.Context(), tickets.Request{Tenant: tenant, Size: 5, SHA256: digest("other")}, strings.NewReader("wrong"))
	h.refused("another digest", err, blobstore.ErrDigest)
	h.keptNothing()
	h.clock.forward(365 * 24 * time.Hour)
	if r := h.purges(); r.Erased != 0 {
		t.Errorf("a row was kept: %+v", r)
	}
}

// A store that stops reading after the announced size has not seen the end of the
// body: its blob is not taken for verified.
func TestUploadWantsTheWholeBodyRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Service.Blobs = shortSighted{h.blobs}
	_, err := h.UploadNow(t.Context(), tickets.Request{Tenant: tenant, Size: int64(len(picture))}, strings.NewReader(picture))
	var ours *tickets.StoreError
	if !errors.As(err, &ours) {
		t.Errorf("got %v", err)
	}
	h.keptNothing()
}

type shortSighted struct{ *blobstoretest.Faulty }

func (s shortSighted) Put(ctx context.Context, key blobstore.Key, r io.Reader, size int64) error {
	content := make([]byte, size)
	if _, err := io.ReadFull(r, content); err != nil {
		return err
	}
	return s.Faulty.Put(ctx, key, bytes.NewReader(content), size)
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	long := strings.Repeat("x", 2000)
	for field, r := range map[string]tickets.Request{
		"policy":         {Policy: "for-ever"},
		"size":           {Size: -1},
		"expires_in":     {ExpiresIn: 14*24*time.Hour + time.Second},
		"key_commitment": {KeyCommitment: long},
		"context":        {Context: "nul \x00 byte"},
		"recipients[1]":  {Recipients: []string{"alice", long}},
		"recipients[0]":  {Recipients: []string{"\xff"}},
		"recipients":     {Recipients: make([]string, tickets.MaxRecipients+1)},
	} {
		r.Tenant = tenant
		_, err := h.Announce(t.Context(), r)
		var wrong *tickets.FieldError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	var tooLarge *tickets.TooLargeError
	if _, err := h.Announce(t.Context(), tickets.Request{Tenant: tenant, Size: 2<<30 + 1}); !errors.As(err, &tooLarge) {
		t.Errorf("2 GiB and a byte: %v", err)
	}
	if _, err := h.Announce(t.Context(), tickets.Request{Tenant: tenant, Policy: "channel-30d", Recipients: []string{"a", "b"}}); err == nil {
		t.Error("a channel with two tickets")
	}
	if _, err := h.Announce(t.Context(), tickets.Request{Tenant: tenant, Policy: "evidence"}); err == nil {
		t.Error("a sender used the moderators' policy")
	}
	if issued, err := h.Announce(t.Context(), tickets.Request{Tenant: tenant, Size: 2 << 30, Recipients: make([]string, tickets.MaxRecipients)}); err != nil || len(issued.Tickets) != tickets.MaxRecipients {
		t.Errorf("the most that is allowed: %v", err)
	}
}
