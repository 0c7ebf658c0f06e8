package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
	"mayfly/internal/api"
	"mayfly/internal/sqlstore"
	"mayfly/tickets"
)

// BenchmarkOpen opens blobs of 64 KiB with 64 callers at a time.
//
// plain, http, lookup and whole are steps: each does what the one before does and
// one thing more, so that differences tell what a layer costs. plain is a GET
// of the plain server; http is an open through Mayfly's API that asks no database;
// lookup finds the ticket there; whole also spends it. file, find and spend are
// pieces by themselves, without HTTP.
//
// Every open has a blob of its own, also where none is spent: the processor's
// caches would otherwise hold them all. cpu-ns/op is the processor time of the
// whole process, the client included.
//
//	go test -run '^$' -bench '^BenchmarkOpen$' -benchtime 10000x ./internal/bench
func BenchmarkOpen(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		w := newOpenWorld(b)
		known := w.fill(b, b.N)
		paths, err := (&servers{dir: w.dir}).blobPaths()
		if err != nil {
			b.Fatal(err)
		}
		srv := httptest.NewServer(plainHandler(w.dir))
		defer srv.Close()
		s := &servers{plainURL: srv.URL, client: newClient()}
		measureOpens(b, func(ctx context.Context, i int) error {
			return s.get(ctx, paths[known[i].Blob.ID], io.Discard)
		})
	})
	b.Run("http", func(b *testing.B) {
		w := newOpenWorld(b)
		known := w.fill(b, b.N)
		w.benchAPI(b, newTicketless(knownTo(known)), known)
	})
	b.Run("lookup", func(b *testing.B) {
		w := newOpenWorld(b)
		known := w.fill(b, b.N)
		w.benchAPI(b, &noSpend{Store: w.store}, known)
	})
	b.Run("whole", func(b *testing.B) {
		w := newOpenWorld(b)
		w.benchAPI(b, w.store, w.fill(b, b.N))
	})

	b.Run("file", func(b *testing.B) {
		w := newOpenWorld(b)
		known := w.fill(b, b.N)
		measureOpens(b, func(ctx context.Context, i int) error {
			f, _, err := w.files.Open(ctx, known[i].Blob.Key, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			buf := copyBuffers.Get().(*[256 << 10]byte)
			defer copyBuffers.Put(buf)
			_, err = io.CopyBuffer(onlyWriter{io.Discard}, f, buf[:])
			return err
		})
	})
	b.Run("find", func(b *testing.B) {
		w := newOpenWorld(b)
		known := w.fill(b, b.N)
		measureOpens(b, func(ctx context.Context, i int) error {
			t := known[i].Tickets[0].Token
			_, _, err := w.store.FindTicket(ctx, t.ID(), t.Hash())
			return err
		})
	})
	b.Run("spend", func(b *testing.B) {
		w := newOpenWorld(b)
		known := w.fill(b, b.N)
		measureOpens(b, func(ctx context.Context, i int) error {
			t := known[i].Tickets[0].Token
			won, err := w.store.Spend(ctx, tickets.Spend{Ticket: t.ID(), Blob: known[i].Blob.ID, Hash: t.Hash(), Claim: t.Hash(), Now: time.Now()})
			if err == nil && !won {
				err = fmt.Errorf("ticket %d was not won", i)
			}
			return err
		})
	})
}

// measureOpens calls do b.N times and tells the processor time that it took.
func measureOpens(b *testing.B, do func(ctx context.Context, i int) error) {
	before := processCPU(b)
	b.ResetTimer()
	if err := many(b.Context(), manyClients, b.N, do); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric((processCPU(b)-before)*1e9/float64(b.N), cpuPerOp)
}

func processCPU(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		b.Skip("processor time is read from /proc: ", err)
	}
	seconds, err := parseProcessCPU(string(text))
	if err != nil {
		b.Fatal(err)
	}
	return seconds
}

// openWorld is what an open needs, as the server has it, in this process.
type openWorld struct {
	dir   string
	store *sqlstore.Store
	files *fsblob.Store
}

func newOpenWorld(b *testing.B) *openWorld {
	b.Helper()
	w := &openWorld{dir: b.TempDir()}
	var err error
	if w.store, err = sqlstore.Open(b.Context(), sqlstore.Config{URL: "sqlite://" + filepath.Join(w.dir, "mayfly.db"), Migrate: true}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.store.Close() })
	if w.files, err = fsblob.Open(filepath.Join(w.dir, "blobs")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.files.Close() })
	return w
}

// service is the domain on rows that may be a stand-in.
func (w *openWorld) service(rows tickets.Store) *tickets.Service {
	return &tickets.Service{Store: rows, Blobs: w.files, Policies: func(_ context.Context, _, name string) (tickets.Terms, bool, error) {
		p, ok := expiry.ForSender(expiry.Builtin(), name)
		return tickets.Terms{
			Policy: p.Name, UnopenedTTL: p.UnopenedTTL, ReportWindow: p.ReportWindow, ResumeWindow: p.ResumeWindow,
			UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
		}, ok, nil
	}}
}

// fill uploads n blobs with a ticket each.
func (w *openWorld) fill(b *testing.B, n int) []tickets.Issued {
	b.Helper()
	body, svc := newSmallPayload(), w.service(w.store)
	issued := make([]tickets.Issued, n)
	err := many(b.Context(), manyClients, n, func(ctx context.Context, i int) (err error) {
		issued[i], err = svc.UploadNow(ctx, tickets.Request{Tenant: "bench", Size: body.size}, bytes.NewReader(body.block))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return issued
}

// benchAPI opens every blob once through the API over loopback.
func (w *openWorld) benchAPI(b *testing.B, rows tickets.Store, issued []tickets.Issued) {
	b.Helper()
	log, err := os.Create(filepath.Join(w.dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	server := &api.Server{
		Tickets: w.service(rows), Keys: w.store, Log: slog.New(slog.NewTextHandler(log, nil)),
		Limits: api.Limits{PerAddress: 1e9, PerToken: 1e9},
	}
	handler, err := server.Handler()
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := server.HTTPServer(handler)
	go srv.Serve(server.Limit(l))
	defer srv.Close()

	tokens := make([]string, len(issued))
	for i := range issued {
		tokens[i] = issued[i].Tickets[0].Token.Reveal()
	}
	s := &servers{mayflyURL: "http://" + l.Addr().String(), client: newClient()}
	defer s.client.CloseIdleConnections()
	measureOpens(b, func(ctx context.Context, i int) error {
		return s.open(ctx, tokens[i], io.Discard)
	})
}

// knownTo is what a store without tickets is told of these, whose blobs are alike.
func knownTo(issued []tickets.Issued) (spec ticketlessSpec) {
	for _, is := range issued {
		t, b := is.Tickets[0], is.Blob
		spec.Size, spec.SHA256, spec.Expires = b.Size, *b.SHA256, b.ExpiresAt
		spec.Known = append(spec.Known, knownTicket{t.ID, t.Hash[:], b.ID, b.Key})
	}
	return spec
}

// noSpend finds tickets and leaves them ready.
type noSpend struct{ tickets.Store }

func (*noSpend) Spend(context.Context, tickets.Spend) (bool, error) { return true, nil }
