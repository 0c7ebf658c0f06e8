package s3blob

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/blobstore"
	"mayfly/blobstore/bucket"
)

// clientOf is a Client of a server that answers by a function. It does not wait
// before it tries again.
func clientOf(t *testing.T, answer http.HandlerFunc) *client {
	t.Helper()
	at := httptest.NewServer(answer)
	t.Cleanup(at.Close)
	c, err := newClient(t.Context(), location{bucket: "media", endpoint: at.URL}, Credentials{"access", "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	c.api = s3.New(c.api.Options(), func(o *s3.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, 1
		})
	})
	return c
}

func errorBody(code string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>so it is</Message></Error>`
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   error // nil: none that a caller tells from the rest
		text   string
	}{
		{404, errorBody("NoSuchKey"), blobstore.ErrNotFound, "NoSuchKey"},
		{404, "", blobstore.ErrNotFound, "NotFound"},
		{404, errorBody("NoSuchBucket"), nil, "NoSuchBucket: so it is"},
		{412, errorBody("PreconditionFailed"), blobstore.ErrExists, "PreconditionFailed"},
		{409, errorBody("ConditionalRequestConflict"), blobstore.ErrExists, "ConditionalRequestConflict"},
		{409, errorBody("OperationAborted"), nil, "OperationAborted"},
		{507, errorBody("XMinioStorageFull"), blobstore.ErrNoSpace, "XMinioStorageFull"},
		{507, "", blobstore.ErrNoSpace, ""},
		{403, errorBody("QuotaExceeded"), blobstore.ErrNoSpace, "QuotaExceeded"},
		{403, errorBody("AccessDenied"), nil, "AccessDenied: so it is"},
		{500, errorBody("InternalError"), nil, "InternalError"},
		{301, errorBody("PermanentRedirect"), nil, "PermanentRedirect"},
	} {
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amz-Request-Id", "REQUEST-1")
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		_, _, getErr := client.Get(t.Context(), "blob", 0)
		for name, err := range map[string]error{"Put": client.Put(t.Context(), "blob", []byte("x")), "Get": getErr} {
			for _, sentinel := range []error{blobstore.ErrNotFound, blobstore.ErrExists, blobstore.ErrNoSpace} {
				if errors.Is(err, sentinel) != (sentinel == c.want) {
					t.Errorf("%s, %d %s: %v, want %v", name, c.status, c.body, err, c.want)
				}
			}
			text := fmt.Sprint(err)
			if err == nil || !strings.Contains(text, c.text) || !strings.Contains(text, "REQUEST-1") ||
				strings.Contains(text, "hunter2") || strings.Contains(text, "Signature") {
				t.Errorf("%s, %d %s: %v", name, c.status, c.body, err)
			}
		}
	}
}

// TestErrorIn200: where the server moves bytes it sends the status first, and then finds
// out. What is cut off is no success either.
func TestErrorIn200(t *testing.T) {
	for name, body := range map[string]string{
		"an error":                errorBody("InternalError"),
		"an error behind a space": "<?xml version=\"1.0\"?>\n   \n<Error><Code>InternalError</Code></Error>",
		"nothing":                 "",
		"spaces":                  "   \n  ",
		"half of an answer":       `<?xml version="1.0"?><CopyObjectResult><ETag>"a`,
		"no ETag":                 `<?xml version="1.0"?><Result></Result>`,
	} {
		c := clientOf(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
		_, partErr := c.CopyPart(t.Context(), "b", "upload", 1, bucket.Source{Bucket: c.bucket, Name: "a"}, 0, 10)
		for operation, err := range map[string]error{
			"Copy":     c.Copy(t.Context(), "b", bucket.Source{Bucket: c.bucket, Name: "a"}),
			"CopyPart": partErr,
			"Complete": c.Complete(t.Context(), "b", "upload", []string{"etag"}),
		} {
			if err == nil {
				t.Errorf("%s: a 200 with %s is taken for success", operation, name)
			}
		}
	}
}

// TestLostAnswer: the server stores the blob, and the connection breaks before it says
// so. The next request finds the blob in its way, which is our own.
func TestLostAnswer(t *testing.T) {
	for name, ours := range map[string]bool{"ours": true, "another's": false} {
		t.Run(name, func(t *testing.T) {
			body := []byte("some bytes")
			var puts atomic.Int32
			c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					stored := body
					if !ours {
						stored = []byte("same bytes")
					}
					w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(stored)))
					w.Header().Set("Content-Length", fmt.Sprint(len(stored)))
					return
				}
				if r.Header.Get("If-None-Match") != "*" {
					t.Error("a PUT that would replace what is there")
				}
				io.Copy(io.Discard, r.Body)
				if puts.Add(1) == 1 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(http.StatusPreconditionFailed)
				io.WriteString(w, errorBody("PreconditionFailed"))
			})
			store := bucket.New(c, "", bucket.NewBudget(0))
			err := store.Put(t.Context(), "some-key", bytes.NewReader(body), int64(len(body)))
			if ours && err != nil || !ours && !errors.Is(err, blobstore.ErrExists) {
				t.Errorf("%v", err)
			}
			if puts.Load() != 2 {
				t.Errorf("%d requests, want 2", puts.Load())
			}
		})
	}
}

