package crashes

import (
	"slices"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/tickets"
)

// settleReports lets reporters and the moderator go on.
func (l *life) settleReports() {
	l.Helper()
	for _, r := range l.reported {
		if r.over {
			l.refuses(r)
		} else {
			l.settleReport(r)
		}
		l.once(r)
	}
	l.check()
}

// settleReport: who reported has the one report, and its evidence is what the sender
// uploaded, or nothing.
func (l *life) settleReport(r *report) {
	l.Helper()
	if err := l.files(r); err != nil {
		l.Errorf("report again with the same Idempotency-Key: %v", err)
		return
	}
	l.clock.move(3 * minute) // a copy whose process died is another's by now
	copied, err := l.copies()
	l.must("copy", err)
	if copied.Failed+copied.Awaiting > 0 {
		l.Errorf("copy: %+v", copied)
	}
	row := l.row(r)
	switch row.State {
	case reports.StateWithdrawn:
		if r.withdrawn == unasked {
			l.Errorf("it is withdrawn, and nobody asked for that")
		}
	case reports.StateAwaitingMedia:
		if !r.late || r.brought == told {
			l.Errorf("it waits for bytes; the purge was first: %v", r.late)
		}
		l.must("bring the bytes", l.bringsMedia(r))
	case reports.StateCopying, reports.StateLapsed:
		l.Errorf("it is %s (P1)", row.State)
		return
	default:
		if r.late {
			l.refused("bring the bytes again", l.bringsMedia(r), reports.ErrMediaNotAwaited)
		}
	}
	l.oneEvidence(r)
	l.unpinned(r)
	if r.withdrawn == unasked {
		l.settleModeration(r)
	}
	if r.late || r.withdrawn != unasked {
		l.must("withdraw", l.withdraws(r))
		l.gone(r)
	}
}

// unpinned: once it is copied, the report keeps nothing of what was unsent.
func (l *life) unpinned(r *report) {
	l.Helper()
	if r.blob.unsent == unasked {
		return
	}
	if p, err := l.purge.Run(l.ctx); err != nil || p.Failed > 0 {
		l.Errorf("purge: %+v, %v", p, err)
	}
	b, _, err := l.db.Blob(l.Context(), tenant, r.blob.id, 1)
	if err != nil || b.State != tickets.BlobErased {
		l.Errorf("it was unsent, and is %s after it was copied, and a purge: %v (P5)", b.State, err)
	}
}

// row is the report past the server.
func (l *life) row(r *report) reports.Report {
	l.Helper()
	x, err := l.db.Report(l.Context(), tenant, r.id)
	l.must("look at a report", err)
	return x
}

// oneEvidence: of one ticket there is one report, and of it at the most one blob; what
// else lies about is on record as an attempt of it.
func (l *life) oneEvidence(r *report) {
	l.Helper()
	all, err := l.db.Reports(l.Context(), tenant, reports.Query{Limit: 1000, Now: l.clock.Now()})
	l.must("list reports", err)
	if n := len(slices.DeleteFunc(all, func(x reports.Report) bool { return x.Blob != r.blob.id })); n != 1 {
		l.Errorf("%d reports of one ticket", n)
	}
	var stored []blobstore.Key
	var after uuid.UUID
	for {
		page, err := l.db.Stored(l.Context(), after, 100)
		l.must("list what is stored", err)
		if len(page) == 0 {
			break
		}
		for _, b := range page {
			if after = b.ID; b.Key.IsEvidence() {
				stored = append(stored, b.Key)
			}
		}
	}
	if n := len(stored); n > 1 || n == 0 && l.row(r).State != reports.StateWithdrawn {
		l.Errorf("evidence of one report: %v", stored)
	}
	for info, err := range l.bytes.Evidence.All(l.Context()) {
		if owner, _ := info.Key.Owner(); err != nil || !info.Partial && owner != r.id {
			l.Errorf("the evidence store has %s: %v", info.Key, err)
		}
	}
}

