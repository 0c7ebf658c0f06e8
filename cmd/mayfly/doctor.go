package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"mayfly/blobstore/bucket"
	"mayfly/blobstore/s3blob"
)

type doctorCmd struct {
	storeFlags `embed:""`
	JSON       bool `name:"json" help:"As JSON."`
}

// finding is one thing that doctor looked at, as scripts see it.
type finding struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Found string `json:"found,omitempty"`
	// Mend says what is wrong and how to mend it.
	Mend string `json:"mend,omitempty"`
}

// Run looks at everything, and fails if anything breaks a promise.
func (c *doctorCmd) Run(ctx context.Context, t terminal) error {
	found := append(c.database(ctx), c.blobs(ctx)...)
	if err := c.print(t, found); err != nil {
		return err
	}
	for _, f := range found {
		if !f.OK {
			return errors.New("not all is well; see above")
		}
	}
	return nil
}

func (c *doctorCmd) database(ctx context.Context) []finding {
	db, err := existingDatabase(ctx, c.Database)
	if err != nil {
		return []finding{lookedAt("database", "", err)}
	}
	defer db.Close()
	current, _, err := db.Version(ctx)
	if err == nil {
		err = db.Ping(ctx)
	}
	found := []finding{lookedAt("database", fmt.Sprintf("%s, schema %d", redactedURL(c.Database), current), err)}
	for _, w := range db.Warnings() {
		found = append(found, lookedAt("database", "warning: "+w, nil))
	}
	backlog, err := db.Backlog(ctx, time.Now())
	text := "nothing is due"
	if backlog.Due > 0 {
		text = fmt.Sprintf("%d blobs are due, the oldest since %s", backlog.Due, backlog.OldestDueAt.UTC().Format(time.RFC3339))
	}
	return append(found, lookedAt("purge", text, err))
}

// blobs examines the blob store, as far as its kind can be.
func (c *doctorCmd) blobs(ctx context.Context) []finding {
	blobs, err := openBlobs(ctx, "blobs", c.Blobs)
	if err != nil {
		return []finding{lookedAt("blobs", "", err)}
	}
	defer blobs.Close()
	b, ok := blobs.(*bucket.Store)
	if !ok {
		return []finding{lookedAt("blobs", redactedURL(c.Blobs)+", written, read, listed and deleted", blobs.Check(ctx))}
	}
	var found []finding
	for _, f := range b.Examine(ctx) {
		found = append(found, lookedAt(f.Name, f.Text, f.Err))
	}
	return found
}

func lookedAt(name, text string, err error) finding {
	if err != nil {
		return finding{Name: name, Mend: err.Error()}
	}
	return finding{Name: name, OK: true, Found: text}
}

func (c *doctorCmd) print(t terminal, found []finding) error {
	if c.JSON {
		return printJSON(t, found)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	for _, f := range found {
		mark, text := "ok", f.Found
		if !f.OK {
			mark, text = "BAD", f.Mend
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, f.Name, strings.ReplaceAll(text, "\n", " "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	name, prefix, ok := bucketOf(c.Blobs)
	if !ok {
		return nil
	}
	_, err := fmt.Fprintf(t.Out, bucketAdvice, name, prefix)
	return err
}

// bucketOf is the bucket and prefix of an address that has them.
func bucketOf(address string) (name, prefix string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "file" {
		return "", "", false
	}
	name, prefix = u.Host, strings.Trim(u.Path, "/")
	if u.Scheme != s3blob.Scheme {
		name, prefix, _ = strings.Cut(prefix, "/")
	}
	if prefix != "" {
		prefix += "/"
	}
	return name, prefix, name != ""
}

// bucketAdvice has the bucket and the prefix filled in.
const bucketAdvice = `
All that Mayfly's credentials need (IAM policy):
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
      "Resource": "arn:aws:s3:::%[1]s/%[2]s*"
    },
    {
      "Effect": "Allow",
      "Action": ["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetLifecycleConfiguration"],
      "Resource": "arn:aws:s3:::%[1]s"
    }
  ]
}

A backstop, should Mayfly not run for weeks (lifecycle rules; the days are more than any policy keeps a blob):
{
  "Rules": [
    {"ID": "mayfly-unfinished", "Status": "Enabled", "Filter": {"Prefix": "%[2]s"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}},
    {"ID": "mayfly-old-versions", "Status": "Enabled", "Filter": {"Prefix": "%[2]s"}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
    {"ID": "mayfly-backstop", "Status": "Enabled", "Filter": {"Prefix": "%[2]s"}, "Expiration": {"Days": 400}}
  ]
}
`
