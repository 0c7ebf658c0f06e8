package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
	"mayfly/reports"
)

// auditLog is a chain of n entries of a tenant; seed makes it another one.
func auditLog(tenant string, n int, seed byte) []reports.Entry {
	head := reports.Head{Tenant: tenant}
	var all []reports.Entry
	for i := range n {
		r := reports.Record{Act: reports.ActFiled, Subject: uuid.UUID{seed, byte(i)}}
		if i%2 == 1 {
			r = reports.Record{Act: reports.ActCopied, Digest: &blobstore.Digest{seed}}
		}
		e := head.Next(time.Date(2026, 11, 22, 10, 0, i, 123456789, time.UTC), reports.ActorServer, uuid.UUID{9, byte(i)}, r)
		all, head = append(all, e), e.Head()
	}
	return all
}

// serves lets the server have the log, in pages of three, with the head that it says.
func (x *exchange) audit(all []reports.Entry, head reports.Head) {
	page := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		answer := client.AuditPage{Entries: []client.AuditEntry{}, Head: client.AuditHead(head)}
		for _, e := range all {
			if e.Number > after && len(answer.Entries) < 3 {
				sent := client.AuditEntry{
					Number: e.Number, At: e.At, Act: string(e.Act), Actor: e.Actor, Report: e.Report, Digest: e.Digest, Previous: e.Previous, Hash: e.Hash,
				}
				if e.Subject != (uuid.UUID{}) {
					sent.Subject = &e.Subject
				}
				answer.Entries = append(answer.Entries, sent)
			}
		}
		json.NewEncoder(w).Encode(answer)
	}
	x.server.Fail("GET /v1/audit", slices.Repeat([]clienttest.Fault{page}, 40)...)
}

func (x *exchange) audited(c moderateAuditCmd) (string, error) {
	x.Helper()
	x.out.Reset()
	kept, err := c.head()
	if err != nil {
		return "", err
	}
	if c.Verify || c.Head != "" || c.Export != "" {
		err = c.verify(x.Context(), x.terminal(""), x.client, kept)
	} else {
		err = c.list(x.Context(), x.terminal(""), x.client)
	}
	return x.out.String(), err
}

func last(all []reports.Entry) reports.Head { return all[len(all)-1].Head() }

func TestAuditVerifies(t *testing.T) {
	on(t, func(x *exchange) {
		all := auditLog("acme", 8, 1)
		x.audit(all, last(all))
		kept, now := filepath.Join(x.dir, "kept"), filepath.Join(x.dir, "now")
		if printed, err := x.audited(moderateAuditCmd{Verify: true}); err != nil || !strings.Contains(printed, "of the tenant acme is whole: 8 entries, head "+all[7].Hash.String()) {
			x.Errorf("printed %q: %v", printed, err)
		}
		// A head that was kept: of the first entry, in a page, at its end, the last, and none.
		for _, n := range []int{0, 1, 2, 3, 6, 8} {
			head := reports.Head{Tenant: "acme"}
			if n > 0 {
				head = all[n-1].Head()
			}
			if err := exportHead(kept, client.AuditHead(head)); err != nil {
				x.Fatal(err)
			}
			if _, err := x.audited(moderateAuditCmd{Head: kept}); err != nil {
				x.Errorf("after %d: %v", n, err)
			}
		}
		// What is exported is what is taken later, and replaces only what was verified.
		if printed, err := x.audited(moderateAuditCmd{Export: now, JSON: true}); err != nil || !strings.Contains(printed, `"verified": true`) {
			x.Errorf("printed %q: %v", printed, err)
		}
		if _, err := x.audited(moderateAuditCmd{Export: now}); !errors.As(err, new(usageError)) {
			x.Errorf("got %v", err)
		}
		if _, err := x.audited(moderateAuditCmd{Head: now, Export: now}); err != nil {
			x.Error(err)
		}
		x.files("kept", "now")
		printed, err := x.audited(moderateAuditCmd{})
		if err != nil || strings.Count(printed, "\n") != 9 || !strings.Contains(printed, "\n8  ") {
			x.Errorf("%v: %s", err, printed)
		}
		var listed []client.AuditEntry
		printed, err = x.audited(moderateAuditCmd{JSON: true})
		if err != nil || json.Unmarshal([]byte(printed), &listed) != nil || len(listed) != 8 || listed[7].Hash != all[7].Hash {
			x.Errorf("%v: %s", err, printed)
		}
	})
}

