package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/keys"
	"mayfly/internal/metrics"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// openStore is a database that takes no time: every ticket is ready, every spend
// wins. What a benchmark with it measures is HTTP.
type openStore struct {
	tickets.Store
	blob tickets.Blob
}

func (s openStore) FindTicket(_ context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, error) {
	return tickets.Ticket{ID: id, BlobID: s.blob.ID, Hash: h, State: tickets.TicketReady}, s.blob, nil
}

func (openStore) Spend(context.Context, tickets.Spend) (bool, error) { return true, nil }

func (openStore) Begin(context.Context, tickets.Blob, []tickets.Ticket, tickets.Hash) error {
	return nil
}

// oneFile is a blob store with one blob.
type oneFile struct {
	blobstore.Store
	path string
	size int64
}

func (f oneFile) Open(context.Context, blobstore.Key, int64) (io.ReadCloser, blobstore.Info, error) {
	file, err := os.Open(f.path)
	return file, blobstore.Info{Size: f.size}, err
}

type anyKey struct{}

func (anyKey) FindKey(context.Context, uuid.UUID, tickets.Hash) (keys.Key, error) {
	return keys.Key{Tenant: "acme", Role: keys.RoleBackend}, nil
}

// benchServer is the API over openStore, with a log that goes nowhere, or to a file
// as in production.
func benchServer(b *testing.B, size int64) (h http.Handler, s *Server, path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "blob")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		b.Fatal(err)
	}
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	s = &Server{
		Tickets: &tickets.Service{
			Store: openStore{blob: tickets.Blob{
				ID: uuid.New(), State: tickets.BlobStored, Size: size, SHA256: &blobstore.Digest{1}, ExpiresAt: time.Now().Add(time.Hour),
			}},
			Blobs: oneFile{path: path, size: size},
		},
		Keys: anyKey{}, Metrics: metrics.New(), Log: slog.New(slog.NewTextHandler(log, nil)),
		Limits: Limits{PerAddress: 1 << 30, PerToken: 1 << 30, FailuresPerAddress: 1 << 30},
	}
	h, err = s.Handler()
	if err != nil {
		b.Fatal(err)
	}
	return h, s, path
}

// plainFile is the least that net/http can do for the same bytes.
func plainFile(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		http.ServeContent(w, r, "blob.bin", time.Time{}, f)
	})
}

// bench asks the server over keep-alive connections, by as thin a client as can be.
func bench(b *testing.B, config *http.Server, limit func(net.Listener) net.Listener, size int64) {
	b.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config, server.Listener = config, limit(server.Listener)
	server.Start()
	b.Cleanup(server.Close)
	token := tickets.NewToken(tickets.KindTicket, uuid.New()).Reveal()
	request := []byte("POST /v1/download HTTP/1.1\r\nHost: media.example.org\r\nAuthorization: Bearer " + token +
		"\r\nClaim-Key: " + claimKey() + "\r\nUser-Agent: bench\r\nContent-Length: 0\r\n\r\n")
	b.SetBytes(size)
	b.ReportAllocs()
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		answer := bufio.NewReaderSize(conn, 64<<10)
		for pb.Next() {
			if _, err := conn.Write(request); err != nil {
				b.Error(err)
				return
			}
			for {
				line, err := answer.ReadSlice('\n')
				if err != nil {
					b.Error(err)
					return
				}
				if len(line) == 2 {
					break
				}
			}
			if _, err := answer.Discard(int(size)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func same(l net.Listener) net.Listener { return l }

// BenchmarkOpen compares an open with net/http's own file server on the same file.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int64{64 << 10, 64 << 20} {
		b.Run(fmt.Sprintf("plain/%dKiB", size>>10), func(b *testing.B) {
			_, _, path := benchServer(b, size)
			bench(b, &http.Server{Handler: plainFile(path)}, same, size)
		})
		b.Run(fmt.Sprintf("mayfly/%dKiB", size>>10), func(b *testing.B) {
			h, s, _ := benchServer(b, size)
			bench(b, s.HTTPServer(h), s.Limit, size)
		})
	}
}

// sink is a ResponseWriter that costs nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header                       { return s.header }
func (s *sink) WriteHeader(status int)                    { s.status = status }
func (s *sink) Write(p []byte) (int, error)               { return len(p), nil }
func (s *sink) SetWriteDeadline(time.Time) error          { return nil }
func (s *sink) SetReadDeadline(time.Time) error           { return nil }
func (s *sink) ReadFrom(r io.Reader) (n int64, err error) { return r.(*io.LimitedReader).N, nil }

// BenchmarkHandler is what the API itself costs, without sockets.
func BenchmarkHandler(b *testing.B) {
	run := func(b *testing.B, h http.Handler, r *http.Request, body string) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				w := &sink{header: make(http.Header, 8)}
				req := *r
				if body != "" {
					req.Header = r.Header.Clone()
					req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
				}
				h.ServeHTTP(w, &req)
				if w.status >= 400 {
					b.Fatal(w.status)
				}
			}
		})
	}
	h, _, path := benchServer(b, 64<<10)
	get := httptest.NewRequest("GET", "/", nil)
	b.Run("plain file", func(b *testing.B) { run(b, plainFile(path), get, "") })
	open := httptest.NewRequest("POST", "/v1/download", nil)
	open.Header.Set("Authorization", "Bearer "+tickets.NewToken(tickets.KindTicket, uuid.New()).Reveal())
	open.Header.Set("Claim-Key", claimKey())
	b.Run("open", func(b *testing.B) { run(b, h, open, "") })
	b.Run("healthz", func(b *testing.B) { run(b, h, httptest.NewRequest("GET", "/healthz", nil), "") })
	create := httptest.NewRequest("POST", "/v1/blobs", bytes.NewReader(nil))
	create.Header.Set("Authorization", "Bearer "+tickets.NewToken(tickets.KindKey, uuid.New()).Reveal())
	create.Header.Set("Content-Type", mediaJSON)
	b.Run("announce", func(b *testing.B) { run(b, h, create, `{"size":482133,"recipients":["alice","bob"]}`) })
}

// BenchmarkValidate is the validator's part of an announcement.
func BenchmarkValidate(b *testing.B) {
	doc := document()
	ops, err := operationsOf(doc, metrics.New())
	if err != nil {
		b.Fatal(err)
	}
	schema := ops[route{"POST", "/v1/blobs"}].json
	var value any
	if err := jsonUnmarshal([]byte(`{"size":482133,"recipients":["alice","bob"]}`), &value); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := schema.VisitJSON(value); err != nil {
			b.Fatal(err)
		}
	}
	_ = openapi.Document
}
