// Package tickets is the life of a blob and of the tickets that open it:
// upload, issue, open, resume, acknowledge, revoke, unsend. It knows no HTTP and
// no SQL: bytes go through a blobstore.Store, rows through this package's Store.
//
// What holds at every return of a method of Service:
//
//  1. Row before bytes on the way in: before the first byte of an upload there is
//     a durable row that the purge will find (P1, P5).
//  2. A blob counts as stored only when size and SHA-256 of what arrived were
//     checked and the bytes are durable (P1).
//  3. Open hands out a body only after the blob was opened at the store and then
//     the ticket spent, durably, in one conditional statement (P2, P3). On any
//     error no body is handed out.
//  4. Nothing goes back to ready.
//  5. Deadlines are compared with the clock on each read; no answer depends on
//     whether a purge has run (P4).
//  6. Methods that stand behind GET and HEAD write nothing (P7).
//  7. Tokens and claim keys leave this package only by Token.Reveal, at issue;
//     a Store sees their SHA-256 only (P8).
//
// A blob is pending → stored → purging → erased. A ticket is ready → opened →
// delivered, or ready → expired | revoked.
package tickets
