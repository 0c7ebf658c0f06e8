package main

import (
	"bytes"
	"io"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/fsblob"
	"mayfly/tickets"
)

// TestTicketless opens a ticket at the server without tickets again and again, and one
// that it was not told of.
func TestTicketless(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, err := fsblob.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	id, body := uuid.Must(uuid.NewV7()), newTinyPayload()
	key := blobstore.NewKey(id)
	if err := files.Put(t.Context(), key, body.reader(), body.size); err != nil {
		t.Fatal(err)
	}
	s := &servers{dir: dir, client: newClient()}
	defer s.client.CloseIdleConnections()
	paths, err := s.blobPaths()
	if err != nil {
		t.Fatal(err)
	}
	token := tickets.NewToken(tickets.KindTicket, uuid.Must(uuid.NewV7())).Reveal()
	o := &manyOpens{servers: s, body: body, paths: paths, uploaded: []created{{id, []issued{{token}}}}}
	spec, err := o.ticketlessSpec()
	if err != nil {
		t.Fatal(err)
	}

	handler, err := ticketlessAPI(spec, files, io.Discard).Handler()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	defer srv.Close()
	for range 3 {
		var got bytes.Buffer
		if err := s.openAt(t.Context(), srv.URL, token, &got); err != nil || !bytes.Equal(got.Bytes(), body.block) {
			t.Fatalf("%d bytes, %v", got.Len(), err)
		}
	}
	other := tickets.NewToken(tickets.KindTicket, uuid.Must(uuid.NewV7())).Reveal()
	if err := s.openAt(t.Context(), srv.URL, other, io.Discard); err == nil || !strings.Contains(err.Error(), "unknown_ticket") {
		t.Errorf("an unknown ticket: %v", err)
	}
}
