// Package envelope is the sealed key of a report. The reporter's client seals the
// media key, with the blob's id, digest and size, to the moderators' age
// recipients. The server checks the envelope without being able to open it; the
// moderator's tool opens it.
//
// An envelope is an armored age file (age-encryption.org/v1) that any age opens
// which has a moderator's identity. age's recipient stanzas are anonymous: from
// the outside nobody can tell for whom they are. So that a server can refuse an
// envelope that no moderator could open, ours begin with one stanza more, which
// age passes over:
//
//	-> mayfly-to 9f86d081884c7d65 60303ae22b998861
//
// Its arguments are the ids of the recipients, in the order of the stanzas behind
// it; its body is empty. An id is the first 16 hex digits of the SHA-256 of the
// recipient's text (age1…). The header's MAC covers it.
//
// What holds:
//
//  1. Nothing here but Open and UnlockIdentity needs or has a secret that reads
//     media; the server calls neither (P6).
//  2. What Inspect accepts is an age file of at most MaxBytes with a payload of
//     possible size, sealed by its own words to one or more known recipients and
//     to nobody else. What Seal made for known recipients is accepted.
//  3. That is a check against honest mistakes: stale recipients, those of another
//     installation, a file of another kind, one that was cut off. It proves nothing
//     about a liar: the stanza is what the sealing client says, and its MAC can be
//     verified only by who can open the envelope. A client that seals garbage, or
//     to others than it names, spoils its own report and no other; Open then says
//     so to the moderator.
//  4. What Open returns was sealed as a whole and not changed since. Whether it
//     belongs to the report at hand is what BoundTo tells: an envelope that was
//     moved to another report is found. It does not tell who sealed it: anybody
//     can seal to a public key.
//  5. No error quotes an envelope, a key, an identity or a passphrase, and
//     Contents and Identity print redacted (P8).
//
// The price of the stanza: who sees an envelope learns to which public keys it is
// said to be sealed. The moderators' recipients are published anyway.
package envelope
