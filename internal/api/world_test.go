package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/metrics"
	"mayfly/internal/openapi"
	"mayfly/internal/sqlstore"
	"mayfly/internal/stamp"
	"mayfly/reports"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// world is a Mayfly with its real embedded stores behind a real HTTP server, and a
// client that holds every answer against openapi.yaml.
type world struct {
	*testing.T
	db     *sqlstore.Store
	raw    *sql.DB // the same database, past the store
	rows   *faultyRows
	blobs  *blobstoretest.Faulty
	svc    *tickets.Service
	api    *Server
	server *httptest.Server
	client *http.Client
	key    string // of a backend
	ops    string // of an operator of the same tenant
	log    *syncBuffer
	http2  bool
	ahead  *atomic.Int64 // nanoseconds that the clock is ahead

	reports *reports.Service
	// identity is a moderator's, recipients are those to which reports are sealed.
	identity   envelope.Identity
	recipients []envelope.Recipient
	stamps     *stamp.Keyring
}

// option changes a world before it begins.
type option func(*world)

func withLimits(l Limits) option { return func(w *world) { w.api.Limits = l } }

func newWorld(t *testing.T, options ...option) *world {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "mayfly.db")
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite://" + path, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	files, err := fsblob.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: db, raw: openRaw(t, path), rows: &faultyRows{Store: db, PolicyStore: db}, blobs: &blobstoretest.Faulty{Store: files}, log: newSyncBuffer(), ahead: new(atomic.Int64)}
	policies := &expiry.Policies{Store: w.rows, Now: w.now}
	w.svc = &tickets.Service{Store: w.rows, Blobs: w.blobs, Policies: termsOf(policies), Now: w.now}
	w.api = &Server{
		Tickets: w.svc, Policies: policies, Keys: db, Metrics: metrics.New(),
		Log:    slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Limits: Limits{PerAddress: -1, PerToken: -1, FailuresPerAddress: -1},
	}
	w.takeReports(policies)
	for _, o := range options {
		o(w)
	}
	w.key, w.ops = w.newKey(keys.RoleBackend, "acme"), w.newKey(keys.RoleOps, "acme")
	w.server = w.serve()
	w.client = &http.Client{Transport: &contract{t: t, next: w.server.Client().Transport}}
	t.Cleanup(w.noSecretsLogged)
	return w
}

// in is the same world under a subtest.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.T = t
	sub.client = &http.Client{Transport: &contract{t: t, next: w.server.Client().Transport}}
	return &sub
}

// overHTTP2 serves HTTP/2, which means TLS.
func overHTTP2(w *world) { w.http2 = true }

// serve starts a server as cmd makes it.
func (w *world) serve() *httptest.Server {
	h, err := w.api.Handler()
	if err != nil {
		w.Fatal(err)
	}
	s := httptest.NewUnstartedServer(nil)
	s.Config = w.api.HTTPServer(h)
	s.Listener = w.api.Limit(s.Listener)
	w.Cleanup(s.Close)
	if w.http2 {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	return s
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *world) advance(d time.Duration) { w.ahead.Add(int64(d)) }

func (w *world) newKey(role keys.Role, tenant string) string {
	w.Helper()
	k, token, err := keys.New(role, tenant, w.now())
	if err != nil {
		w.Fatal(err)
	}
	if err := w.db.CreateKey(context.Background(), k); err != nil {
		w.Fatal(err)
	}
	return token.Reveal()
}

func termsOf(policies *expiry.Policies) func(context.Context, string, string) (tickets.Terms, bool, error) {
	return func(ctx context.Context, tenant, name string) (tickets.Terms, bool, error) {
		p, ok, err := policies.ForSender(ctx, tenant, name)
		return tickets.Terms{
			Policy: p.Name, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket, UnopenedTTL: p.UnopenedTTL,
			ReportWindow: p.ReportWindow, ResumeWindow: p.ResumeWindow, UploadTTL: p.UploadTTL,
			TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
		}, ok, err
	}
}

// with changes a request before it is sent.
type with func(*http.Request)

func header(name, value string) with { return func(r *http.Request) { r.Header.Set(name, value) } }

func sending(media string, b io.Reader, length int64) with {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", media)
		closer, ok := b.(io.ReadCloser)
		if !ok {
			closer = io.NopCloser(b)
		}
		r.Body, r.ContentLength = closer, length
		if length == 0 {
			r.Body = http.NoBody
		}
	}
}

