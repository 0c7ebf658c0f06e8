// Package faultproxy breaks the connection between an S3 client and a real S3
// server on purpose: for the tests of all that must survive a network and a store
// that fail.
//
// A Proxy stands in front of one server, speaks HTTP/1.1 without TLS on both
// sides, and asks its rule about every call:
//
//	p := faultproxy.New(t, serverURL)
//	p.Fail(faultproxy.Nth(faultproxy.UploadPart, 2, faultproxy.ResetRequest))
//	client := open(p.URL)
//
// What holds:
//
//  1. A call that its fault leaves alone arrives as it was sent, and so does its
//     answer: request line, Host, headers (with their order and case), chunks and
//     trailers are the same bytes. Signatures are over them; that is why the proxy
//     is not an httputil.ReverseProxy, which writes each of them anew.
//  2. Bodies stream in both directions. No more is held than one buffer. Of a body
//     that tells its length the middle is the byte after half of it; of one that
//     comes in chunks (HTTP's, or S3's aws-chunked where a byte is flipped) it is
//     the middle of its first chunk. An end of a connection that the network makes
//     goes on to the other side.
//  3. Every call has a connection to the server of its own, so the proxy never
//     makes a fault of a connection that the server gave up meanwhile.
//  4. What the proxy did is told by Calls before the client can see it. A fault
//     that found nothing to break (a byte to flip in an empty body) lets the call
//     pass, and Calls tells that as well.
//  5. When the test ends every connection is closed, and nothing of the proxy runs.
//
// Of the addresses of buckets it knows the path style only: /bucket/key.
//
// A caution for who counts calls: Go's http.Transport sends a GET or HEAD again,
// by itself, when a connection that it used before dies without an answer. The S3
// clients retry too, most of them also after a 503. Each try is a call here.
package faultproxy
