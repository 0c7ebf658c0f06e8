// Package blobstoretest proves that a blobstore.Store keeps its contract, and
// breaks one on purpose.
//
// Test is the conformance suite, which every backend runs against the real
// thing. Each of its tests opens a store of its own, which must be empty: a new
// folder, a new prefix. TestKeys is the same with keys of the caller's own, TestImport
// what a blobstore.Importer has to pass besides.
//
// Faulty wraps a Store and fails chosen calls, with or without their effect: for
// the tests of all that must survive a store that fails.
package blobstoretest
