// Package crashes has tests only: of servers that die at every step of what they do, and
// of clocks that are wrong. The stores are real: SQLite with two folders, and PostgreSQL with
// two buckets of MinIO that keep old versions; the second one is for evidence.
//
// TestMatrix numbers every call that an upload, an open, a resume, an acknowledgement, an
// unsend, a report, the copy and the moderation of it, a purge and a sweep make of the two
// stores, and lets a run go wrong at each of them: the process dies before the call, the
// call fails, the call is made and its answer is lost, the process dies after it, or (while
// bytes are on their way) in the middle of it. (Of a read the first two are all that there
// is: nobody can tell whether one was made.) Where a fault leads to other steps than the
// plain run has, they go wrong too. A dead process does nothing any more, and another
// starts on the same stores. What holds then:
//
//  1. What a client was told is so: a blob is there, byte for byte (P1), a ticket is spent
//     (P2), delivered, or the blob unsent.
//  2. What it was not told can be had by asking again: no ticket is lost, and none is
//     served to anybody but its claim key (P2, P3).
//  3. No byte leaves before the spend is durable (P2).
//  4. After one purge and one sweep there is nothing but tombstones: no object, version,
//     delete marker, unfinished upload, and no row of one (P5).
//
// And of reports:
//
//  5. Who was told 201 has the report, and who was not gets the same one with the same
//     Idempotency-Key. It ends open, with the bytes that the sender uploaded, or waits for
//     them if a purge was faster than the report. What a report has pinned is there as long
//     as it is pinned, whatever became of its blob (world.CheckPins).
//  6. A report has one evidence, never two. No byte of it leaves before the audit log tells
//     who opened it (P6). What was withdrawn is gone after one purge and one sweep.
//  7. The audit log is read after every run, from where it was read before: its chain goes
//     on, and each act is in it once, whatever was tried again.
//
// Of clocks:
//
//  8. A ticket opens only if its deadline is ahead by the clock of the replica that spends,
//     and bytes are purged only if they are due by the clock of the replica that claims them
//     (P4). Nothing that a slower clock says makes shorter what a faster one has promised:
//     PurgeAt is never before the latest open and what it keeps the bytes for. So if clocks
//     differ by a minute, bytes that one replica would still give out are gone at the most
//     a minute before their time.
//  9. A deadline is a moment, set by the clock that stored the blob. A clock that jumps
//     forward makes all that is due until there due at once, and what is purged then stays
//     purged; a deadline set while a clock was behind comes early by as much once it is put
//     right, one set while it was ahead comes late. No service that trusts its clock can
//     know better. What stands between a jump and the bytes is the brake of the purge,
//     expiry.ErrBrake: not below Purge.Allowed blobs. Of a jump back nothing is lost: what
//     was expired and not purged opens again, as the clock then says.
//  10. Zones and summer time move nothing: the stores keep UTC in microseconds, and the
//     times of jobs are in UTC.
//
// What is not here: a power cut, which takes what was not synced: see
// internal/storetest.Durability, and fsblob. Faults within one call: internal/faultproxy,
// by the tests of the buckets. Processes that are killed: cmd/mayfly and internal/proof.
package crashes
