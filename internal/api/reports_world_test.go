package api

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // the driver, to look at the database past the store

	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/openapi"
	"mayfly/internal/stamp"
	"mayfly/reports"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// takeReports wires the reports as cmd does. Copies are made when a test calls copyDue.
func (w *world) takeReports(policies *expiry.Policies) {
	w.identity = newIdentity(w)
	w.recipients = []envelope.Recipient{w.identity.Recipient()}
	w.stamps = newStamps(w)
	w.svc.Stamp = func(b tickets.Blob) string {
		return w.stamps.Stamp(stamp.Upload{
			Blob: b.ID, SHA256: *b.SHA256, Size: b.Size, KeyCommitment: b.KeyCommitment, Context: b.Context, StoredAt: b.StoredAt,
		})
	}
	w.reports = &reports.Service{
		Store: w.db, Blobs: w.blobs, Now: w.now, Cut: w.svc.Cut,
		Recipients: func(context.Context) ([]envelope.Recipient, error) { return w.recipients, nil },
		Terms: func(ctx context.Context, tenant string) (reports.Terms, error) {
			p, err := policies.Evidence(ctx, tenant)
			return reports.Terms{
				Policy: p.Name, Keep: p.UnopenedTTL, ResumeWindow: p.ResumeWindow,
				UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
			}, err
		},
	}
	w.api.Reports = Reports{Service: w.reports, Stamps: w.stamps}
}

// withoutModerators: there are no recipients.
func withoutModerators(w *world) { w.recipients = nil }

func newIdentity(w *world) envelope.Identity {
	w.Helper()
	identity, err := envelope.GenerateIdentity(false)
	if err != nil {
		w.Fatal(err)
	}
	return identity
}

func newStamps(w *world) *stamp.Keyring {
	w.Helper()
	k, err := stamp.Parse(stamp.Generate())
	if err != nil {
		w.Fatal(err)
	}
	return k
}

func (w *world) moderator() string { return w.newKey(keys.RoleModerator, "acme") }

// filing is the JSON of a report.
type filing map[string]any

// with is the same report with another field; nil leaves it out.
func (f filing) with(name string, value any) filing {
	other := maps.Clone(f)
	if other[name] = value; value == nil {
		delete(other, name)
	}
	return other
}

func (f filing) body() with {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return jsonBody(string(text))
}

const reportersComment = "what the reporter has to say"

// filing is a report as a client makes it that follows the rules.
func (w *world) filing(blob string, content []byte) filing {
	return filing{
		"reason": "harassment", "comment": reportersComment,
		"consent":    map[string]any{"granted": true, "statement": "mayfly-1", "locale": "en"},
		"sealed_key": w.sealed(blob, content, w.recipients...),
	}
}

// mediaKey is what the reporter's client seals. No server may ever see it.
const mediaKey = `{"fragment":"` + "8c3d1b6fb5b9a5ea35d4c4c3" + "0101010101010101010101010101010101010101010101010101010101010101" + `"}`

func (w *world) sealed(blob string, content []byte, to ...envelope.Recipient) string {
	w.Helper()
	text, err := envelope.Seal(envelope.Contents{
		Blob: uuid.MustParse(blob), SHA256: sha256.Sum256(content), Size: int64(len(content)),
		Format: "xep-0454", Key: json.RawMessage(mediaKey), Name: "picture.jpg",
	}, to)
	if err != nil {
		w.Fatal(err)
	}
	return text
}

// file reports what a ticket is for.
func (w *world) file(ticket string, f filing, options ...with) openapi.CreatedReport {
	w.Helper()
	_, b := w.want(201, "POST /v1/reports", ticket, append([]with{f.body()}, options...)...)
	return decode[openapi.CreatedReport](w, b)
}

// copyDue makes the copies that are due, which must be so many.
func (w *world) copyDue(want int64) {
	w.Helper()
	r, err := w.reports.CopyDue(w.Context())
	if err != nil || r.Copied != want || len(r.Failures) > 0 {
		w.Fatalf("copied %+v, %v, want %d", r, err, want)
	}
}

