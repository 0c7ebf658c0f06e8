package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoSecretRemains does the whole main job, its mistakes included, and then looks
// for every token and claim key in the log, the metrics, the database files and
// whatever else the server wrote (P8).
func TestNoSecretRemains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServer(t, dir)
	j := &job{t: t, s: s}

	one := j.created(j.call("POST", "/v1/blobs", s.key, "application/octet-stream", "a picture", nil), 201)
	two := j.created(j.call("POST", "/v1/blobs", s.key, "application/json", `{"size":9,"recipients":["alice","bob"]}`, nil), 201)
	grant := strings.TrimPrefix(two.Upload.Headers["Authorization"], "Bearer ")
	j.secret(s.key, grant)
	j.call("PUT", "/v1/uploads", grant, "application/octet-stream", "too short", nil).want(200)
	j.call("PUT", "/v1/uploads", grant, "application/octet-stream", "too short", nil).want(409)

	claim := base64.RawURLEncoding.EncodeToString([]byte("a claim key of 32 bytes, at last"))
	j.secret(claim)
	withClaim := http.Header{"Claim-Key": {claim}}
	strict, first, second := one.Tickets[0].Token, two.Tickets[0].Token, two.Tickets[1].Token
	j.call("POST", "/v1/download", strict, "", "", nil).want(200)
	j.call("POST", "/v1/download", strict, "", "", nil).want(410)
	j.call("POST", "/v1/download", first, "", "", withClaim).want(200)
	j.call("GET", "/v1/download", first, "", "", http.Header{"Claim-Key": {claim}, "Range": {"bytes=4-"}}).want(206)
	j.call("POST", "/v1/download/ack", first, "", "", withClaim).want(204)
	j.call("GET", "/v1/ticket", second, "", "", nil).want(200)

	// Mistakes: a typo, a token of another kind, one in the URL, one in a body, a
	// claim key that is none, a token where a name belongs.
	j.call("POST", "/v1/download", second[:len(second)-1]+"!", "", "", nil).want(401)
	j.call("POST", "/v1/download", grant, "", "", nil).want(401)
	j.call("GET", "/v1/ticket?token="+second, second, "", "", nil).want(400)
	j.call("GET", "/v1/blobs/"+second, s.key, "", "", nil).want(400)
	j.call("POST", "/v1/blobs", s.key, "application/json", `{"size":"`+second+`"}`, nil).want(400)
	// With a character that base64url does not have: a token alone may happen to be one.
	j.call("POST", "/v1/download", second, "", "", http.Header{"Claim-Key": {second + "!"}}).want(400)
	j.call("DELETE", "/v1/blobs/"+two.ID, s.key, "", "", nil).want(204)
	j.call("POST", "/v1/download", second, "", "", nil).want(410)

	metrics := j.metrics()
	j.search("the metrics", []byte(metrics))
	if !strings.Contains(metrics, `mayfly_opens_total{outcome="sent"} 2`) {
		t.Error("the metrics do not tell of the two opens")
	}
	j.files(dir) // while the database is open, its log included
	s.stop(t)
	j.files(dir)
	j.search("the log", []byte(s.log.String()))
	if !strings.Contains(s.log.String(), "POST /v1/download") {
		t.Error("the log does not tell of the opens")
	}
}

// secret remembers secrets, in every form in which they might be written down: of a
// token also its digits alone, and its secret half as bytes and in hex.
func (j *job) secret(texts ...string) {
	for _, text := range texts {
		j.secrets = append(j.secrets, text)
		if digits, ok := strings.CutPrefix(text, "mf"); ok {
			digits = digits[2:]
			j.secrets = append(j.secrets, digits)
			n, _ := new(big.Int).SetString(digits, 62)
			raw := n.FillBytes(make([]byte, 52))[16:48]
			j.secrets = append(j.secrets, string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw))
		} else if raw, err := base64.RawURLEncoding.DecodeString(text); err == nil {
			j.secrets = append(j.secrets, string(raw), hex.EncodeToString(raw))
		}
	}
}

func (j *job) search(where string, content []byte) {
	j.t.Helper()
	for i, secret := range j.secrets {
		if bytes.Contains(content, []byte(secret)) {
			j.t.Errorf("%s: secret %d of %d is in it", where, i, len(j.secrets))
		}
	}
}

func (j *job) metrics() string {
	j.t.Helper()
	answer, err := http.Get(j.s.admin + "/metrics")
	if err != nil {
		j.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		j.t.Fatalf("metrics: %s, %v", answer.Status, err)
	}
	return string(content)
}

// files searches all that is below dir but the one file that is there to hold a key.
func (j *job) files(dir string) {
	j.t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == keyFileName {
			return err
		}
		seen++
		content, err := os.ReadFile(path)
		j.search(fmt.Sprint("the file ", d.Name()), content)
		return err
	})
	if err != nil || seen == 0 {
		j.t.Fatalf("%d files: %v", seen, err)
	}
}
