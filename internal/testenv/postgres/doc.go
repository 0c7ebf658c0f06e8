// Package postgres runs a real PostgreSQL server for the tests: on the loopback
// interface, with a password, in a folder of its own, gone when it is stopped.
//
//  1. A server is as durable as PostgreSQL's own defaults are, unless a test asks for a
//     weaker one by its settings.
//  2. Crash and Copy leave what the server had handed to the kernel: what is in the
//     memory of its processes is lost, what is in the kernel's page cache is not. So
//     they show a commit that was acknowledged before its WAL was written
//     (synchronous_commit=off), and do not show an fsync that was left out (fsync=off):
//     only the loss of a real machine's power would.
//  3. The port of a server is its own from Start to Stop, also while it is down: who
//     connects meanwhile is refused, and reaches nobody else.
//  4. Nothing needs a server that the machine runs already, and nothing touches it.
//
// Crash and Copy need Linux. A server is for one goroutine at a time; only its URL is
// for all.
package postgres
