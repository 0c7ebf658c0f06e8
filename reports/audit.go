package reports

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// Act is what an entry of the audit log records.
type Act string

// The acts, by who does them.
const (
	ActFiled         Act = "filed"          // by the reporter; digest: of the consent's text
	ActMediaReceived Act = "media_received" // by the reporter; digest: of the bytes
	ActWithdrawn     Act = "withdrawn"      // by the reporter

	ActCopied   Act = "copied"         // by the server; digest: of the bytes
	ActAwaiting Act = "awaiting_media" // by the server
	ActErased   Act = "erased"         // by the server

	ActClaimed      Act = "claimed"
	ActReleased     Act = "released"
	ActDismissed    Act = "dismissed" // digest: of policy and note
	ActUpheld       Act = "upheld"
	ActEscalated    Act = "escalated"
	ActReopened     Act = "reopened"
	ActHeld         Act = "held"          // digest: of class, reason and time
	ActFreeAsked    Act = "free_asked"    // the first of two
	ActFreed        Act = "freed"         // the second
	ActTicketIssued Act = "ticket_issued" // subject: the ticket
	ActOpened       Act = "opened"        // subject: the ticket
)

// The actors that are no moderator's key.
const (
	ActorReporter = "reporter"
	ActorServer   = "server"
)

// Record is an act that is to be written to the log.
type Record struct {
	Act Act
	// Subject is the blob or ticket that it is about; zero for none.
	Subject uuid.UUID
	// Digest of what was said or stored; nil for none.
	Digest *blobstore.Digest
}

// Entry is a link of a tenant's chain. It holds ids and digests, no text of any person.
type Entry struct {
	// Number from 1 on, without a gap.
	Number int64
	At     time.Time // in microseconds
	Tenant string
	Actor  string
	Report uuid.UUID
	Record
	// Previous is the Hash of the entry before; zero for the first.
	Previous, Hash blobstore.Digest
}

// Head is the last entry of a tenant's chain: whoever keeps one can tell later whether the
// log still has all that it had then.
type Head struct {
	Tenant string
	Number int64 // 0 for an empty chain
	Hash   blobstore.Digest
}

// Next is the entry that follows the head.
func (h Head) Next(at time.Time, actor string, report uuid.UUID, r Record) Entry {
	e := Entry{
		Number: h.Number + 1, At: at.UTC().Truncate(time.Microsecond), Tenant: h.Tenant,
		Actor: actor, Report: report, Record: r, Previous: h.Hash,
	}
	e.Hash = e.sum()
	return e
}

// Head is the chain's once it ends with the entry.
func (e Entry) Head() Head { return Head{Tenant: e.Tenant, Number: e.Number, Hash: e.Hash} }

// chainVersion begins what is hashed: a later form of entries begins otherwise.
const chainVersion = "mayfly audit v1\n"

// sum is the SHA-256 of all that the entry says but its Hash. Every field has its length
// before it, so that no two entries are hashed alike.
func (e Entry) sum() blobstore.Digest {
	text := []byte(chainVersion)
	field := func(b []byte) {
		text = binary.BigEndian.AppendUint32(text, uint32(len(b)))
		text = append(text, b...)
	}
	number := func(n int64) { field(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	field(e.Previous[:])
	number(e.Number)
	number(e.At.UnixMicro())
	field([]byte(e.Tenant))
	field([]byte(e.Actor))
	field([]byte(e.Act))
	field(e.Report[:])
	field(e.Subject[:])
	if e.Digest == nil {
		field(nil)
	} else {
		field(e.Digest[:])
	}
	return sha256.Sum256(text)
}

// ChainError says where a chain is broken.
type ChainError struct {
	// Number of the entry, or the one that should be there.
	Number  int64
	Problem string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("audit log broken at entry %d: %s", e.Number, e.Problem)
}

// Chain verifies entries one after another.
type Chain struct {
	// Head is where the chain stands; set it to a head that was kept, or only its Tenant to
	// begin at the beginning.
	Head Head
}

// Add verifies the next entry. Fails with *ChainError; then the chain stays as it was.
func (c *Chain) Add(e Entry) error {
	broken := func(problem string) error { return &ChainError{c.Head.Number + 1, problem} }
	switch {
	case e.Number != c.Head.Number+1:
		return broken(fmt.Sprintf("entry %d comes in its place", e.Number))
	case e.Tenant != c.Head.Tenant:
		return broken("it is another tenant's")
	case e.Previous != c.Head.Hash:
		return broken("it does not follow the entry before it")
	case e.Hash != e.sum():
		return broken("it is not what was written")
	}
	c.Head = e.Head()
	return nil
}

// End verifies that the chain ends where the log says that it does: entries cut off the
// end leave a chain that is whole.
func (c *Chain) End(head Head) error {
	switch {
	case c.Head.Tenant != head.Tenant:
		return &ChainError{head.Number, "the head is another tenant's"}
	case c.Head.Number < head.Number:
		return &ChainError{c.Head.Number + 1, fmt.Sprintf("it and all up to %d are missing", head.Number)}
	case c.Head.Number > head.Number:
		return &ChainError{head.Number + 1, "it is behind the head"}
	case c.Head.Hash != head.Hash:
		return &ChainError{head.Number, "the head is of another entry"}
	}
	return nil
}