// settleModeration: what the moderator was told is so, and what not can be had now; the
// evidence is what the sender uploaded, byte for byte.
func (l *life) settleModeration(r *report) {
	l.Helper()
	row := l.row(r)
	switch moderator := l.moderator().Key; {
	case r.decided == told && row.State != reports.StateDismissed:
		l.Errorf("it was dismissed, and is %s", row.State)
	case r.decided == unasked && row.State != reports.StateOpen:
		l.Errorf("nobody decided, and it is %s", row.State)
	case r.claimed == told && row.State == reports.StateOpen && row.Claim.By != moderator:
		l.Errorf("it was claimed, and is %v's", row.Claim.By)
	}
	undecided := row.State == reports.StateOpen
	if undecided {
		l.must("claim", l.claims(r))
	}
	_, err := l.pulls(r)
	l.must("pull", err)
	for _, t := range r.pulls {
		l.settlePull(r, t)
	}
	if undecided {
		l.must("decide", l.decides(r))
	}
}

// settlePull: a moderator's ticket opens the evidence once.
func (l *life) settlePull(r *report, t *ticket) {
	l.Helper()
	row, _, err := l.Peek(l.ctx, t.token)
	l.must("look at a moderator's ticket", err)
	if spent := row.State != tickets.TicketReady; spent != l.audited(reports.ActOpened, t.token.ID()) {
		l.Errorf("a moderator's ticket is %s, and the audit log does not tell so (P6)", row.State)
	}
	l.must("open the evidence", l.opens(r.evidence(), t, t.claim))
	l.must("resume the evidence", l.resumes(r.evidence(), t, t.claim))
	l.refused("a stranger's open (P2)", l.opens(r.evidence(), &ticket{token: t.token}, newClaim()), tickets.ErrOpened)
}

// gone: after one purge and one sweep there is nothing of what was withdrawn.
func (l *life) gone(r *report) {
	l.Helper()
	if row := l.row(r); row.State != reports.StateWithdrawn || row.SealedKey != "" || row.Comment != "" {
		l.Errorf("it was withdrawn: %s, with a sealed key of %d bytes, and a comment of %d", row.State, len(row.SealedKey), len(row.Comment))
	}
	for _, t := range r.pulls {
		l.refused("an open of what was withdrawn", l.opens(r.evidence(), &ticket{token: t.token}, t.claim), tickets.ErrRevoked, tickets.ErrOpened, tickets.ErrErased)
	}
	l.clock.move(3 * day) // what was being put is old enough for a sweep
	if p, err := l.purge.Run(l.ctx); err != nil || p.Failed > 0 {
		l.Errorf("purge: %+v, %v", p, err)
	}
	if s, err := l.sweep.Run(l.ctx); err != nil || s.Failed > 0 {
		l.Errorf("sweep: %+v, %v", s, err)
	}
	remains, err := l.site.evidence.remains(l.Context())
	if err != nil || len(remains) > 0 {
		l.Errorf("withdrawn evidence remains: %v, %v (P5)", remains, err)
	}
}

// refuses: evidence that is due is given out to nobody.
func (l *life) refuses(r *report) {
	l.Helper()
	_, err := l.pulls(r)
	l.refused("a pull of what is over", err, reports.ErrErased)
	for _, t := range r.pulls {
		over := []error{tickets.ErrExpired, tickets.ErrErased, tickets.ErrOpened}
		l.refused("an open of evidence that is over", l.opens(r.evidence(), &ticket{token: t.token}, newClaim()), over...)
	}
}

// forgotten: once all is due, of a report there is no text and no sealed key.
func (l *life) forgotten() {
	l.Helper()
	for _, r := range l.reported {
		x, err := l.db.Report(l.Context(), tenant, r.id)
		switch {
		case err != nil:
			l.refused("look at a report", err, reports.ErrUnknownReport)
		case x.ErasedAt.IsZero() || x.Evidence != reports.EvidenceGone || x.SealedKey != "" || x.Comment != "":
			l.Errorf("of a report remain evidence: %s, a sealed key of %d bytes, and a comment of %d (P5)", x.Evidence, len(x.SealedKey), len(x.Comment))
		}
		if acts := l.acts(r.id); !slices.Contains(acts, reports.ActErased) {
			l.Errorf("the audit log does not tell that the evidence was erased: %v", acts)
		}
		l.once(r)
	}
}
