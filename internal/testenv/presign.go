package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"time"
)

// presign signs a request by Signature Version 4 in its query
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
// The key is the URL's user; a body and all headers but the host's are not signed.
// The path must be one that needs no escaping.
func presign(method string, at *url.URL, now time.Time) string {
	const region = "us-east-1"
	secret, _ := at.User.Password()
	timestamp := now.UTC().Format("20060102T150405Z")
	date := timestamp[:8]
	scope := date + "/" + region + "/s3/aws4_request"

	signed := url.URL{Scheme: at.Scheme, Host: at.Host, Path: "/" + strings.TrimPrefix(at.Path, "/")}
	query := at.Query()
	query.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
	query.Set("X-Amz-Credential", at.User.Username()+"/"+scope)
	query.Set("X-Amz-Date", timestamp)
	query.Set("X-Amz-Expires", "60")
	query.Set("X-Amz-SignedHeaders", "host")
	signed.RawQuery = query.Encode()

	request := sha256.Sum256([]byte(strings.Join([]string{
		method, signed.Path, signed.RawQuery, "host:" + at.Host, "", "host", "UNSIGNED-PAYLOAD",
	}, "\n")))
	key := []byte("AWS4" + secret)
	for _, part := range []string{date, region, "s3", "aws4_request"} {
		key = sum(key, part)
	}
	text := strings.Join([]string{"AWS4-HMAC-SHA256", timestamp, scope, hex.EncodeToString(request[:])}, "\n")
	signed.RawQuery += "&X-Amz-Signature=" + hex.EncodeToString(sum(key, text))
	return signed.String()
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
