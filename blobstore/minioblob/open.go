// Package minioblob keeps blobs in a bucket of MinIO, or of another server that
// speaks S3, through minio-go: minio://host:port/bucket[/prefix]. How a blob lies in
// a bucket is told in package bucket.
package minioblob

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"mayfly/blobstore/bucket"
)

// Scheme begins the URL of such a store.
const Scheme = "minio"

// Credentials are a pair of keys. It prints and logs without the secret (P8).
type Credentials struct{ AccessKey, SecretKey string }

func (c Credentials) String() string { return c.AccessKey + ":[redacted]" }

// GoString is the redacted form, for %#v.
func (c Credentials) GoString() string { return c.String() }

// LogValue is the redacted form.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Config is what a URL says.
type Config struct {
	Host, Bucket, Prefix, Region string
	// Insecure speaks HTTP without TLS: for a loopback, or a network that is trusted.
	Insecure bool
	// Create makes the bucket if it is missing, which a mistyped name is too.
	Create bool
}

// Parse reads minio://host[:port]/bucket[/prefix][?insecure=true][&create=true][&region=…].
func Parse(rawURL string) (Config, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != Scheme {
		return Config{}, fmt.Errorf("it must be like %s://host:9000/bucket", Scheme)
	}
	name, prefix, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	c := Config{Host: u.Host, Bucket: name, Prefix: strings.Trim(prefix, "/"), Region: "us-east-1"}
	switch {
	case u.User != nil:
		return Config{}, errors.New("keys do not belong into a URL, which is printed and logged: use MAYFLY_S3_ACCESS_KEY and MAYFLY_S3_SECRET_KEY")
	case c.Host == "":
		return Config{}, fmt.Errorf("it names no server: it must be like %s://host:9000/bucket", Scheme)
	case c.Bucket == "":
		return Config{}, fmt.Errorf("it names no bucket: it must be like %s://host:9000/bucket", Scheme)
	case u.Fragment != "":
		return Config{}, errors.New("it has a fragment (#), which means nothing here")
	}
	if err := s3utils.CheckValidBucketNameStrict(c.Bucket); err != nil {
		return Config{}, fmt.Errorf("bucket %q: %w", c.Bucket, err)
	}
	for name, values := range u.Query() {
		switch value := values[len(values)-1]; name {
		case "insecure", "create":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return Config{}, fmt.Errorf("%s=%q is neither true nor false", name, value)
			}
			if name == "create" {
				c.Create = on
			} else {
				c.Insecure = on
			}
		case "region":
			c.Region = value
		default:
			return Config{}, fmt.Errorf("it has a parameter %q; there are insecure, create and region", name)
		}
	}
	return c, nil
}

// Open makes the store; nothing is asked of the server before Check. Without keys
// those of the environment of minio-go are taken, of a file, or of the machine's role.
func Open(cfg Config, keys Credentials, budget *bucket.Budget) (*bucket.Store, error) {
	client, err := newClient(cfg, keys)
	if err != nil {
		return nil, err
	}
	return bucket.New(client, cfg.Prefix, budget), nil
}

const (
	dialTimeout = 10 * time.Second
	// answerTimeout is for a server that moves 5 GiB before it answers; all else ends
	// earlier, by bucket.Limits.
	answerTimeout = 10 * time.Minute
	idleTimeout   = time.Minute
	// maxIdle is how many connections wait for the next request.
	maxIdle = 256
	// tries of a request in all, where that is harmless.
	tries = 3
)

func newClient(cfg Config, keys Credentials) (*client, error) {
	chain := credentials.NewStaticV4(keys.AccessKey, keys.SecretKey, "")
	if keys == (Credentials{}) {
		chain = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvMinio{}, &credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		})
	}
	core, err := minio.NewCore(cfg.Host, &minio.Options{
		Creds:      chain,
		Secure:     !cfg.Insecure,
		Region:     cfg.Region, // else it is asked for before the first request
		MaxRetries: tries,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: answerTimeout,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConns:          maxIdle,
			MaxIdleConnsPerHost:   maxIdle,
			DisableCompression:    true, // a body is what was stored, byte for byte
			WriteBufferSize:       64 << 10,
			ReadBufferSize:        64 << 10,
		},
	})
	if err != nil {
		return nil, err
	}
	return &client{
		core: core, bucket: cfg.Bucket, region: cfg.Region, create: cfg.Create, keys: chain,
		account: account{cfg.Host, cfg.Region, keys.AccessKey, cfg.Insecure},
	}, nil
}

// bucketIsOurs is the answer to who makes a bucket that he has already.
const bucketIsOurs = "BucketAlreadyOwnedByYou"

// exists asks for the bucket, and makes it if that was wanted.
func (c *client) exists(ctx context.Context) error {
	ok, err := c.core.BucketExists(ctx, c.bucket)
	switch {
	case err != nil:
		return failure(err)
	case !ok && !c.create:
		return fmt.Errorf("there is no bucket %q: make it, or let Mayfly make it with create=true in the URL", c.bucket)
	case !ok:
		err := c.core.MakeBucket(ctx, c.bucket, minio.MakeBucketOptions{Region: c.region})
		if minio.ToErrorResponse(err).Code == bucketIsOurs {
			return nil // another replica, or the other store in it, was faster
		}
		return failure(err)
	}
	return nil
}
