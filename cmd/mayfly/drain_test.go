package main

import (
	"io"
	"net/http"
	"syscall"
	"testing"
)

// TestDrain ends the server while a download is under way: the download finishes,
// and then the process, without a failure.
func TestDrain(t *testing.T) {
	t.Parallel()
	const size = 64 << 20 // more than sockets buffer
	s := startServer(t, t.TempDir())
	j := &job{t: t, s: s}
	created := j.created(j.callWith("POST", "/v1/blobs", s.key, "application/octet-stream", io.LimitReader(zeros{}, size), size, nil), 201)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.address+"/v1/download", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+created.Tickets[0].Token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.waitFor(t, "draining")
	if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != size {
		t.Errorf("%d bytes came while the server drained, not %d: %v", n, size, err)
	}
	answer.Body.Close()
	s.wait(t)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
