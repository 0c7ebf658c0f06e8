package storetest

import (
	"slices"
	"time"

	"mayfly/blobstore/checksum"
	"mayfly/expiry"
	"mayfly/tickets"
)

// oracle is a blob as design.md §4 says that it must be, derived from all that has
// happened to it and not, as the store does it, from the row before.
type oracle struct {
	blob    tickets.Blob
	tickets []tickets.Ticket
	// openedAt are all opens there were, those of unlimited tickets too.
	openedAt []time.Time
	retry    time.Time
	gone     bool
}

func (o *oracle) uploadable(now time.Time) bool {
	return !o.gone && o.blob.State == tickets.BlobPending && now.Before(o.blob.UploadUntil)
}

func (o *oracle) stored(c tickets.Commit) {
	o.blob.State, o.blob.Key, o.blob.SHA256, o.blob.Checksum = tickets.BlobStored, c.Key, &c.SHA256, c.Checksum
	o.blob.StoredAt, o.blob.ExpiresAt, o.blob.PurgeAt = c.Now, c.Expires, c.Expires
}

// opens reports whether the ticket can be opened at now.
func (o *oracle) opens(i int, now time.Time) bool {
	if o.gone || o.blob.State != tickets.BlobStored || !now.Before(o.blob.ExpiresAt) {
		return false
	}
	switch o.tickets[i].State {
	case tickets.TicketReady:
		return true
	case tickets.TicketRevoked:
		return false
	}
	return o.blob.Terms.Unlimited
}

func (o *oracle) anyReady() bool {
	return slices.ContainsFunc(o.tickets, func(t tickets.Ticket) bool { return t.State == tickets.TicketReady })
}

func (o *oracle) opened(i int, s tickets.Spend) {
	if t := &o.tickets[i]; t.State == tickets.TicketReady {
		t.State, t.Claim, t.OpenedAt = tickets.TicketOpened, s.Claim, s.Now
	}
	o.openedAt = append(o.openedAt, s.Now)
	o.blob.PurgeAt = time.Time{}
	for _, at := range o.openedAt {
		if until := at.Add(max(o.blob.Terms.ReportWindow, o.blob.Terms.ResumeWindow)); until.After(o.blob.PurgeAt) {
			o.blob.PurgeAt = until
		}
	}
	if (o.anyReady() || o.blob.Terms.Unlimited) && o.blob.ExpiresAt.After(o.blob.PurgeAt) {
		o.blob.PurgeAt = o.blob.ExpiresAt
	}
}

// takesMore says why no ticket can be added at now.
func (o *oracle) takesMore(now time.Time) error {
	switch {
	case o.gone:
		return tickets.ErrUnknownBlob
	case !o.blob.ExpiresAt.IsZero() && !now.Before(o.blob.ExpiresAt):
		return tickets.ErrExpired
	case o.blob.State == tickets.BlobPending && !now.Before(o.blob.UploadUntil):
		return tickets.ErrExpired
	case o.blob.State == tickets.BlobPurging || o.blob.State == tickets.BlobErased:
		return tickets.ErrErased
	}
	return nil
}

func (o *oracle) unsent(now time.Time) {
	if o.blob.State != tickets.BlobPending && o.blob.State != tickets.BlobStored {
		return
	}
	o.blob.State, o.blob.Reason, o.blob.PurgeAt, o.retry = tickets.BlobPurging, tickets.ReasonUnsent, now, now
	for i := range o.tickets {
		if t := &o.tickets[i]; t.State == tickets.TicketReady || o.blob.Terms.Unlimited && t.State != tickets.TicketRevoked {
			t.State, t.RevokedAt = tickets.TicketRevoked, now
		}
	}
}

func (o *oracle) due(now time.Time) bool {
	switch {
	case o.gone || o.blob.State == tickets.BlobErased:
		return false
	case o.blob.State == tickets.BlobPurging:
		return !now.Before(o.retry)
	}
	return !now.Before(o.blob.PurgeAt)
}

func (o *oracle) claimed(until time.Time) {
	o.retry = until
	switch {
	case o.blob.State == tickets.BlobPurging:
	case o.blob.State == tickets.BlobPending:
		o.blob.Reason = tickets.ReasonNotUploaded
	case o.anyReady() || len(o.openedAt) == 0:
		o.blob.Reason = tickets.ReasonUnopened
	default:
		o.blob.Reason = tickets.ReasonOpened
	}
	o.blob.State = tickets.BlobPurging
}

func (o *oracle) erased(now time.Time) {
	if o.blob.State != tickets.BlobPurging {
		return
	}
	o.blob.State, o.blob.Key, o.blob.Checksum = tickets.BlobErased, "", checksum.Sum{}
	o.blob.ErasedAt, o.blob.ForgetAt = now, now.Add(o.blob.Terms.TombstoneTTL)
}

// entries is the blob as a purge hands it back.
func entries(o *oracle) []expiry.Due { return []expiry.Due{{ID: o.blob.ID}} }
