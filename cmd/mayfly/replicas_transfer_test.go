package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/blobstore/bucket"
	"mayfly/expiry"
	"mayfly/internal/faultproxy"
)

// TestTransfersGoOnElsewhere kills a replica in the middle of an upload, and another in
// the middle of a download: their clients go on at one that knows of neither.
func TestTransfersGoOnElsewhere(t *testing.T) {
	t.Parallel()
	const size = 4*bucket.PartSize + 1 // more than sockets buffer
	media := make([]byte, size)
	rand.Read(media)
	s := sharedSite(t)
	proxied, proxy := s.through(t)
	last := s.start(t)

	uploading := proxied.start(t)
	parts := holdCalls(t, proxy, func(c faultproxy.Call) bool { return c.Op == faultproxy.UploadPart && c.N == 1 })
	j := &job{t: t, s: uploading}
	announced := j.created(j.call("POST", "/v1/blobs", uploading.key, "application/json", fmt.Sprintf(`{"size":%d}`, size), nil), http.StatusCreated)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answer, err := upload(t.Context(), uploading, announced, media)
		if err == nil {
			answer.Body.Close()
			t.Errorf("an upload whose server was killed: %s", answer.Status)
		}
	}()
	parts.await(t, uploading)
	uploading.kill(t)
	parts.drop()
	<-answered
	answer, err := upload(t.Context(), last, announced, media)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the upload at another replica: %s", answer.Status)
	}

	sending := s.start(t)
	token, claim := announced.Tickets[0].Token, claimKey()
	answer, err = do(t.Context(), http.MethodPost, sending.address+"/v1/download", token, nil, "Claim-Key", claim)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	first := make([]byte, bucket.PartSize/2)
	if _, err := io.ReadFull(answer.Body, first); err != nil {
		t.Fatal(err)
	}
	sending.kill(t)
	more, err := io.ReadAll(answer.Body)
	if err == nil {
		t.Fatal("a download whose server was killed came to its end")
	}
	got := append(first, more...)
	from := http.Header{"Claim-Key": {claim}, "Range": {fmt.Sprintf("bytes=%d-", len(got))}}
	j.s = last
	rest := j.call("GET", "/v1/download", token, "", "", from)
	rest.want(http.StatusPartialContent)
	if !bytes.Equal(append(got, rest.body...), media) {
		t.Error("the two halves of the download are not what was sent")
	}
	from.Set("Claim-Key", claimKey())
	j.call("GET", "/v1/download", token, "", "", from).want(http.StatusGone)
	last.stop(t)

	// What the dead upload left in the bucket, nobody but a purge looks for.
	db, blobs := s.open(t)
	later := func() time.Time { return time.Now().Add(30 * 24 * time.Hour) }
	if r, err := (&expiry.Purge{Queue: db, Blobs: blobs, Now: later}).Run(t.Context()); err != nil || r.Failed > 0 {
		t.Errorf("purge: %+v, %v", r, err)
	}
	s.checkBucketIsEmpty(t)
}

// upload sends the bytes of an announced blob.
func upload(ctx context.Context, s *server, b createdBlob, media []byte) (*http.Response, error) {
	grant := strings.TrimPrefix(b.Upload.Headers["Authorization"], "Bearer ")
	return do(ctx, http.MethodPut, s.address+"/v1/uploads", grant, bytes.NewReader(media), "Content-Type", "application/octet-stream")
}
