// Package s3blob keeps blobs in a bucket of Amazon S3, or of a server that speaks it,
// on aws-sdk-go-v2. What requests a blob is made of, and what an operator finds in the
// bucket, is in package bucket; this one brings the Client that sends them.
//
//	s3://BUCKET/PREFIX?region=eu-central-1
//	s3://BUCKET/PREFIX?region=us-east-1&endpoint=https://s3.example.org:9000
//
// Without endpoint= it is AWS; with it, any server, addressed by path. Credentials
// are given to Open or, if there are none, come from where the AWS SDK looks for them:
// the environment, the shared files, a web identity, the machine's role. They are never
// part of the URL.
//
// # Permissions
//
// On the objects: s3:PutObject, s3:GetObject, s3:DeleteObject, s3:DeleteObjectVersion,
// s3:AbortMultipartUpload. On the bucket: s3:ListBucket, s3:ListBucketVersions,
// s3:ListBucketMultipartUploads, s3:GetBucketVersioning, s3:GetBucketObjectLockConfiguration and,
// for mayfly doctor only, s3:GetLifecycleConfiguration.
//
// # What holds
//
//  1. Every body is signed with its SHA-256, over TLS too, where the SDK would leave it
//     out: the server refuses a body of which a bit was flipped (P1).
//  2. On AWS each body has a CRC-32 as well, which S3 keeps, and which is verified when
//     a blob is read from its beginning. Other servers are not asked for it: some refuse it.
//  3. No object replaces another: If-None-Match: * goes with all that makes one.
package s3blob
