package tickets_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/tickets"
)

// network is a blob store that is not on this machine: what it reads is no file. It lets
// clients put bytes, and may flip a bit of what it brings.
type network struct {
	blobstore.Store
	put     blobstore.Key
	flipped bool
}

func (n *network) Open(ctx context.Context, key blobstore.Key, offset int64) (io.ReadCloser, blobstore.Info, error) {
	body, info, err := n.Store.Open(ctx, key, offset)
	if err != nil {
		return nil, info, err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if n.flipped {
		content[len(content)/2] ^= 1
	}
	return io.NopCloser(strings.NewReader(string(content))), info, err
}

func (n *network) PresignPut(_ context.Context, key blobstore.Key, _ int64, _ blobstore.Digest, _ time.Duration) (blobstore.PresignedPut, error) {
	n.put = key
	return blobstore.PresignedPut{}, nil
}

// TestChecksum: a blob has one however its bytes arrive, under a key of its own, and is
// verified by it when it comes over a network.
func TestChecksum(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := &network{Store: h.blobs}
	h.Blobs, h.Direct = n, true
	two := tickets.Request{Recipients: []string{"alice", "bob"}}
	announced := tickets.Request{Recipients: two.Recipients, SHA256: digest(picture)}

	granted := h.announced(announced)
	if err := h.uploads(granted.Grant, picture); err != nil {
		t.Fatal(err)
	}
	direct := h.announced(announced)
	if err := h.blobs.Put(t.Context(), n.put, strings.NewReader(picture), int64(len(picture))); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Complete(t.Context(), direct.Grant); err != nil {
		t.Fatal(err)
	}
	var others []tickets.Blob
	for way, issued := range map[string]tickets.Issued{"by grant": granted, "in one call": h.stored(picture, two), "directly": direct} {
		b, _ := h.state(issued.Blob.ID)
		if b.Checksum.IsZero() {
			t.Fatalf("%s: none", way)
		}
		again := b.Checksum.Again()
		if io.WriteString(again, picture); !again.Checksum().Equal(b.Checksum) {
			t.Errorf("%s: not of these bytes", way)
		}
		for _, other := range others {
			again := other.Checksum.Again()
			if io.WriteString(again, picture); again.Checksum().Equal(b.Checksum) {
				t.Errorf("%s: another blob has its key", way)
			}
		}
		others = append(others, b)

		n.flipped = true
		got, err := h.opens(issued.Tickets[0].Token, none)
		h.refused(way+", flipped", err, tickets.ErrDamaged)
		if len(got) == len(picture) {
			t.Errorf("%s: all of %q was given out", way, got)
		}
		n.flipped = false
		got, err = h.opens(issued.Tickets[1].Token, none)
		h.served(way, got, err, picture)
	}
}