// TestSigned: the body's own hash is signed, over TLS too, with a checksum or without.
func TestSigned(t *testing.T) {
	for _, checksums := range []bool{false, true} {
		seen := 0
		at := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen++
			const sum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
			if got := r.Header.Get("X-Amz-Content-Sha256"); got != sum {
				t.Errorf("%s: the signed hash is %q", r.URL, got)
			}
			if got := r.Header.Get("X-Amz-Checksum-Crc32"); (got == "jNwWgw==") != checksums {
				t.Errorf("%s: the checksum is %q", r.URL, got)
			}
			w.Header().Set("ETag", `"9dd4e461268c8034f5c8564e155c67a6"`)
		}))
		defer at.Close()
		c, err := newClient(t.Context(), location{bucket: "media", endpoint: at.URL}, Credentials{"a", "b"})
		if err != nil {
			t.Fatal(err)
		}
		c.checksums = checksums
		c.api = s3.New(c.api.Options(), func(o *s3.Options) {
			o.HTTPClient = at.Client()
			if checksums {
				o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
			}
		})
		if err := c.Put(t.Context(), "blob", []byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := c.PutPart(t.Context(), "blob", "upload", 1, []byte("x")); err != nil {
			t.Error(err)
		}
		if seen != 2 {
			t.Errorf("%d requests", seen)
		}
	}
}

func TestDeleteMapsTheAnswer(t *testing.T) {
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `<DeleteResult>
			<Error><Key>refused</Key><Code>AccessDenied</Code><Message>no</Message></Error>
			<Error><Key>gone</Key><Code>NoSuchKey</Code></Error>
			<Deleted><Key>version</Key><VersionId>7</VersionId><DeleteMarker>true</DeleteMarker></Deleted>
			<Deleted><Key>marked</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>8</DeleteMarkerVersionId></Deleted>
			<Deleted><Key>plain</Key></Deleted></DeleteResult>`)
	})
	got := c.Delete(t.Context(), []bucket.Object{
		{Name: "plain"}, {Name: "marked"}, {Name: "version", Version: "7"}, {Name: "refused"}, {Name: "gone"},
		{Name: "forgotten"}, {Name: "version", Version: "9"},
	})
	for i, want := range []struct {
		failed, marked bool
	}{{}, {marked: true}, {}, {failed: true}, {}, {failed: true}, {failed: true}} {
		if (got[i].Err != nil) != want.failed || got[i].Marked != want.marked {
			t.Errorf("object %d: %+v, want %+v", i, got[i], want)
		}
	}
	if text := got[3].Err.Error(); !strings.Contains(text, "AccessDenied") {
		t.Error(text)
	}
}

func TestSettingsUnansweredOrDenied(t *testing.T) {
	for code, want := range map[string]string{
		"NotImplemented":   "",
		"MethodNotAllowed": "",
		"AccessDenied":     "s3:GetBucketVersioning",
		"NoSuchBucket":     "make it first",
	} {
		c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, errorBody(code))
		})
		_, err := c.Bucket(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", code, err, want)
		}
	}
}

func TestGetRefusesAnotherRange(t *testing.T) {
	for _, contentRange := range []string{"", "bytes 0-9/10", "bytes 5-8/10", "bytes 5-9/*", "pages 5-9/10"} {
		c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Range"); got != "bytes=5-" {
				t.Errorf("Range: %q", got)
			}
			if contentRange != "" {
				w.Header().Set("Content-Range", contentRange)
			}
			io.WriteString(w, "56789")
		})
		if r, o, err := c.Get(t.Context(), "blob", 5); err == nil {
			r.Close()
			t.Errorf("%q is taken for all from 5: %+v", contentRange, o)
		}
	}
}

func TestListThatGoesNowhere(t *testing.T) {
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		name := "ListVersionsResult"
		if r.URL.Query().Has("uploads") {
			name = "ListMultipartUploadsResult"
		}
		fmt.Fprintf(w, "<%s><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker></%s>", name, name)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Versions(ctx, "") {
		last = err
	}
	if !errors.Is(last, errNoNext) {
		t.Errorf("Versions: %v", last)
	}
	for _, err := range c.Uploads(ctx, "") {
		last = err
	}
	if !errors.Is(last, errNoNext) {
		t.Errorf("Uploads: %v", last)
	}
}

func TestURL(t *testing.T) {
	for raw, want := range map[string]string{
		"s3://media?region=eu-central-1":                         "https://media.s3.eu-central-1.amazonaws.com/a+b%25/blob",
		"s3://media?endpoint=http://127.0.0.1:9000":              "http://127.0.0.1:9000/media/a+b%25/blob",
		"s3://media?endpoint=https://s3.example.org/storage/v1/": "https://s3.example.org/storage/v1/media/a+b%25/blob",
	} {
		l, err := parseLocation(raw)
		if err != nil {
			t.Fatal(err)
		}
		c, err := newClient(t.Context(), l, Credentials{"a", "b"})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.URL("a+b%/blob"); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}
