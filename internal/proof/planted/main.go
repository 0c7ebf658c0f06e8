// Command planted is a Mayfly with a bug: the real API, service and stores, put together
// as cmd/mayfly does, but for a wrapper around the metadata store. internal/proof runs it
// in place of mayfly, to show that it would find such a bug.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"mayfly/blobstore"
	"mayfly/blobstore/bucket"
	"mayfly/blobstore/fsblob"
	"mayfly/blobstore/minioblob"
	"mayfly/expiry"
	"mayfly/internal/api"
	"mayfly/internal/sqlstore"
	"mayfly/tickets"
)

type server struct {
	Plant    string `required:"" enum:"none,select-then-update,count-at-the-end,answer-before-commit"`
	Listen   string `required:""`
	Database string `required:"" env:"MAYFLY_DATABASE"`
	Blobs    string `required:"" env:"MAYFLY_BLOBS"`
}

func main() {
	var s server
	kong.Parse(&s, kong.Name("planted"), kong.Description("A Mayfly with a bug, for internal/proof."))
	fmt.Fprintln(os.Stderr, "planted:", s.run(context.Background()))
	os.Exit(1)
}

// run serves until it is killed.
func (s *server) run(ctx context.Context) error {
	db, err := sqlstore.Open(ctx, sqlstore.Config{URL: s.Database})
	if err != nil {
		return err
	}
	blobs, err := openBlobs(s.Blobs)
	if err != nil {
		return err
	}
	if err := blobs.Check(ctx); err != nil { // which also makes the bucket
		return err
	}
	store, around := plant(s.Plant, db)
	a := &api.Server{
		Tickets: &tickets.Service{Store: store, Blobs: blobs, Policies: policies},
		Keys:    db,
		Log:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Limits:  api.Limits{PerAddress: -1, FailuresPerAddress: -1, PerToken: -1},
	}
	handler, err := a.Handler()
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return err
	}
	return a.HTTPServer(around(handler)).Serve(a.Limit(l))
}

func openBlobs(address string) (blobstore.Store, error) {
	if path, ok := strings.CutPrefix(address, "file://"); ok {
		return fsblob.Open(path)
	}
	cfg, err := minioblob.Parse(address)
	if err != nil {
		return nil, err
	}
	return minioblob.Open(cfg, minioblob.Credentials{
		AccessKey: os.Getenv("MAYFLY_S3_ACCESS_KEY"), SecretKey: os.Getenv("MAYFLY_S3_SECRET_KEY"),
	}, bucket.NewBudget(bucket.DefaultBudget))
}

func policies(_ context.Context, _, name string) (tickets.Terms, bool, error) {
	p, ok := expiry.ForSender(expiry.Builtin(), name)
	return tickets.Terms{
		Policy: p.Name, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket,
		UnopenedTTL: p.UnopenedTTL, ReportWindow: p.ReportWindow, ResumeWindow: p.ResumeWindow,
		UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
	}, ok, nil
}

// plant is the store with the bug, and what the bug needs around the API.
func plant(name string, store tickets.Store) (tickets.Store, func(http.Handler) http.Handler) {
	asItIs := func(h http.Handler) http.Handler { return h }
	switch name {
	case "select-then-update":
		return selectThenUpdate{store}, asItIs
	case "count-at-the-end":
		c := countAtTheEnd{store}
		return c, c.around
	case "answer-before-commit":
		return &answerBeforeCommit{Store: store}, asItIs
	case "none":
		return store, asItIs
	}
	panic(errors.New("no such bug: " + name))
}
