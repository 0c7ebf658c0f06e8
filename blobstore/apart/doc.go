// Package apart keeps evidence, the copies that reports re-share, in a store of its own
// beside that of the senders' blobs: another bucket, prefix or folder, or another server.
// All of Mayfly works on one Store; this one is made of two. By its key a blob tells where
// it belongs (blobstore.Key.IsEvidence), so no row is read for that.
//
// # What holds
//
//  1. Evidence is put into the evidence store and everything else into the media store.
//     A copy from one to the other is made by the stores themselves where they can
//     (blobstore.Importer); else the bytes go through us.
//  2. Senders' blobs do not depend on the evidence store: that it fails or hangs lets no
//     Put, Open, Copy or Delete of theirs fail. (A listing, and so a sweep, needs both.)
//  3. Which of the two failed is said in the error.
//
// # When the place of the evidence changes
//
// Evidence may lie in the media store: there it went until an evidence store was given. It
// is looked for in both, the evidence store first: it is opened, copied and listed from
// where it is, and a deletion is done when it is gone from both. So --evidence can be added
// at any time, and what is in the media store need not be moved. The same holds for what no
// row can own (the canary of a Check that a crash cut short).
//
// Before --evidence is pointed to another place, or is taken away, what is in the old one
// must be moved: to the new place, or to the media store. A key that is in both by then is
// listed once, and deleted from both.
//
// A sender's blob in the evidence store is another matter. Nothing puts one there, so the
// place is a media store: one given by mistake, or one that was used before. To ask the
// evidence store for every blob would cost each purge twice its requests, and statement 2;
// to pass such blobs over would leave them for ever (P5). So Check refuses, and All ends with
// an error. Nothing is deleted, and nothing is lost: move them, or give another place.
//
// Two addresses that name the same place, or one inside the other, are the caller's to
// refuse.
package apart
