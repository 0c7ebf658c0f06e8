package reports_test

import (
	"io"
	"strings"
	"testing"

	"github.com/google/uuid"

	"mayfly/blobstore/checksum"
	"mayfly/reports"
)

// checksum is that of a report's evidence, as a moderator's open finds it.
func (h *house) checksum(id uuid.UUID) checksum.Sum {
	h.t.Helper()
	if _, err := h.Claim(h.t.Context(), h.ann, id); err != nil {
		h.t.Fatal(err)
	}
	token, _, err := h.pulls(h.ann, id)
	if err != nil {
		h.t.Fatal(err)
	}
	_, b, err := h.db.FindTicket(h.t.Context(), token.ID(), token.Hash())
	if err != nil || b.Checksum.IsZero() {
		h.t.Fatalf("%v, %v", b.Checksum, err)
	}
	again := b.Checksum.Again()
	if io.WriteString(again, photo); !again.Checksum().Equal(b.Checksum) {
		h.t.Error("the checksum is not of the evidence's bytes")
	}
	return b.Checksum
}

// TestEvidenceChecksum: evidence has its own, whether it was copied or brought.
func TestEvidenceChecksum(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	copied := h.files(s)
	h.copies()
	h.in(copied.ID, reports.StateOpen)
	awaiting := h.awaits()
	brought, err := h.brings(awaiting.ID, strings.NewReader(photo), int64(len(photo)))
	if err != nil {
		t.Fatal(err)
	}
	first, second := h.checksum(copied.ID), h.checksum(brought.ID)
	if first.Equal(second) || first.Equal(s.Checksum) || s.Checksum.IsZero() {
		t.Error("two have one key")
	}
}
