package s3blob

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mayfly/blobstore/bucket"
)

func TestParseLocation(t *testing.T) {
	for raw, want := range map[string]location{
		"s3://media":                          {bucket: "media"},
		"s3://media/":                         {bucket: "media"},
		"s3://media/a/b/?region=eu-central-1": {bucket: "media", prefix: "a/b", region: "eu-central-1"},
		"s3://media/a%20b?endpoint=https://s3.example.org:9000": {bucket: "media", prefix: "a b", endpoint: "https://s3.example.org:9000"},
	} {
		got, err := parseLocation(raw)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", raw, got, err, want)
		}
	}
}

func TestParseLocationFaults(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                   "not of the form",
		"s3:media":                           "not of the form",
		"http://media":                       "not of the form",
		"s3://med\x00ia":                     "not of the form",
		"s3://":                              "names no bucket",
		"s3:///prefix":                       "names no bucket",
		"s3://host.example.org:9000/media":   "names a server in place of the bucket",
		"s3://key:hunter2@media":             "must not hold credentials",
		"s3://media#hunter2":                 "fragment",
		"s3://My_Bucket":                     `"My_Bucket" is not a bucket name`,
		"s3://ab":                            "is not a bucket name",
		"s3://a..b":                          "is not a bucket name",
		"s3://10.0.0.1":                      "is not a bucket name",
		"s3://media/a//b":                    "prefix",
		"s3://media/../b":                    "prefix",
		"s3://media/a%00b":                   "prefix",
		"s3://media/%ff":                     "prefix",
		"s3://media?secret=hunter2":          `unknown parameter "secret"`,
		"s3://media?region=a&region=b":       `"region" more than once`,
		"s3://media?region=":                 "region=",
		"s3://media?region=a.evil/":          "region=",
		"s3://media?endpoint=":               "endpoint=",
		"s3://media?endpoint=s3.example.org": "endpoint=",
		"s3://media?endpoint=ftp://x":        "endpoint=",
		"s3://media?endpoint=https://k:hunter2@x":       "must not hold credentials",
		"s3://media?endpoint=https://x%3Fkey=hunter2":   "must not have parameters",
		"s3://media?endpoint=%zzhunter2":                "parameters cannot be read",
		"s3://media?endpoint=http://x:hunter2/bad-port": "endpoint=",
	} {
		_, err := Open(t.Context(), raw, Credentials{}, bucket.NewBudget(0))
		switch {
		case err == nil:
			t.Errorf("%q: no error", raw)
		case !strings.Contains(err.Error(), want):
			t.Errorf("%q: %v, want %q", raw, err, want)
		case strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%q: the error tells the secret: %v", raw, err)
		}
	}
}

func TestCredentialsAreRedacted(t *testing.T) {
	c := Credentials{"AKIAEXAMPLE", "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "credentials", c, "in", struct{ C Credentials }{c})
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %q %x %d %v", c, c, c, c, c, c, c, &c) + log.String() + string(asJSON)
	for _, secret := range []string{"hunter2", "AKIA", fmt.Sprintf("%x", "hunter2")} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is told: %s", secret, all)
		}
	}
	if _, err := Open(t.Context(), "s3://media?region=x", Credentials{AccessKey: "a"}, bucket.NewBudget(0)); err == nil {
		t.Error("half of the credentials are enough")
	}
}
