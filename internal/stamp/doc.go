// Package stamp is the upload stamp: what the server writes beside a blob when its bytes
// are stored, so that it can prove to itself later what was uploaded, and when. A report
// takes the stamp along; it outlives the blob, its tombstone and whoever changes a row.
//
// A stamp is an HMAC-SHA-256 under a key that only the server has:
//
//	v1.<key id>.<mac, base64url without padding>
//
// over the bytes "mayfly upload stamp v1\n" and six fields, each behind its length (4
// bytes, big-endian): the blob's id (16 bytes), its SHA-256 (32), its size (8, big-endian),
// the key commitment, the context, and the time of storing (microseconds since 1970, 8,
// big-endian). The key id is the first 16 hex digits of the SHA-256 of "mayfly stamp key\n"
// and the key.
//
// What holds:
//
//  1. A stamp is Valid for the Upload that it was made of, and for no other.
//  2. A key that was rotated still verifies what it has stamped, for as long as it is in the
//     keyring; UnknownKey says that it is not, and nothing about the upload.
//  3. No error, log or print form has a key in it (P8).
//
// What it does not say: who has a key can stamp what they like, with any time. So the keys
// are kept apart from the database, or whoever may write that may stamp too; and a stamp is
// the server's word to itself, no signature for others.
package stamp
