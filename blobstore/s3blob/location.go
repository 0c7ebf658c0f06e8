package s3blob

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// location is what an s3:// URL says.
type location struct {
	bucket, prefix   string
	region, endpoint string // empty: the SDK's own
}

// parseLocation reads an s3:// URL. No error quotes the URL: somebody may have put a
// secret into it.
func parseLocation(raw string) (location, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "s3" || u.Opaque != "" {
		return location{}, errors.New("the URL is not of the form s3://BUCKET/PREFIX?region=REGION&endpoint=URL")
	}
	switch {
	case u.User != nil:
		return location{}, errors.New("the URL must not hold credentials: give them by themselves")
	case u.Fragment != "":
		return location{}, errors.New("the URL must not have a fragment (#)")
	case u.Host == "":
		return location{}, errors.New("the URL names no bucket: write s3://BUCKET")
	case u.Port() != "":
		return location{}, errors.New("the URL names a server in place of the bucket: write s3://BUCKET?endpoint=https://HOST:PORT")
	}
	l := location{bucket: u.Host}
	if err := checkBucket(l.bucket); err != nil {
		return location{}, err
	}
	if l.prefix, err = parsePrefix(u.Path); err != nil {
		return location{}, err
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return location{}, errors.New("the URL's parameters cannot be read: write ?region=REGION&endpoint=URL")
	}
	for name, values := range query {
		if len(values) > 1 {
			return location{}, fmt.Errorf("the URL has the parameter %q more than once", name)
		}
		switch name {
		case "region":
			if l.region = values[0]; !regionForm.MatchString(l.region) {
				return location{}, errors.New("the URL's region= is not the name of a region, like eu-central-1")
			}
		case "endpoint":
			l.endpoint = values[0]
			if err := checkEndpoint(l.endpoint); err != nil {
				return location{}, err
			}
		default:
			return location{}, fmt.Errorf("the URL has an unknown parameter %q: there are region and endpoint", name)
		}
	}
	return l, nil
}

var (
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// checkBucket holds a name to S3's rules for general purpose buckets:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func checkBucket(name string) error {
	_, notIP := netip.ParseAddr(name)
	if !bucketForm.MatchString(name) || strings.Contains(name, "..") || notIP == nil {
		return fmt.Errorf("%q is not a bucket name: it has 3 to 63 of a-z, 0-9, dot and dash, and begins and ends with a letter or digit", name)
	}
	return nil
}

func parsePrefix(path string) (string, error) {
	prefix := strings.Trim(path, "/")
	if prefix == "" {
		return "", nil
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, notPrintable) {
			return "", errors.New("the URL's prefix has a part that is empty, a dot, two dots, or not printable")
		}
	}
	return prefix, nil
}

// notPrintable also takes what is no UTF-8, which no XML answer could name.
func notPrintable(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

func checkEndpoint(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("the URL's endpoint= is not of the form https://HOST:PORT")
	case u.User != nil:
		return errors.New("the URL's endpoint= must not hold credentials: give them by themselves")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("the URL's endpoint= must not have parameters")
	}
	return nil
}
