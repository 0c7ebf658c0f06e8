package tickets

import (
	"context"
	"time"

	"mayfly/blobstore"
)

const (
	// MaxRecipients is how many tickets one call issues at the most.
	MaxRecipients = 1024
	// MaxTickets is how many tickets a blob has at the most.
	MaxTickets = 8192
	// maxRecipientBytes, maxCommitmentBytes and maxContextBytes bound what a
	// backend stores with us that is not ours to read.
	maxRecipientBytes  = 256
	maxCommitmentBytes = 256
	maxContextBytes    = 1024
)

// EvidenceTTL is how long a moderator's ticket for evidence is good.
const EvidenceTTL = 15 * time.Minute

// settleTimeout bounds what is finished after the client has gone: removing what a
// failed upload left, finding out whether a spend happened.
const settleTimeout = 10 * time.Second

// Service is the life of blobs and tickets. Store, Blobs and Policies are
// required. All methods may be called at the same time.
type Service struct {
	Store Store
	Blobs blobstore.Store
	// Policies resolves a policy's name, empty for the default, to its terms. ok is
	// false for a name that a tenant cannot use.
	Policies func(ctx context.Context, tenant, name string) (t Terms, ok bool, err error)
	// Stamp makes what shows later when a blob with these ids, digest and texts was stored;
	// nil for none.
	Stamp func(Blob) string
	// Direct lets clients bring bytes to the blob store themselves, if it is a
	// blobstore.Presigner.
	Direct bool
	// Now is the clock; time.Now if nil.
	Now func() time.Time

	transfers    transfers
	contests     contests
	reservations reservations
	completions  completions
}

func (s *Service) now() time.Time {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	// The stores keep microseconds: what is compared in memory is rounded alike.
	return now().UTC().Truncate(time.Microsecond)
}

// settle is a context for what must be finished although ctx may have ended.
func settle(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}
