// Package sqlstore keeps the rows of Mayfly in SQL: it implements tickets.Store,
// expiry.Queue, expiry.PolicyStore and keys.Store on one database.
//
// What holds:
//
//  1. What a method has answered is on stable storage: the answer comes after the
//     commit, and the commit syncs (P1, P2).
//  2. A ticket is turned by one conditional statement. Over all callers and
//     processes one of them finds it ready (P2).
//  3. The clock is an argument of every statement; none asks the database for the
//     time (P4).
//  4. A key under which bytes may lie has a row, from before the first byte until
//     they are seen to be gone: as an attempt, then as the blob's. It passes from
//     one to the other within a transaction (P5). A purge never gets hold of a key
//     that is, or may still become, that of a stored blob (P1).
//  5. Reads go over connections that cannot write (P7).
//  6. Secrets are there as SHA-256 only, and deleted rows are overwritten (P8).
//  7. No statement scans blobs or tickets: its cost follows what it touches, or what
//     is due. (Stored, PlanPolicy and Shorten walk through them by design, a page at a time.)
//  8. Settings that these stand on are read back when the database is opened, and
//     a database that does not take them is refused.
//
// Writes that arrive while a commit is under way share the next one (batch.go,
// writer.go): an idle store adds no delay, a busy one syncs once for many.
//
// There are two dialects. SQLite's own is in the files that begin with sqlite (the
// file and its settings, the driver, one connection that writes and some that read),
// PostgreSQL's in those that begin with postgres (settings, pools, the statements that
// do for many callers at once what SQLite does for each), and each has its migrations.
// The statements of the other files are both's: $1, RETURNING, no function that only
// one of them has. They lean on one thing that PostgreSQL has to be asked for: that a
// transaction which writes sees nobody else write, so that what it read still holds.
// Hence dialect.lock, behind the SELECT of the blob's row with which each of them begins.
package sqlstore
