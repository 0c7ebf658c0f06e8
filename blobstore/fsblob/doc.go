// Package fsblob keeps blobs in a folder: the embedded default, file:///path.
//
// What it promises is in package blobstore. What an operator should know:
//
// # What is in the folder
//
//	DIR/3f/0198c1…9a3f                     a blob: the bytes as they were uploaded
//	DIR/3f/0198c1…9a3f.K4X…Q7.part         an upload under way, or cut off by a crash
//	DIR/00 … DIR/ff, and others on demand  fan-out, by the last two characters of the key
//
// Folders are made with mode 0700 and files with 0600, less what the umask
// takes; the mode of a folder that exists is left alone. The user that runs
// Mayfly must own the folder or be able to write it. Nothing outside of it is
// ever touched, symbolic links in it lead nowhere else, and files that do not
// have names like these are left alone. Several processes (a server and the
// command line, or two servers on one host) may use one folder.
//
// # What survives a crash
//
//  1. A blob whose upload was acknowledged (P1): its bytes are fsynced, then it
//     gets its name, then the folder is fsynced, then the answer goes out. Where
//     several small uploads wait for the disk they get their names first, and one
//     syncfs for all of them makes bytes and names durable before the answers.
//  2. A deletion that was acknowledged (P5): its folder is fsynced too.
//  3. A .part file of each upload that was cut off. It can never be opened as a
//     blob; the next sweep removes it, once it is old enough to be nobody's.
//
// A full disk or quota refuses new uploads (blobstore.ErrNoSpace), removes what
// had arrived of them, and touches nothing else.
//
// # Where the folder may lie
//
// On a local file system with hard links and a working fsync: ext4, XFS, btrfs,
// ZFS. Check (mayfly doctor) tries both. On XFS and btrfs a report's copy shares
// the bytes of the original. NFS works if the server's export is sync. Not on
// tmpfs, which a reboot empties, and not on FAT, SMB or a FUSE mount of an
// object store: use the S3 backends for that.
//
// # Backups
//
// Whoever restores a backup of the folder brings erased blobs back. A sweep
// deletes those that have no row any more, so: restore the database of the same
// moment or a later one, and run mayfly sweep before serving. Better, leave the
// folder out of backups: what is in it is meant to vanish. Snapshots of the file
// system, and the blocks of a disk that was not discarded, hold erased blobs too.
package fsblob
