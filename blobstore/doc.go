// Package blobstore says what Mayfly needs of the place where encrypted bytes
// live, and nothing of what the bytes mean.
//
// What every Store promises; blobstoretest proves each number on each backend:
//
//  1. Put is all or nothing. Nil means that the blob is complete, visible and
//     on stable storage (P1). A partial blob is never visible.
//  2. A key is written once. A second Put of it is ErrExists and leaves the
//     first blob as it was, also when the two run at the same moment.
//  3. What Open reads is byte for byte what Put was given, from any offset.
//  4. Delete is idempotent and durable: on nil nothing of the key, no older
//     version either, can be read again, not even after a crash (P5). A reader
//     that opened the blob before may finish or fail; it never sees other bytes.
//  5. All tells of everything that takes room under our prefix, unfinished
//     uploads included, so that a sweep can find what has no owner.
//  6. A cancelled context ends any call soon, and leaves the promises above.
//
// Keys are random and never derived from content: two uploads of one ciphertext
// are two blobs. Deduplication would let a reporter's evidence and a sender's
// blob become one, and tell strangers that two people hold the same picture.
package blobstore
