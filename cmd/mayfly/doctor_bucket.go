package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"mayfly/blobstore/s3blob"
)

// bucketPart is a bucket and a prefix in it; zero for a store that is none.
type bucketPart struct{ name, prefix string }

// bucketOf is the bucket and prefix of an address that has them.
func bucketOf(address string) (b bucketPart) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "file" {
		return b
	}
	b.name, b.prefix = u.Host, strings.Trim(u.Path, "/")
	if u.Scheme != s3blob.Scheme {
		b.name, b.prefix, _ = strings.Cut(b.prefix, "/")
	}
	if b.prefix != "" {
		b.prefix += "/"
	}
	if b.name == "" {
		return bucketPart{}
	}
	return b
}

func (b bucketPart) arn() string { return "arn:aws:s3:::" + b.name }

// holds reports whether all of other lies within b.
func (b bucketPart) holds(other bucketPart) bool {
	return b.name == other.name && strings.HasPrefix(other.prefix, b.prefix)
}

// printBucketAdvice says what an operator should set for the buckets.
func printBucketAdvice(w io.Writer, media, evidence bucketPart) error {
	_, err := fmt.Fprintf(w, "\nAll that Mayfly's credentials need (IAM policy):\n%s\n", prettyJSON(iamPolicy(media, evidence)))
	if err != nil {
		return err
	}
	for _, b := range []bucketPart{media, evidence} {
		if b == (bucketPart{}) {
			continue
		}
		// No rule of the bucket knows of a hold: what may be evidence is left to Mayfly.
		expire := b == media && !b.holds(evidence)
		why := "the days are more than any policy keeps a blob"
		if !expire {
			why = "without expiry, which would delete evidence that is on hold"
		}
		if _, err := fmt.Fprintf(w, "\nA backstop for %s/%s, should Mayfly not run for weeks (lifecycle rules; %s):\n%s\n",
			b.name, b.prefix, why, prettyJSON(lifecycle(b, expire))); err != nil {
			return err
		}
	}
	return nil
}

// iamStatement and iamDocument are of an IAM policy
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html).
type iamStatement struct {
	Effect   string
	Action   []string
	Resource []string
}

type iamDocument struct {
	Version   string
	Statement []iamStatement
}

func iamPolicy(parts ...bucketPart) iamDocument {
	var objects, buckets []string
	for _, b := range parts {
		if b == (bucketPart{}) {
			continue
		}
		objects = append(objects, b.arn()+"/"+b.prefix+"*")
		if !slices.Contains(buckets, b.arn()) {
			buckets = append(buckets, b.arn())
		}
	}
	return iamDocument{Version: "2012-10-17", Statement: []iamStatement{
		{"Allow", []string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}, objects},
		{"Allow", []string{"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetLifecycleConfiguration"}, buckets},
	}}
}

// lifecycle is a lifecycle configuration
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html).
func lifecycle(b bucketPart, expire bool) map[string]any {
	rule := func(id, what string, days map[string]int) map[string]any {
		return map[string]any{"ID": "mayfly-" + id, "Status": "Enabled", "Filter": map[string]string{"Prefix": b.prefix}, what: days}
	}
	rules := []any{
		rule("unfinished", "AbortIncompleteMultipartUpload", map[string]int{"DaysAfterInitiation": 3}),
		rule("old-versions", "NoncurrentVersionExpiration", map[string]int{"NoncurrentDays": 1}),
	}
	if expire {
		rules = append(rules, rule("backstop", "Expiration", map[string]int{"Days": 400}))
	}
	return map[string]any{"Rules": rules}
}

// prettyJSON is v as JSON for people.
func prettyJSON(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // texts and numbers; it cannot fail
	}
	return string(text)
}
