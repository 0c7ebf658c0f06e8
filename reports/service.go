package reports

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports/envelope"
)

const (
	// MaxComment, MaxNote, MaxPolicy and MaxHoldReason bound texts, in bytes.
	MaxComment    = 8000
	MaxNote       = 16000
	MaxPolicy     = 1024
	MaxHoldReason = 4000

	// claimTime is how long a moderator has a report without claiming it again.
	claimTime = 30 * time.Minute

	// pinTime is how long a reported blob's bytes wait for a copy that does not succeed.
	pinTime = 7 * day

	day = 24 * time.Hour
)

// settleTimeout bounds what is finished after the client has gone: removing what a failed
// upload left.
const settleTimeout = 10 * time.Second

// Service takes reports and lets moderators work on them. Store, Blobs, Recipients and
// Terms are required. All methods may be called at the same time.
type Service struct {
	Store Store
	// Blobs has the media and the evidence, told apart by their keys.
	Blobs blobstore.Store
	// Recipients are the moderators' public keys. None: no reports are taken.
	Recipients func(ctx context.Context) ([]envelope.Recipient, error)
	// Terms are those of the policy evidence.
	Terms func(ctx context.Context, tenant string) (Terms, error)
	// Statements are the texts of consent; BuiltinStatement if there are none.
	Statements []Statement
	// Reasons to report; DefaultReasons if there are none.
	Reasons []string
	// KeepDismissed and KeepUpheld are how long evidence is kept after a decision; 7 and
	// 200 days if 0.
	KeepDismissed, KeepUpheld time.Duration
	// Cut, if not nil, ends the transfers of a blob that are under way in this process.
	Cut func(blob uuid.UUID)
	// Now is the clock; time.Now if nil.
	Now func() time.Time

	wake waker
}

// DefaultReasons are the reasons to report where an operator has not set any.
func DefaultReasons() []string {
	return []string{"harassment", "threat", "hate", "sexual", "minor_safety", "self_harm", "violence", "fraud", "illegal", "other"}
}

// How long evidence is kept after a decision.
const (
	// Dismissed evidence only has to outlast a mistake that is noticed at once.
	keepDismissed = 7 * day
	// DSA Art. 20(1): a decision can be complained of for six months at least, and they run from when people were told.
	keepUpheld = 200 * day
	// legalHold is the least hold of class legal. 18 U.S.C. § 2258A(h): one year.
	legalHold = 365 * day
	// escalatedHold is what an escalation sets by itself. 18 U.S.C. § 2258A(h) counts its year
	// from the submission to the CyberTipline, which comes later than the decision.
	escalatedHold = 400 * day
	longHold      = 3650 * day
)

func (s *Service) now() time.Time {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	// The stores keep microseconds: what is compared in memory is rounded alike.
	return now().UTC().Truncate(time.Microsecond)
}

// Time is what the service's clock says.
func (s *Service) Time() time.Time { return s.now() }

// Offer is what a client needs before it reports.
type Offer struct {
	Recipients []envelope.Recipient
	Statements []Statement
	Reasons    []string
}

// Offer is empty where no reports are taken. Fails with *StoreError.
func (s *Service) Offer(ctx context.Context) (Offer, error) {
	recipients, err := s.Recipients(ctx)
	if err != nil {
		return Offer{}, &StoreError{"read the moderators' recipients", err}
	}
	if len(recipients) == 0 {
		return Offer{}, nil
	}
	return Offer{Recipients: recipients, Statements: s.statements(), Reasons: s.reasons()}, nil
}

func (s *Service) statements() []Statement {
	if len(s.Statements) > 0 {
		return s.Statements
	}
	return []Statement{BuiltinStatement()}
}

func (s *Service) reasons() []string {
	if len(s.Reasons) > 0 {
		return s.Reasons
	}
	return DefaultReasons()
}

// settle is a context for what must be finished although ctx may have ended.
func settle(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}
