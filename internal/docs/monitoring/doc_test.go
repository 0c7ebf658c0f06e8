// Package monitoring has no code: its tests hold the alerting rules and the dashboard
// beside it against the metrics that Mayfly has.
package monitoring
