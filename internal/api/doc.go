// Package api is the HTTP side of the server, and the only place that knows HTTP.
// Below it are the packages tickets and expiry; beside it the generated router, types and strict
// handlers of package openapi, whose types do not leave here.
//
// What holds:
//
//  1. GET and HEAD call only methods that write nothing (P7).
//  2. Not one byte of a blob is written before tickets.Service.Open or Resume has
//     returned without an error (P2, P3). Whatever fails after the first byte ends
//     in http.ErrAbortHandler: a truncated body never looks complete.
//  3. Tokens and claim keys come in headers only. No error, log line or metric
//     holds one, or a path, a query or an address; only the answer that issues a
//     token holds it (P8). Ids stand in no line either, but that the reason of a
//     failure of ours may name a blob.
//  4. Every error ends in problem.go, as application/problem+json with a code of
//     openapi.yaml; the text of an internal error reaches only the log.
//  5. What a request may do before it is known who asks is bounded: header, query,
//     body, time and number. A body of bytes is read by package tickets only, never
//     by the validation, and not before the request is found to be in order.
//  6. Reads and writes have deadlines that roll with the progress of a transfer; an
//     unsend cuts them, and no deadline outlives its request.
//  7. The bytes of a local file reach the socket by sendfile: nothing between
//     net/http and the handlers hides io.ReaderFrom.
package api
