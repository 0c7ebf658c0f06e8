// Package client is the other side of the API: it announces and uploads blobs,
// opens tickets, and survives broken connections in between. The generated
// client is underneath; its types stay here.
//
// What holds:
//
//  1. Tokens and claim keys go out in headers only, over TLS or to this machine,
//     to the address that they are for: redirects are refused, and so is plain
//     http beyond loopback (P8).
//  2. No error, and nothing here when printed or logged, shows a token, a claim
//     key or a presigned address, not even if a server echoes one (P8).
//  3. A Download ends with io.EOF only when length and SHA-256 are what the
//     server announced. It never hands out more than the announced length.
//  4. A broken download goes on where it broke, with the claim key that it chose
//     before the ticket was spent (P3). Nobody else learns that key.
//  5. An Upload succeeds only if the server stored the very bytes that the
//     attempt sent. A source that has another length than announced is never
//     sent to its end, so that the server keeps nothing of it (P1).
//  6. Every wait, answer and retry is bounded; nothing bounds a transfer that
//     moves.
package client