// bytesBody and jsonBody may be sent again and again.
func bytesBody(b []byte) with {
	return func(r *http.Request) { sending(mediaBytes, bytes.NewReader(b), int64(len(b)))(r) }
}

func jsonBody(s string) with {
	return func(r *http.Request) { sending(mediaJSON, strings.NewReader(s), int64(len(s)))(r) }
}

func (w *world) request(call, token string, options ...with) *http.Request {
	w.Helper()
	method, path, _ := strings.Cut(call, " ")
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, o := range options {
		o(r)
	}
	return r
}

// do sends a call; the caller reads and closes the body.
func (w *world) do(call, token string, options ...with) *http.Response {
	w.Helper()
	resp, err := w.client.Do(w.request(call, token, options...))
	if err != nil {
		w.Fatalf("%s: %v", call, err)
	}
	w.Cleanup(func() { resp.Body.Close() })
	return resp
}

// want sends a call, and fails unless it is answered with the status; it returns the
// body.
func (w *world) want(status int, call, token string, options ...with) (*http.Response, []byte) {
	w.Helper()
	resp := w.do(call, token, options...)
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatalf("%s: reading the body: %v", call, err)
	}
	if resp.StatusCode != status {
		w.Fatalf("%s: %d, want %d\n%s", call, resp.StatusCode, status, b)
	}
	return resp, b
}

// refused sends a call, and fails unless it is answered with this problem.
func (w *world) refused(status int, code openapi.ProblemCode, call, token string, options ...with) (openapi.Problem, *http.Response) {
	w.Helper()
	resp, b := w.want(status, call, token, options...)
	var p openapi.Problem
	if err := json.Unmarshal(b, &p); err != nil {
		w.Fatalf("%s: %v\n%s", call, err, b)
	}
	if p.Code != code {
		w.Fatalf("%s: code %s, want %s\n%s", call, p.Code, code, b)
	}
	return p, resp
}

func decode[T any](w *world, b []byte) T {
	w.Helper()
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		w.Fatalf("%v\n%s", err, b)
	}
	return v
}

// store uploads a blob and returns its id and its tickets' tokens.
func (w *world) store(content []byte, query string) (id string, tokens []string) {
	w.Helper()
	_, b := w.want(201, "POST /v1/blobs?"+query, w.key, bytesBody(content))
	return issued(decode[openapi.CreatedBlob](w, b))
}

// place stores a blob without HTTP and returns its id and its ticket's token.
func (w *world) place(content []byte) (id, token string) {
	w.Helper()
	issued, err := w.svc.UploadNow(w.Context(), tickets.Request{Tenant: "acme", Size: int64(len(content))}, bytes.NewReader(content))
	if err != nil {
		w.Fatal(err)
	}
	return issued.Blob.ID.String(), issued.Tickets[0].Token.Reveal()
}

// announce records a blob and returns its grant too.
func (w *world) announce(json string) (id, grant string, tokens []string) {
	w.Helper()
	_, b := w.want(201, "POST /v1/blobs", w.key, jsonBody(json))
	created := decode[openapi.CreatedBlob](w, b)
	id, tokens = issued(created)
	return id, strings.TrimPrefix(created.Upload.Headers["Authorization"], "Bearer "), tokens
}

func issued(c openapi.CreatedBlob) (id string, tokens []string) {
	for _, t := range c.Tickets {
		tokens = append(tokens, t.Token)
	}
	return c.ID.String(), tokens
}

// status is the blob as its backend sees it.
func (w *world) status(id string) openapi.Blob {
	w.Helper()
	_, b := w.want(200, "GET /v1/blobs/"+id, w.key)
	return decode[openapi.Blob](w, b)
}

// purge erases what is due.
func (w *world) purge() {
	w.Helper()
	p := expiry.Purge{Queue: w.db, Blobs: w.blobs, Now: w.now}
	if _, err := p.Run(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func claimKey() string {
	var b [24]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func content(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// dial is a connection to the server without an HTTP client in between.
func (w *world) dial() (net.Conn, *bufio.Reader) {
	w.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}
