package crashes

import (
	"slices"

	"github.com/google/uuid"

	"mayfly/reports"
)

// log is the audit log as whoever keeps a copy of it knows it.
type log struct {
	chain   reports.Chain
	entries []reports.Entry // since the run began
	seen    bool            // the chain was begun
}

// begin forgets the entries of earlier runs, and keeps the head of their chain.
func (g *log) begin() { g.entries = nil }

// audit reads what the log has that is new, and verifies it: no entry is ever lost,
// changed or moved, and whatever was read before is still what comes before.
func (l *life) audit() {
	l.Helper()
	if !l.log.seen {
		l.log.seen, l.log.chain.Head.Tenant = true, tenant
	}
	for {
		page, head, err := l.db.Audit(l.Context(), tenant, l.log.chain.Head.Number, 100)
		if err != nil {
			l.Fatal(err)
		}
		for _, e := range page {
			if err := l.log.chain.Add(e); err != nil {
				l.Fatal(err)
			}
		}
		l.log.entries = append(l.log.entries, page...)
		if len(page) == 0 {
			l.must("verify the audit log", l.log.chain.End(head))
			return
		}
	}
}

// audited reports whether the log tells of an act on a ticket or a blob.
func (l *life) audited(act reports.Act, subject uuid.UUID) bool {
	l.Helper()
	l.audit()
	return slices.ContainsFunc(l.log.entries, func(e reports.Entry) bool { return e.Act == act && e.Subject == subject })
}

// acts are what the log tells of a report, in its order.
func (l *life) acts(report uuid.UUID) (acts []reports.Act) {
	l.Helper()
	l.audit()
	for _, e := range l.log.entries {
		if e.Report == report {
			acts = append(acts, e.Act)
		}
	}
	return acts
}

// once holds what the log tells of a report against what can happen to one: each of these
// at the most once, whatever was tried again.
func (l *life) once(r *report) {
	l.Helper()
	count := make(map[reports.Act]int)
	for _, act := range l.acts(r.id) {
		count[act]++
	}
	for _, act := range []reports.Act{reports.ActFiled, reports.ActAwaiting, reports.ActDismissed, reports.ActWithdrawn, reports.ActErased} {
		if count[act] > 1 {
			l.Errorf("%s %d times: %v", act, count[act], count)
		}
	}
	switch {
	case count[reports.ActFiled] != 1:
		l.Errorf("filed %d times: %v", count[reports.ActFiled], count)
	case count[reports.ActCopied]+count[reports.ActMediaReceived] > 1:
		l.Errorf("the evidence came twice: %v", count)
	case count[reports.ActAwaiting] > 0 && !r.late:
		l.Errorf("it was in time, and waited for its reporter's bytes: %v", count)
	}
	l.opensOnce(r)
}

// opensOnce: a ticket is opened once, after it was issued, and only by who has it.
func (l *life) opensOnce(r *report) {
	l.Helper()
	issued, opened := make(map[uuid.UUID]bool), make(map[uuid.UUID]bool)
	for _, e := range l.log.entries {
		switch {
		case e.Report != r.id:
		case e.Act == reports.ActTicketIssued:
			issued[e.Subject] = true
		case e.Act == reports.ActOpened:
			if !issued[e.Subject] || opened[e.Subject] {
				l.Errorf("ticket %s is opened: issued before: %v, opened before: %v", e.Subject, issued[e.Subject], opened[e.Subject])
			}
			opened[e.Subject] = true
			if !slices.ContainsFunc(r.pulls, func(t *ticket) bool { return t.token.ID() == e.Subject }) {
				l.Errorf("ticket %s is opened, which nobody has", e.Subject)
			}
		}
	}
}
