package crashes

// reportScenarios are of what is reported, from the report to the purge of its evidence.
var reportScenarios = []scenario{
	{
		name:   "report",
		before: func(l *life) { l.stored() },
		run: func(l *life) {
			b := l.known[0]
			r := l.reports(b, b.tickets[0])
			_, _ = l.copies()
			l.moderates(r)
		},
		steps: []string{
			"Reported", "File", "ClaimCopies", "BeginEvidence", "blobs.Copy", "blobs.Open", "StoreEvidence", "PutOffCopy", "blobs.Delete", "DropAttempt",
			"Reports", "Change", "FindTicket", "Spend", "the rest",
		},
	},
	{
		name:   "purge of a report",
		single: true,
		before: func(l *life) {
			r := l.copied()
			l.moderates(r)
			if r.decided != told {
				l.Fatal("a report without a fault was not decided")
			}
			l.clock.move(15 * day)
			r.over = true
		},
		run: func(l *life) {
			_, _ = l.purge.Run(l.ctx)
			_, _ = l.sweep.Run(l.ctx)
		},
		after: func(l *life) {
			l.closed(l.known[0])
			l.known = nil
		},
		steps: []string{"Stopped", "Share", "Claim", "blobs.Delete", "blobs.Open", "Erase", "Defer", "blobs.All"},
	},
	{
		name: "report after the purge",
		before: func(l *life) {
			l.must("unsend", l.unsends(l.stored()))
			_, err := l.purge.Run(l.ctx)
			l.must("purge", err)
		},
		run: func(l *life) {
			r := l.reports(l.known[0], l.known[0].tickets[0])
			r.late = true
			if r.filed != told || l.bringsMedia(r) != nil {
				return
			}
			_ = l.withdraws(r)
		},
		steps: []string{"Reported", "File", "HandledReport", "BeginEvidence", "blobs.Put", "StoreEvidence", "Change", "blobs.Delete", "DropAttempt"},
	},
	{
		name:   "unsend during the copy",
		single: true,
		before: func(l *life) { l.stored() },
		run: func(l *life) {
			b := l.known[0]
			l.reports(b, b.tickets[0])
			l.duringCopy = func() {
				_ = l.unsends(b)
				_, _ = l.purge.Run(l.ctx)
				l.check()
			}
			_, _ = l.copies()
		},
		// Before anybody copies what was not copied: the pin keeps it.
		after: func(l *life) {
			if r, err := l.purge.Run(l.ctx); err != nil || r.Failed > 0 {
				l.Errorf("purge: %+v, %v", r, err)
			}
		},
		steps: []string{"File", "blobs.Copy", "Unsend", "Claim", "StoreEvidence", "PutOffCopy", "blobs.Delete", "DropAttempt"},
	},
}

// copied is a report with its evidence. The first process that made it died at it, so that
// there is an attempt too.
func (l *life) copied() *report {
	l.Helper()
	b := l.stored()
	r := l.reports(b, b.tickets[0])
	l.arm(plan{{3, "blobs.Copy", diedWithin}})
	_, _ = l.copies()
	if _, met := l.restart(); met != 1 {
		l.Fatal("the copy was not cut off")
	}
	l.clock.move(3 * minute)
	if c, err := l.copies(); err != nil || c.Copied != 1 {
		l.Fatalf("%+v, %v", c, err)
	}
	return r
}
