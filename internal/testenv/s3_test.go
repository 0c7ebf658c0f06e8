package main

import (
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What the bucket's tests cannot do without, and a flag too few would take from them.
func TestTheServersKnowVersionsPartsAndConditions(t *testing.T) {
	const versioned = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`
	for _, s := range servers() {
		bucket := "/testenv-" + strings.ToLower(rand.Text())
		for _, step := range []struct {
			method, path, query, body string
			status                    int
			says                      string
		}{
			{"PUT", bucket, "", "", 200, ""},
			{"PUT", bucket + "/blob", "", "one", 200, ""},
			{"PUT", bucket + "/blob", "", "two", 412, "PreconditionFailed"},
			{"GET", bucket + "/blob", "", "", 200, "one"},
			{"POST", bucket + "/large", "uploads=", "", 200, "<UploadId>"},
			{"GET", bucket, "uploads=", "", 200, "<Key>large</Key>"},
			{"PUT", bucket, "versioning=", versioned, 200, ""},
			{"GET", bucket, "versioning=", "", 200, "Enabled"},
			{"DELETE", bucket + "/blob", "", "", 204, ""},
			{"GET", bucket, "versions=", "", 200, "<DeleteMarker>"},
		} {
			at := given(t, s)
			at.Path, at.RawQuery = step.path, step.query
			req, err := http.NewRequestWithContext(t.Context(), step.method, presign(step.method, at, time.Now()), strings.NewReader(step.body))
			if err != nil {
				t.Fatal(err)
			}
			if step.method == "PUT" {
				req.Header.Set("If-None-Match", "*")
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != step.status || !strings.Contains(string(body), step.says) {
				t.Errorf("%s: %s %s?%s = %s, want %d %s\n%s", s.name(), step.method, step.path, step.query, resp.Status, step.status, step.says, body)
			}
		}
	}
}
