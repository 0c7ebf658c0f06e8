package main

import (
	"strings"
	"testing"
)

// TestBucketAdvice: a rule of the bucket never deletes evidence, of whose holds it knows
// nothing, and the policy reaches both prefixes.
func TestBucketAdvice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		blobs, evidence string
		expiry          bool
		resources       []string
	}{
		"beside each other": {"s3://pictures/media", "s3://pictures/media-evidence", true, []string{"pictures/media/*", "pictures/media-evidence/*"}},
		"own bucket":        {"minio://h:9000/pictures", "minio://h:9000/kept", true, []string{"pictures/*", "kept/*"}},
		"within":            {"minio://h:9000/pictures", "minio://h:9000/pictures/evidence", false, []string{"pictures/*", "pictures/evidence/*"}},
		"evidence alone":    {"file://media", "s3://kept/a", false, []string{"kept/a/*"}},
	} {
		var out strings.Builder
		if err := printBucketAdvice(&out, bucketOf(c.blobs), bucketOf(c.evidence)); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if n := strings.Count(text, `"Expiration"`); n > 1 || (n == 1) != c.expiry {
			t.Errorf("%s: %d rules expire something, want %v:\n%s", name, n, c.expiry, text)
		}
		for _, r := range c.resources {
			if !strings.Contains(text, `"arn:aws:s3:::`+r+`"`) {
				t.Errorf("%s: %s is not in the policy:\n%s", name, r, text)
			}
		}
	}
}

func TestEvidenceURL(t *testing.T) {
	t.Parallel()
	for blobs, want := range map[string]string{
		"file://mayfly-data/blobs":                    "file://mayfly-data/evidence",
		"file:///var/lib/mayfly":                      "file:///var/lib/evidence",
		"minio://h:9000/pictures?insecure=true":       "minio://h:9000/pictures/evidence?insecure=true",
		"minio://h:9000/pictures/a/b?insecure=true":   "minio://h:9000/pictures/a/b-evidence?insecure=true",
		"s3://pictures?region=eu-central-1":           "s3://pictures/evidence?region=eu-central-1",
		"s3://pictures/media/?endpoint=http://x:9000": "s3://pictures/media-evidence?endpoint=http://x:9000",
	} {
		got, err := storeFlags{Blobs: blobs}.evidenceURL()
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", blobs, got, err, want)
		}
	}
	for _, same := range [][2]string{
		{"file://a/b", "file://a/b/"}, {"file://a/b", "file://a/./b"}, {"minio://h/b?insecure=true", "minio://h/b"}, {"s3://b/p?region=x", "s3://b/p/"},
	} {
		if checkApart(same[0], same[1]) == nil {
			t.Errorf("%s and %s are taken for two places", same[0], same[1])
		}
	}
}
