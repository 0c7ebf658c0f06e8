// Package bucket keeps blobs as objects in an S3 bucket, under a prefix. It is what
// minioblob and s3blob share: which requests a Put, a Delete or a sweep is made of.
// The two bring the SDK that sends them, as a Client.
//
// What it promises is in package blobstore. What an operator should know:
//
// # What is in the bucket
//
//	PREFIX/0198c1…9a3f     a blob: the bytes as they were uploaded
//	an open multipart upload for each large blob on its way, or cut off by a crash
//
// Nothing outside of the prefix is ever read or deleted. Of servers that cannot list
// the unfinished uploads below a prefix those of the whole bucket are asked for, and
// the others passed over. MinIO forgets to list them after a restart, so the purge
// asks once more by the key of each upload that came to nothing.
//
// # What holds
//
//  1. Put returns nil only after the server has acknowledged all bytes, each request
//     signed over its bytes, so that none was flipped on the way (P1). A body of the
//     wrong size or digest is found before the object exists.
//  2. Delete removes every version and delete marker of a key, and asks again whether
//     any is left (P5).
//  3. A GET is never presigned: who has such a URL can use it many times (P2). A PUT
//     may be, of a key that never becomes a stored blob's (see PresignPut).
//
// # Memory
//
// A part of an upload is held until the server has it, for a retry needs it again.
// All uploads of a process share one Budget of such bytes, and wait for their turn:
// the client of each feels it as a slower line.
package bucket
