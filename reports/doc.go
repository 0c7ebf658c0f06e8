// Package reports is what becomes of a recipient's complaint: the consent, the evidence
// that is copied on it, the moderators' work, holds, and the audit log. It knows no HTTP
// and no SQL: bytes go through a blobstore.Store, rows through this package's Store.
//
// Evidence is a blob like any other, with the report's id, the policy evidence, and keys
// that tell what they are (blobstore.NewEvidenceKey): opens, purge and sweep treat it as
// they treat all blobs.
//
// What holds at every return of a method of Service:
//
//  1. Nothing is copied without a record of consent, and what is copied is what the sender
//     uploaded, by its SHA-256: nobody can bring other bytes as evidence, not even the
//     reporter (P6).
//  2. The report's row and the pin that keeps the blob's bytes from the purge are one
//     transaction: either the report was in time, or it waits for the reporter's bytes.
//     A pin has an end, so that a copy that never succeeds keeps nothing for ever.
//  3. Row before bytes: a copy's key is on record before its first byte. A crash at any step
//     leaves a row with which a later pass goes on, or the purge cleans up (P5).
//  4. The sealed key is checked for being an age file to the moderators, and never opened;
//     it is kept no longer than the evidence (P6).
//  5. An act and its entry in the audit log are one transaction, and the entry comes before
//     whatever the act allows: before a moderator's ticket leaves, before its first byte.
//  6. Evidence on hold is deleted by nobody: no deadline, no decision, no withdrawal. Two
//     people end a hold.
//  7. Who reported is told to no moderator, and is not in the audit log.
//
// A report is copying → open → dismissed | upheld | escalated → (reopened) open, or
// awaiting_media → open, and from all of these withdrawn; lapsed if no bytes ever came, or nobody
// decided before their time was over.
package reports
