package main

import "strings"

// withoutMayfly drops the variables that configure a Mayfly of the caller's own:
// no test may reach it.
func withoutMayfly(environ []string) []string {
	kept := environ[:0:0]
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "MAYFLY_") {
			kept = append(kept, entry)
		}
	}
	return kept
}
