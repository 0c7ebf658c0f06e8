package tickets

import "time"

// Terms are the rules of one policy as a blob needs them. They are resolved at
// upload and stored with the blob: a later change of the policy reaches it only where
// an operator asks for that, and only to make it shorter.
type Terms struct {
	// Policy is the name that the terms have.
	Policy string
	// Unlimited lets a ticket open until the deadline; otherwise it opens once.
	Unlimited bool
	// SharedTicket gives the blob one ticket for all its readers.
	SharedTicket bool
	// UnopenedTTL is how long a stored blob can be opened.
	UnopenedTTL time.Duration
	// ReportWindow is how long the bytes are kept after an open, for a report.
	ReportWindow time.Duration
	// ResumeWindow is how long after an open its client may fetch what a broken
	// connection withheld.
	ResumeWindow time.Duration
	// UploadTTL is how long after its creation the bytes of a blob may arrive.
	UploadTTL time.Duration
	// TombstoneTTL is how long a purged blob is remembered.
	TombstoneTTL time.Duration
	// MaxSize of a blob in bytes.
	MaxSize int64
}

// Keep is how long the bytes outlast an open.
func (t Terms) Keep() time.Duration { return max(t.ReportWindow, t.ResumeWindow) }