// Whatever was done to the log is found, and the entry named.
func TestAuditIsBroken(t *testing.T) {
	whole := auditLog("acme", 8, 1)
	for name, c := range map[string]struct {
		all    []reports.Entry
		head   reports.Head
		kept   reports.Head // zero for none
		number int64
		want   string
	}{
		"changed": {slices.Concat(whole[:4], []reports.Entry{func() reports.Entry { e := whole[4]; e.Act = reports.ActReleased; return e }()}, whole[5:]),
			last(whole), reports.Head{}, 5, "it is not what was written"},
		"dropped":                {slices.Concat(whole[:4], whole[5:]), last(whole), reports.Head{}, 5, "entry 6 comes in its place"},
		"the first dropped":      {whole[1:], last(whole), reports.Head{}, 1, "entry 2 comes in its place"},
		"the end cut":            {whole[:6], last(whole), reports.Head{}, 7, "it and all up to 8 are missing"},
		"the end and head cut":   {whole[:6], last(whole[:6]), last(whole), 7, "it and all up to 8, which"},
		"written anew":           {auditLog("acme", 9, 2), last(auditLog("acme", 9, 2)), last(whole), 8, "the log was written anew since"},
		"written anew, as long":  {auditLog("acme", 8, 2), last(auditLog("acme", 8, 2)), last(whole), 8, "the log was written anew since"},
		"more than the head":     {whole, last(whole[:7]), reports.Head{}, 8, "it is behind the head"},
		"another head":           {whole, last(auditLog("acme", 8, 2)), reports.Head{}, 8, "the head is of another entry"},
		"all gone":               {nil, reports.Head{Tenant: "acme"}, last(whole), 1, "it and all up to 8, which"},
		"moved to another":       {whole, reports.Head{Tenant: "other", Number: 8, Hash: last(whole).Hash}, reports.Head{}, 1, "it is not what was written"},
		"a kept head of another": {whole, last(whole), reports.Head{Tenant: "other", Number: 3}, 0, `is the head of the tenant "other", and the log of the tenant "acme"`},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				x.audit(c.all, c.head)
				cmd := moderateAuditCmd{Verify: true}
				if c.kept != (reports.Head{}) {
					cmd.Head = filepath.Join(x.dir, "head")
					cmd.Export = cmd.Head
					if err := exportHead(cmd.Head, client.AuditHead(c.kept)); err != nil {
						x.Fatal(err)
					}
				}
				before, _ := os.ReadFile(cmd.Head)
				printed, err := x.audited(cmd)
				if err == nil || !strings.Contains(err.Error(), c.want) || printed != "" {
					x.Fatalf("printed %q: %v", printed, err)
				}
				var broken *reports.ChainError
				if c.number > 0 && (!errors.As(err, &broken) || broken.Number != c.number || !strings.Contains(err.Error(), fmt.Sprintf("entry %d:", c.number))) {
					x.Errorf("names another entry: %v", err)
				}
				if after, _ := os.ReadFile(cmd.Head); string(after) != string(before) {
					x.Error("the head that was kept is replaced")
				}
			})
		})
	}
}

func TestAuditUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	head := client.AuditHead{Tenant: "acme", Number: 3}
	if err := errors.Join(exportHead("head", head), os.WriteFile("none", []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cmd  moderateAuditCmd
		want string
	}{
		"no head in it":      {moderateAuditCmd{Head: "none"}, "was not written by"},
		"another tenant's":   {moderateAuditCmd{Head: "head", Tenant: "other"}, `is the head of the tenant "acme"`},
		"not to be replaced": {moderateAuditCmd{Export: "none", Head: "head"}, "none exists"},
	} {
		if _, err := c.cmd.head(); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (&moderateAuditCmd{Head: "absent"}).head(); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	// The operator's key is as good where there is no moderator's.
	if err := os.Mkdir(dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{moderatorKeyFile, opsKeyFile, moderatorKeyFile} {
		if got := auditKeyFile(); got != want {
			t.Errorf("%s, not %s", got, want)
		}
		next := map[string]string{moderatorKeyFile: opsKeyFile, opsKeyFile: moderatorKeyFile}[want]
		if err := os.WriteFile(filepath.Join(dataDir, next), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 5, time.UTC)
	for text, want := range map[string]string{
		"400d": "2027-12-27T10:00:00Z", "36h": "2026-11-23T22:00:00Z", "2027-12-01": "2027-12-02T00:00:00Z",
		"2027-12-01T12:00:00Z": "2027-12-01T12:00:00Z", "2027-12-01T12:00:00+02:00": "2027-12-01T10:00:00Z",
	} {
		if got, err := parseUntil(text, now); err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-3d", "soon", "2027-13-01", "400"} {
		if got, err := parseUntil(text, now); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}
