// Package checksum tells bytes that come back from a blob store from others, several
// times as fast as SHA-256 does: a HighwayHash-128 under a random key, which each blob
// has for itself.
//
//  1. A bucket that sees neither key nor checksum passes other bytes off for a blob's with
//     a chance of 2^-128, whether a disk flipped a bit of them or somebody forged them, as
//     far as HighwayHash is the pseudo-random function that it is taken for.
//  2. Whoever knows the key can find other bytes with the same checksum. So it is kept
//     with the row, leaves it for nobody, and is no digest: what a blob is to clients,
//     tombstones and receipts, its SHA-256 says.
package checksum
