// Package metrics has the numbers that an operator watches, on a registry of its
// own. It knows Prometheus and nothing else of Mayfly: what is measured tells it in
// plain numbers and words.
//
// What holds:
//
//  1. No label is a tenant, a token, an id or anything else that a caller chose:
//     label values come from the lists in this package, the API document and the
//     router, and what is in none of them counts as "other" (P8).
//  2. Measuring allocates nothing and takes no lock on the way of a request: the
//     counters are found once.
package metrics
