package main

import (
	"encoding/json"
	"fmt"
)

// printJSON prints a result for scripts.
func printJSON(t terminal, v any) error {
	e := json.NewEncoder(t.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // a link is to be copied as it is
	return e.Encode(v)
}

// bytesText is a size as a person reads it.
func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exp := float64(n)/unit, 0
	for value >= unit && exp < 5 {
		value, exp = value/unit, exp+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[exp])
}
