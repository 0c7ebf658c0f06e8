// Command bench measures Mayfly beside a minimal net/http file server:
//
//	go run ./internal/bench
//
// What holds of every figure:
//
//  1. Both servers are processes of their own, on one disk and in one run, and the
//     client is the same code for both. Only one of them is under load at a time.
//  2. They take turns, and who begins changes with every run: a disk or a machine
//     that gets slower is slower for both.
//  3. A first run of each is thrown away. In it the bytes are compared, so that
//     what is fast is also right.
//  4. A figure is the median of the runs, a ratio the median of the ratios of runs
//     that stood side by side. The runs are shown too.
//  5. Nothing is left behind, also after an interrupt: no process and no folder.
//
// With blobs in MinIO the plain server is MinIO itself, to which minio-go speaks
// without Mayfly. The two are not apart then: Mayfly's runs have MinIO's work in them,
// and the client's, on the same machine.
//
// In place of the plain server there may be a Mayfly: one with fewer rows, one that does
// not purge, or only its HTTP server, with no tickets and no database behind it. The
// figure says so.
//
// It measures and never judges: a missed target is told, and the exit code is 0.
package main
