package expiry

import "time"

// DefaultPolicy is the policy of a blob whose sender names none.
const DefaultPolicy = "view-once"

// EvidencePolicy is the policy of the evidence of reports.
const EvidencePolicy = "evidence"

// Policy is a named set of retention rules (design §7).
type Policy struct {
	Name string
	// Unlimited lets a ticket open until the deadline; otherwise it opens once.
	Unlimited bool
	// SharedTicket gives the blob one ticket for all its readers.
	SharedTicket bool
	// Internal policies are not for senders.
	Internal bool
	// UnopenedTTL is how long a stored blob can be opened.
	UnopenedTTL time.Duration
	// ReportWindow is how long the bytes are kept after an open. Of an unlimited
	// policy it ends with the deadline.
	ReportWindow time.Duration
	// ResumeWindow is how long after an open its client may fetch the rest.
	ResumeWindow time.Duration
	// UploadTTL is how long after its creation the bytes of a blob may arrive.
	UploadTTL time.Duration
	// TombstoneTTL is how long a purged blob is remembered.
	TombstoneTTL time.Duration
	// MaxSize of a blob in bytes.
	MaxSize int64
}

const day = 24 * time.Hour

// newPolicy has what all builtin policies have in common.
func newPolicy(name string) Policy {
	return Policy{
		Name:         name,
		ResumeWindow: 15 * time.Minute,
		UploadTTL:    day,
		TombstoneTTL: 90 * day,
		MaxSize:      2 << 30,
	}
}

// Builtin are the policies that every Mayfly comes with, the default one first.
func Builtin() []Policy {
	base := newPolicy("")
	viewOnce := base
	viewOnce.Name, viewOnce.UnopenedTTL, viewOnce.ReportWindow = DefaultPolicy, 14*day, 72*time.Hour

	policies := []Policy{viewOnce}
	for _, d := range []struct {
		name string
		ttl  time.Duration
	}{{"disappearing-24h", day}, {"disappearing-7d", 7 * day}, {"disappearing-90d", 90 * day}} {
		p := base
		p.Name, p.Unlimited, p.UnopenedTTL = d.name, true, d.ttl
		policies = append(policies, p)
	}
	channel := base
	channel.Name, channel.Unlimited, channel.SharedTicket, channel.UnopenedTTL = "channel-30d", true, true, 30*day

	evidence := base
	evidence.Name, evidence.Internal, evidence.UnopenedTTL = EvidencePolicy, true, 30*day
	return append(policies, channel, evidence)
}

// ForSender is the policy that a sender names, empty for the default; false for an
// unknown or internal one.
func ForSender(policies []Policy, name string) (Policy, bool) {
	if name == "" {
		name = DefaultPolicy
	}
	for _, p := range policies {
		if p.Name == name && !p.Internal {
			return p, true
		}
	}
	return Policy{}, false
}
