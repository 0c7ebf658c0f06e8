package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// span is how long something lasts, as operators write it: 14d, 72h, 1d12h, 15m. It is
// whole seconds.
type span time.Duration

// UnmarshalText reads a flag.
func (s *span) UnmarshalText(text []byte) error {
	all := string(text)
	rest, total := all, time.Duration(0)
	if days, hours, ok := strings.Cut(all, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return notASpan(all)
		}
		rest, total = hours, time.Duration(n)*24*time.Hour
	}
	if rest != "" || total == 0 {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d%time.Second != 0 {
			return notASpan(all)
		}
		total += d
	}
	*s = span(total)
	return nil
}

func notASpan(text string) error { return fmt.Errorf("%q is not like 14d, 72h, 1d12h or 15m", text) }

// UnmarshalYAML reads a field of a file.
func (s *span) UnmarshalYAML(node *yaml.Node) error { return atLine(node, s.UnmarshalText) }

// seconds is how the API has it; nil stays nil.
func (s *span) seconds() *int64 {
	if s == nil {
		return nil
	}
	return new(int64(time.Duration(*s) / time.Second))
}

// secondsText is a number of seconds as span reads it.
func secondsText(n int64) string {
	const day = 24 * 60 * 60
	var b strings.Builder
	for _, unit := range []struct {
		name string
		size int64
	}{{"d", day}, {"h", 60 * 60}, {"m", 60}, {"s", 1}} {
		if n >= unit.size {
			fmt.Fprintf(&b, "%d%s", n/unit.size, unit.name)
			n %= unit.size
		}
	}
	if b.Len() == 0 {
		return "0"
	}
	return b.String()
}

// byteCount is a size as operators write it: 2GiB, 500MiB, or a number of bytes.
type byteCount int64

// UnmarshalText reads a flag.
func (c *byteCount) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "KMGTiB")
	shift, ok := map[string]int{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[string(text[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 || n<<shift>>shift != n {
		return fmt.Errorf("%q is not like 2GiB, 500MiB or 1048576", text)
	}
	*c = byteCount(n << shift)
	return nil
}

// UnmarshalYAML reads a field of a file.
func (c *byteCount) UnmarshalYAML(node *yaml.Node) error { return atLine(node, c.UnmarshalText) }

// bytes is how the API has it; nil stays nil.
func (c *byteCount) bytes() *int64 { return (*int64)(c) }

// atLine tells where in a file the fault is. As a TypeError it is told with the others.
func atLine(node *yaml.Node, unmarshal func([]byte) error) error {
	if err := unmarshal([]byte(node.Value)); err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %v", node.Line, err)}}
	}
	return nil
}
