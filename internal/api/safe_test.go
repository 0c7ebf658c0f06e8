package api

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// P7: GET and HEAD, on every path there is, with every token there is, change
// nothing.
func TestSafeMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blob := content(1000)
	id, tokens := w.store(blob, "recipient=ready&recipient=opened&recipient=revoked")
	pending, grant, announced := w.announce(`{"size":10}`)
	claim := claimKey()
	w.want(200, "POST /v1/download", tokens[1], header("Claim-Key", claim))
	w.want(204, "DELETE /v1/blobs/"+id+"/tickets/"+w.status(id).Tickets[2].ID.String(), w.key)
	if err := w.svc.FlushContests(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, before := w.want(200, "GET /v1/blobs/"+id, w.key)
	_, beforePending := w.want(200, "GET /v1/blobs/"+pending, w.key)

	paths := []string{"/", "/nowhere"}
	for path := range document().Paths.Map() {
		path = strings.Replace(path, "{id}", id, 1)
		paths = append(paths, strings.Replace(path, "{ticket_id}", w.status(id).Tickets[0].ID.String(), 1))
	}
	raw := w.server.Client()
	for _, method := range []string{"GET", "HEAD"} {
		for _, path := range paths {
			for _, token := range []string{"", w.key, w.ops, grant, tokens[0], tokens[1], tokens[2], announced[0]} {
				for _, options := range [][]with{nil, {header("Claim-Key", claim)}, {header("Claim-Key", claim), header("Range", "bytes=1-")}} {
					resp, err := raw.Do(w.request(method+" "+path, token, options...))
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode >= 500 {
						t.Errorf("%s %s: %d", method, path, resp.StatusCode)
					}
				}
			}
		}
	}
	if err := w.svc.FlushContests(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, after := w.want(200, "GET /v1/blobs/"+id, w.key); !bytes.Equal(before, after) {
		t.Errorf("changed:\n%s\n%s", before, after)
	}
	if _, after := w.want(200, "GET /v1/blobs/"+pending, w.key); !bytes.Equal(beforePending, after) {
		t.Errorf("changed:\n%s\n%s", beforePending, after)
	}
	if _, got := w.want(200, "POST /v1/download", tokens[0]); !bytes.Equal(got, blob) {
		t.Error("the ticket does not open any more")
	}
}

// P2: of 64 racing opens one gets the blob, and the others not a byte of it.
func TestRacingOpens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const racers = 64
	blob := bytes.Repeat([]byte("MAYFLYBLOB"), 20_000)
	_, tokens := w.store(blob, "")
	client := &http.Client{Transport: &contract{t: t, next: &http.Transport{MaxIdleConnsPerHost: racers}}}
	var won, lost atomic.Int64
	var group sync.WaitGroup
	begin := make(chan struct{})
	for i := range racers {
		options := []with{}
		if i%2 == 0 {
			options = append(options, header("Claim-Key", claimKey()))
		}
		r := w.request("POST /v1/download", tokens[0], options...)
		group.Go(func() {
			<-begin
			resp, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			switch {
			case err != nil:
				t.Error(err)
			case resp.StatusCode == 200 && bytes.Equal(got, blob):
				won.Add(1)
			case resp.StatusCode == 410 && !bytes.Contains(got, []byte("MAYFLY")):
				lost.Add(1)
			default:
				t.Errorf("%d with %d bytes", resp.StatusCode, len(got))
			}
		})
	}
	close(begin)
	group.Wait()
	if won.Load() != 1 || lost.Load() != racers-1 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}
