// Package expiry decides how long things live and deletes what is due: policies,
// the purge, the sweep and the schedule that starts them.
//
// What holds:
//
//  1. Nothing is purged early: what is due is a time in the row, compared with the
//     clock by the Queue (P4).
//  2. Bytes before row on the way out: a row becomes a tombstone only after its
//     bytes are deleted and seen to be gone. A crash between any two steps leaves
//     a row that a later pass finds; every step may run twice (P5).
//  3. A blob that cannot be deleted is put off and counted; the pass goes on.
//  4. The sweep deletes only what has no row and is older than its age limit. In
//     doubt it keeps: an error while looking up an owner deletes nothing, and a
//     pass that would delete more than a set share of the store stops.
//  5. Of each job at most one pass runs at a time in a process; a panic in one is
//     caught and counted, and the next tick tries again. Several processes may
//     run passes at once: they divide the work by leases.
//  6. No change of a policy makes a stored blob live longer, or moves what is being
//     deleted. It makes one live shorter only when that is asked for, and then it
//     is on record with who asked; what was planned is carried out as planned or
//     not at all.
package expiry
