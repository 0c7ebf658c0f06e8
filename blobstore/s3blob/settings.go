package s3blob

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mayfly/blobstore/bucket"
)

// Bucket implements bucket.Client.
func (c *client) Bucket(ctx context.Context) (bucket.Settings, error) {
	var settings bucket.Settings
	var err error
	if settings.Versioned, err = c.versioned(ctx); err != nil {
		return bucket.Settings{}, err
	}
	if settings.Locked, err = c.locked(ctx); err != nil {
		return bucket.Settings{}, err
	}
	settings.Lifecycle = c.lifecycle(ctx)
	return settings, nil
}

func (c *client) versioned(ctx context.Context) (bool, error) {
	out, err := c.api.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &c.bucket})
	if err != nil {
		return false, c.unanswered(fault("GetBucketVersioning", err), "s3:GetBucketVersioning")
	}
	// Suspended: what was written before still has its versions.
	return out.Status == types.BucketVersioningStatusEnabled || out.Status == types.BucketVersioningStatusSuspended, nil
}

func (c *client) locked(ctx context.Context) (bool, error) {
	out, err := c.api.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &c.bucket})
	if err == nil {
		lock := out.ObjectLockConfiguration
		return lock != nil && lock.ObjectLockEnabled == types.ObjectLockEnabledEnabled, nil
	}
	err = fault("GetObjectLockConfiguration", err)
	if code(err) == "ObjectLockConfigurationNotFoundError" {
		return false, nil
	}
	return false, c.unanswered(err, "s3:GetBucketObjectLockConfiguration")
}

// lifecycle is for people only, so no answer is no failure.
func (c *client) lifecycle(ctx context.Context) string {
	out, err := c.api.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &c.bucket})
	if err == nil {
		return fmt.Sprintf("%d rules", len(out.Rules))
	}
	err = fault("GetBucketLifecycleConfiguration", err)
	if code(err) == "NoSuchLifecycleConfiguration" {
		return "no rules"
	}
	return fmt.Sprintf("not known: %v", err)
}

// unanswered says why a question about the bucket has no answer; nil if the server does
// not know the question, which counts as no.
func (c *client) unanswered(err error, permission string) error {
	switch code(err) {
	case "NotImplemented", "MethodNotAllowed", "VersioningNotConfigured":
		return nil
	case "AccessDenied":
		return fmt.Errorf("%w: allow %s on the bucket", err, permission)
	case "NoSuchBucket":
		return fmt.Errorf("there is no bucket %q: make it first", c.bucket)
	case "PermanentRedirect", "IllegalLocationConstraintException", "AuthorizationHeaderMalformed":
		return fmt.Errorf("%w: the bucket may be in another region: see region= in the URL", err)
	}
	return err
}

// URL implements bucket.Client.
func (c *client) URL(name string) string {
	u := *c.base
	u.Path, u.RawPath = u.Path+"/"+name, ""
	return u.String()
}