// reported stores a blob, reports it and copies it.
func (w *world) reported(content []byte) openapi.CreatedReport {
	w.Helper()
	blob, tokens := w.store(content, "recipient=a")
	created := w.file(tokens[0], w.filing(blob, content))
	w.copyDue(1)
	return created
}

func path(r openapi.CreatedReport, more string) string { return "/v1/reports/" + r.ID.String() + more }

// see is a report as the token's holder is told.
func (w *world) see(r openapi.CreatedReport, token string) openapi.Report {
	w.Helper()
	_, b := w.want(200, "GET "+path(r, ""), token)
	return decode[openapi.Report](w, b)
}

// pull is a ticket for the evidence.
func (w *world) pull(r openapi.CreatedReport, moderator string) openapi.EvidenceTicket {
	w.Helper()
	_, b := w.want(201, "POST "+path(r, "/tickets"), moderator)
	return decode[openapi.EvidenceTicket](w, b)
}

// claim claims a report.
func (w *world) claim(r openapi.CreatedReport, moderator string) openapi.Report {
	w.Helper()
	_, b := w.want(200, "POST "+path(r, "/claim"), moderator)
	return decode[openapi.Report](w, b)
}

func (w *world) decide(r openapi.CreatedReport, moderator, outcome string) openapi.Report {
	w.Helper()
	_, b := w.want(200, "POST "+path(r, "/decision"), moderator, jsonBody(fmt.Sprintf(`{"outcome":%q,"policy":"terms:4","note":"a note"}`, outcome)))
	return decode[openapi.Report](w, b)
}

// acts are the log's of one report.
func (w *world) acts(report uuid.UUID) []string {
	w.Helper()
	entries, _, err := w.db.Audit(w.Context(), "acme", 0, 10_000)
	if err != nil {
		w.Fatal(err)
	}
	var acts []string
	for _, e := range entries {
		if e.Report == report {
			acts = append(acts, string(e.Act))
		}
	}
	return acts
}

func (w *world) wantActs(report uuid.UUID, want ...string) {
	w.Helper()
	if got := w.acts(report); !slices.Equal(got, want) {
		w.Errorf("the audit log has %v, want %v", got, want)
	}
}

// openRaw opens the database without the store.
func openRaw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// sql changes the database past the store.
func (w *world) sql(query string, args ...any) {
	w.Helper()
	if _, err := w.raw.ExecContext(w.Context(), query, args...); err != nil {
		w.Fatal(err)
	}
}

// everything is each row of the database and each name in the blob store, as text.
func (w *world) everything() (all []string) {
	w.Helper()
	var tables []string
	w.query(`SELECT name FROM sqlite_master WHERE type = 'table'`, func(row []any, _ []string) { tables = append(tables, row[0].(string)) })
	for _, table := range tables {
		w.query(`SELECT * FROM "`+table+`"`, func(row []any, columns []string) {
			line := table + ":"
			for i, v := range row {
				if b, ok := v.([]byte); ok {
					v = fmt.Sprintf("%x", b)
				}
				line += fmt.Sprintf(" %s=%v", columns[i], v)
			}
			all = append(all, line)
		})
	}
	for info, err := range w.blobs.Store.All(w.Context()) {
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, fmt.Sprintf("object: %s %s %d", info.Key, info.Ref, info.Size))
	}
	slices.Sort(all)
	return all
}

func (w *world) query(query string, each func(row []any, columns []string)) {
	w.Helper()
	rows, err := w.raw.QueryContext(w.Context(), query)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		w.Fatal(err)
	}
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			w.Fatal(err)
		}
		each(row, columns)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
}

// unchanged fails if do left anything different in the database or the blob store.
func (w *world) unchanged(what string, do func()) {
	w.Helper()
	before := w.everything()
	do()
	after := w.everything()
	if slices.Equal(before, after) {
		return
	}
	var lines []string
	for _, line := range before {
		if !slices.Contains(after, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			lines = append(lines, "+ "+line)
		}
	}
	w.Errorf("%s changed:\n%s", what, strings.Join(lines, "\n"))
}
