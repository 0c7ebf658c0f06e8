package api

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
)

// syncBuffer is a log that many write to, and that a test can wait for.
type syncBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	written sync.Cond
}

func newSyncBuffer() *syncBuffer {
	s := new(syncBuffer)
	s.written.L = &s.mu
	return s
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written.Broadcast()
	return s.b.Write(p)
}

// await returns once the log has a line where key is value.
func (s *syncBuffer) await(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !bytes.Contains(s.b.Bytes(), []byte(`"`+key+`":"`+value+`"`)) {
		s.written.Wait()
	}
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var (
	secretPattern = regexp.MustCompile(`mf[kutr]_[0-9A-Za-z]{4}`)
	idPattern     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-`)
)

// noSecretsLogged is P8 over everything that a test made the server log.
func (w *world) noSecretsLogged() {
	log := w.log.String()
	for _, line := range strings.Split(log, "\n") {
		switch {
		case secretPattern.MatchString(line):
			w.Errorf("a token is logged: %s", line)
		case strings.Contains(line, "127.0.0.1"), strings.Contains(line, "Authorization"):
			w.Errorf("an address or a header is logged: %s", line)
		case idPattern.MatchString(line) && !strings.Contains(line, `"level":"ERROR"`):
			w.Errorf("an id is logged: %s", line)
		case strings.Contains(line, "?") && !strings.Contains(line, "goroutine"):
			w.Errorf("a query is logged: %s", line)
		}
	}
}

// lines are the log's entries whose request has this id.
func (w *world) lines(requestID string) []map[string]any {
	w.Helper()
	w.log.await("request_id", requestID) // it is written behind the answer
	var found []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(w.log.String()), "\n") {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			w.Fatalf("%v: %s", err, line)
		}
		if entry["request_id"] == requestID {
			found = append(found, entry)
		}
	}
	return found
}
