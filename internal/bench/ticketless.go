package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/blobstore/fsblob"
	"mayfly/internal/api"
	"mayfly/internal/collector"
	"mayfly/tickets"
)

// ticketlessSpec is what the server without tickets is told. All its blobs are alike.
type ticketlessSpec struct {
	Blobs   string           `json:"blobs"` // their folder
	Size    int64            `json:"size"`
	SHA256  blobstore.Digest `json:"sha256"`
	Expires time.Time        `json:"expires"`
	Known   []knownTicket    `json:"known"`
}

// knownTicket is a ticket, and the blob that it is for.
type knownTicket struct {
	ID   uuid.UUID     `json:"id"`
	Hash []byte        `json:"hash"`
	Blob uuid.UUID     `json:"blob"`
	Key  blobstore.Key `json:"key"`
}

// startTicketless starts the server without tickets, on the files of Mayfly's.
func (o *manyOpens) startTicketless(ctx context.Context) error {
	spec, err := o.ticketlessSpec()
	if err != nil {
		return err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	path := filepath.Join(o.dir, "ticketless.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	if o.ticketless, o.ticketlessURL, err = o.startSelf(ctx, "ticketless.log", "--serve-ticketless", path); err != nil {
		return fmt.Errorf("start the server without tickets: %w", err)
	}
	return nil
}

// ticketlessSpec puts together what the answers to uploads do not tell: a ticket's hash is
// its token's, and a blob's key its file's name.
func (o *manyOpens) ticketlessSpec() (ticketlessSpec, error) {
	spec := ticketlessSpec{Blobs: filepath.Join(o.dir, "blobs"), Size: o.body.size, Expires: time.Now().Add(unopenedTTL)}
	var err error
	if spec.SHA256, err = blobstore.ParseDigest(o.body.digest); err != nil {
		return spec, err
	}
	for _, blob := range o.uploaded {
		token, err := tickets.ParseToken(tickets.KindTicket, blob.Tickets[0].Token)
		if err != nil {
			return spec, err
		}
		path, ok := o.paths[blob.ID]
		if !ok {
			return spec, fmt.Errorf("blob %s has no file", blob.ID)
		}
		hash := token.Hash()
		spec.Known = append(spec.Known, knownTicket{token.ID(), hash[:], blob.ID, blobstore.Key(filepath.Base(path))})
	}
	return spec, nil
}

const (
	// As cmd/mayfly has them: see useProcessors and newLogger there.
	minProcs  = 4
	heldLines = 32 << 10
)

// serveTicketless is Mayfly's own HTTP server, with all that a call goes through there,
// and the same files, but for the tickets: those that it is told of it knows by heart,
// and nothing is looked up in a database or recorded. So each opens again and again.
// What Mayfly is slower is what its tickets cost. It ends as servePlain does.
func serveTicketless(ctx context.Context, path string, t terminal) (err error) {
	spec, err := readTicketless(path)
	if err != nil {
		return err
	}
	defer collector.Spare()()
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minProcs {
		runtime.GOMAXPROCS(minProcs)
	}
	files, err := fsblob.Open(spec.Blobs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	// A handler writes one line at a time.
	lines := bufio.NewWriterSize(t.progress, heldLines)
	defer func() { err = errors.Join(err, lines.Flush()) }()

	server := ticketlessAPI(spec, files, lines)
	handler, err := server.Handler()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return serveWhileWanted(ctx, server.HTTPServer(handler), server.Limit(l), t.out)
}

// ticketlessAPI is the server on these files.
func ticketlessAPI(spec ticketlessSpec, files blobstore.Store, log io.Writer) *api.Server {
	return &api.Server{
		Tickets: &tickets.Service{Store: newTicketless(spec), Blobs: &apart.Store{Media: files}},
		Keys:    noKeys{},
		Log:     slog.New(slog.NewTextHandler(log, nil)),
		Limits:  api.Limits{PerAddress: noLimit, PerToken: noLimit},
	}
}

func readTicketless(path string) (spec ticketlessSpec, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return spec, err
	}
	return spec, json.Unmarshal(text, &spec)
}
