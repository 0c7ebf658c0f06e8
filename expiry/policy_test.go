package expiry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/expiry"
)

// The table of design §7.
func TestBuiltinPolicies(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	want := []expiry.Policy{
		{Name: "view-once", UnopenedTTL: 14 * day, ReportWindow: 72 * time.Hour},
		{Name: "disappearing-24h", Unlimited: true, UnopenedTTL: day},
		{Name: "disappearing-7d", Unlimited: true, UnopenedTTL: 7 * day},
		{Name: "disappearing-90d", Unlimited: true, UnopenedTTL: 90 * day},
		{Name: "channel-30d", Unlimited: true, SharedTicket: true, UnopenedTTL: 30 * day},
		{Name: "evidence", Internal: true, UnopenedTTL: 30 * day},
	}
	for i := range want {
		p := &want[i]
		p.MaxSize, p.ResumeWindow, p.UploadTTL, p.TombstoneTTL = 2<<30, 15*time.Minute, day, 90*day
	}
	if diff := cmp.Diff(want, expiry.Builtin()); diff != "" {
		t.Error(diff)
	}
}

func TestForSender(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":            "view-once",
		"view-once":   "view-once",
		"channel-30d": "channel-30d",
		"evidence":    "", // not for senders
		"View-Once":   "",
		"forever":     "",
	} {
		p, ok := expiry.ForSender(expiry.Builtin(), name)
		if ok != (want != "") || p.Name != want {
			t.Errorf("%q: %q, %v", name, p.Name, ok)
		}
	}
}
