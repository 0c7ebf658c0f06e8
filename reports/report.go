package reports

import (
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// State is where a report stands.
type State string

// The states of a report. StateClaimed is never stored: an open report reads as claimed
// for as long as a moderator's claim lasts.
const (
	StateCopying       State = "copying"        // the evidence is being copied
	StateAwaitingMedia State = "awaiting_media" // the bytes were erased: the reporter may bring them
	StateOpen          State = "open"           // waits for a moderator
	StateClaimed       State = "claimed"        // a moderator is at it
	StateDismissed     State = "dismissed"
	StateUpheld        State = "upheld"
	StateEscalated     State = "escalated"
	StateWithdrawn     State = "withdrawn" // the consent was taken back
	StateLapsed        State = "lapsed"    // no bytes ever came, or nobody decided in time
)

// decided reports whether the state is an outcome.
func (s State) decided() bool {
	return s == StateDismissed || s == StateUpheld || s == StateEscalated
}

// Evidence is where the copy stands.
type Evidence string

// The states of evidence: those of its blob, as far as they matter here.
const (
	EvidenceNone   Evidence = "none"   // no bytes yet
	EvidenceStored Evidence = "stored" // a moderator's ticket opens it
	EvidenceGone   Evidence = "gone"   // deleted, or about to be
)

// Hash is the SHA-256 of a token: what is stored of it.
type Hash = [32]byte

// Report is the row of a report.
type Report struct {
	// ID is also the id of the evidence's blob.
	ID     uuid.UUID
	Tenant string
	State  State
	Reported
	Reason string
	// Comment is the reporter's text; empty once it is erased with the evidence.
	Comment string
	Consent Consent
	// SealedKey is an age file that Mayfly cannot open; empty once it is erased with the
	// evidence.
	SealedKey string
	FiledAt   time.Time
	// MediaUntil is until when the bytes may be brought or copied; zero once they are here.
	MediaUntil time.Time

	Evidence Evidence
	// ExpiresAt is when the evidence is due for deletion; zero before it is stored.
	ExpiresAt time.Time
	// KeepUntil is what the outcome says of that, without a hold.
	KeepUntil time.Time
	Hold      *Hold

	Claim    Claim
	Decision Decision
	Reopened Reopened

	// WithdrawnAt and ErasedAt are zero until then.
	WithdrawnAt, ErasedAt time.Time
}

// Reported is the blob that a report is about, as it was when it was filed.
type Reported struct {
	Blob   uuid.UUID
	SHA256 blobstore.Digest
	// Size in bytes.
	Size int64
	// KeyCommitment and Context are the sender's own, Stamp is ours (package stamp).
	KeyCommitment, Context, Stamp string
	// UploadedAt is when the bytes were stored.
	UploadedAt time.Time
}

// Claim is one moderator's exclusive right to decide, for a while. The zero Claim is
// nobody's.
type Claim struct {
	By    uuid.UUID // the moderator's key
	Until time.Time
}

func (c Claim) live(now time.Time) bool { return now.Before(c.Until) }

// Decision is the last one that was made; zero before.
type Decision struct {
	By uuid.UUID
	At time.Time
	// Policy is the rule or law that it refers to.
	Policy, Note string
}

// Reopened says who reopened the report last; zero if nobody did since the decision.
type Reopened struct {
	By uuid.UUID
	At time.Time
}

// StateAt is the state as of a moment.
func (r Report) StateAt(now time.Time) State {
	if r.State == StateOpen && r.Claim.live(now) {
		return StateClaimed
	}
	return r.State
}

// HoldAt is the hold that keeps the evidence at that moment; nil if none does.
func (r Report) HoldAt(now time.Time) *Hold {
	if r.Hold == nil || !now.Before(r.Hold.Until) {
		return nil
	}
	return r.Hold
}

// DueAt is when the evidence becomes due, by its outcome and its hold.
func (r Report) DueAt() time.Time {
	if r.Hold != nil && r.Hold.Until.After(r.KeepUntil) {
		return r.Hold.Until
	}
	return r.KeepUntil
}
