package s3blob

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	static "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/blobstore/bucket"
)

// attempts is how often a request is sent, the first time included.
const attempts = 3

// anyRegion is what servers other than AWS are told if the URL has no region=: most
// of them take it.
const anyRegion = "us-east-1"

// Open keeps blobs at s3://BUCKET/PREFIX?region=REGION&endpoint=URL. It sends nothing to
// the bucket: that the store can be used is what its Check proves.
func Open(ctx context.Context, rawURL string, credentials Credentials, budget *bucket.Budget) (*bucket.Store, error) {
	l, err := parseLocation(rawURL)
	if err == nil {
		err = credentials.check()
	}
	if err != nil {
		return nil, fmt.Errorf("open the S3 bucket: %w", err)
	}
	c, err := newClient(ctx, l, credentials)
	if err != nil {
		return nil, fmt.Errorf("open the S3 bucket: %w", err)
	}
	return bucket.New(c, l.prefix, budget), nil
}

func newClient(ctx context.Context, l location, credentials Credentials) (*client, error) {
	loading := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = attempts })
		}),
	}
	if l.region == "" && l.endpoint != "" {
		l.region = anyRegion
	}
	if l.region != "" {
		loading = append(loading, config.WithRegion(l.region))
	}
	if credentials != (Credentials{}) {
		loading = append(loading, config.WithCredentialsProvider(
			static.NewStaticCredentialsProvider(credentials.AccessKey, credentials.SecretKey, "")))
	}
	loaded, err := config.LoadDefaultConfig(ctx, loading...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if loaded.Region == "" {
		return nil, errors.New("no region is known: add ?region=REGION to the URL")
	}
	quick, slow := httpClients(loaded.HTTPClient)
	api := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.HTTPClient = quick
		// What it would log is that a part of an object has no checksum of its own.
		o.DisableLogOutputChecksumValidationSkipped = true
		if l.endpoint == "" {
			return
		}
		o.BaseEndpoint = aws.String(l.endpoint)
		o.UsePathStyle = true
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	options := api.Options()
	at, err := options.EndpointResolverV2.ResolveEndpoint(ctx, s3.EndpointParameters{
		Bucket:         &l.bucket,
		Region:         &options.Region,
		Endpoint:       options.BaseEndpoint,
		ForcePathStyle: &options.UsePathStyle,
	})
	if err != nil {
		return nil, fmt.Errorf("find the server: %w", err)
	}
	return &client{
		api:       api,
		bucket:    l.bucket,
		base:      &at.URI,
		checksums: options.RequestChecksumCalculation == aws.RequestChecksumCalculationWhenSupported,
		asksAll:   l.endpoint != "",
		slow:      func(o *s3.Options) { o.HTTPClient = slow },
		account:   account{aws.ToString(options.BaseEndpoint), options.Region, credentials.AccessKey},
	}, nil
}
