package crashes

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/tickets"
)

var scenarios = []scenario{
	{
		name:   "upload in one call",
		before: func(l *life) { l.stored() },
		run:    func(l *life) { l.uploads(0) },
		steps:  []string{"Reserve", "blobs.Put", "Create", "blobs.Delete", "DropAttempt"},
	},
	{
		name: "upload by grant",
		run: func(l *life) {
			if b := l.announces(); b != nil {
				_ = l.sends(b)
			}
		},
		steps: []string{"Begin", "FindGrant", "BeginAttempt", "blobs.Put", "Commit", "blobs.Delete", "DropAttempt"},
	},
	{
		name:   "direct upload",
		bucket: true,
		run: func(l *life) {
			if b := l.announces(); b != nil {
				l.brings(b)
				_ = l.sends(b)
			}
		},
		steps: []string{"blobs.PresignPut", "Begin", "BeginAttempt", "FindGrant", "blobs.Open", "blobs.Copy", "Commit", "blobs.Delete", "DropAttempt"},
	},
	{
		name:   "open",
		before: func(l *life) { l.stored() },
		run:    func(l *life) { t := l.known[0].tickets[0]; _ = l.opens(l.known[0], t, t.claim) },
		steps:  []string{"FindTicket", "blobs.Open", "Spend", "the rest"},
	},
	{
		name: "open without a claim key",
		before: func(l *life) {
			l.stored().tickets[0].claim = tickets.ClaimKey{}
		},
		run:   func(l *life) { _ = l.opens(l.known[0], l.known[0].tickets[0], tickets.ClaimKey{}) },
		steps: []string{"FindTicket", "blobs.Open", "Spend", "the rest"},
	},
	{
		name:   "resume",
		before: func(l *life) { l.opened() },
		run:    func(l *life) { t := l.known[0].tickets[0]; _ = l.resumes(l.known[0], t, t.claim) },
		steps:  []string{"FindTicket", "blobs.Open", "the rest"},
	},
	{
		name:   "acknowledge",
		before: func(l *life) { l.opened() },
		run:    func(l *life) { _ = l.acknowledges(l.known[0].tickets[0]) },
		steps:  []string{"FindTicket", "Acknowledge"},
	},
	{
		name:   "unsend",
		before: func(l *life) { l.opened() },
		run:    func(l *life) { _ = l.unsends(l.known[0]) },
		steps:  []string{"Unsend"},
	},
	purging,
	sweeping,
}

// opened is a blob of which one ticket is opened.
func (l *life) opened() *blob {
	l.Helper()
	b := l.stored()
	l.must("open", l.opens(b, b.tickets[0], b.tickets[0].claim))
	return b
}

// purging is a pass that finds what became due in each way, and a tombstone to forget.
// Beside it lives a blob that is not due.
var purging = scenario{
	name: "purge",
	before: func(l *life) {
		forgotten := l.stored()
		l.must("unsend", l.unsends(forgotten))
		_, err := l.purge.Run(l.ctx)
		l.must("purge", err)
		l.cutOffUpload()
		l.storedFor(day)
		l.clock.move(4 * day)
		l.opened()
	},
	run: func(l *life) { _, _ = l.purge.Run(l.ctx) },
	after: func(l *life) {
		due := l.known[1]
		l.closed(due)
		l.known = append(l.known[:1], l.known[2:]...) // its holders have nothing more to ask for
	},
	steps: []string{"Stopped", "Share", "Claim", "blobs.Delete", "blobs.Open", "Erase", "Defer", "Forget"},
}

// cutOffUpload leaves the attempt of an upload whose server died while bytes came.
func (l *life) cutOffUpload() {
	l.Helper()
	l.arm(plan{{2, "blobs.Put", diedWithin}})
	body := newBody()
	if _, err := l.UploadNow(l.ctx, request(body), bytes.NewReader(body)); err == nil {
		l.Fatal("the upload was not cut off")
	}
	if _, met := l.restart(); met != 1 {
		l.Fatal("the upload was not cut off")
	}
}

// sweeping is a pass that finds what has no row: of blobs and of uploads.
var sweeping = scenario{
	name: "sweep",
	before: func(l *life) {
		l.opened()
		for range 2 {
			l.must("put an orphan", l.bytes.Put(l.ctx, strangeKey(), strings.NewReader("orphan"), 6))
			l.must("cut off an upload", l.site.bytes.cutOff(l.ctx, strangeKey()))
		}
		l.clock.move(4 * day)
		l.opened()
	},
	run: func(l *life) { _, _ = l.sweep.Run(l.ctx) },
	// Before the orphans are gone the promises cannot be checked.
	after: func(l *life) {
		_, err := l.sweep.Run(l.ctx)
		l.must("sweep", err)
		l.known[0].tickets[0].claim = tickets.ClaimKey{} // its resume window is over
	},
	steps: []string{"Stopped", "blobs.All", "Owned", "blobs.Delete", "blobs.Discard", "Stored"},
}

// strangeKey is a key of which no row tells.
func strangeKey() blobstore.Key {
	id := uuid.New()
	var attempt [8]byte
	rand.Read(attempt[:])
	return blobstore.Key(hex.EncodeToString(id[:]) + "-" + hex.EncodeToString(attempt[:]))
}
