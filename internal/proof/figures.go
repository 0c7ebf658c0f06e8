package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// row is one line of the table.
type row struct {
	name string
	of   func(f *figures) string
}

func number(of func(f *figures) int) func(f *figures) string {
	return func(f *figures) string { return thousands(of(f)) }
}

var rows = []row{
	{"opens asked for", number(func(f *figures) int { return f.opens() })},
	{"calls: POST, GET", func(f *figures) string { return thousands(f.posts) + ", " + thousands(f.gets) }},
	{"tickets served", number(func(f *figures) int { return f.served })},
	{"… once more to the same claim key", number(func(f *figures) int { return f.repeats })},
	{"refused (410)", number(func(f *figures) int { return f.refused })},
	{"not spent (503)", number(func(f *figures) int { return f.unavailable })},
	{"found unopened (GET, 409)", number(func(f *figures) int { return f.notOpened })},
	{"unknown: client aborted", number(func(f *figures) int { return f.unknown[aborted] })},
	{"unknown: connection broke", number(func(f *figures) int { return f.unknown[broken] })},
	{"unknown: 503 in an outage", number(func(f *figures) int { return f.unknown[outage] })},
	{"kill -9 of a replica", number(func(f *figures) int { return f.kills })},
	{"crashes of the database", number(func(f *figures) int { return f.crashes })},
	{"spent, nobody served: client aborted", number(func(f *figures) int { return f.lost[aborted] })},
	{"spent, nobody served: connection broke", number(func(f *figures) int { return f.lost[broken] })},
	{"spent, nobody served: 503 in an outage", number(func(f *figures) int { return f.lost[outage] })},
	{"spent, nobody served, unexplained", number(func(f *figures) int { return f.wasted })},
	{"duration, s", func(f *figures) string { return fmt.Sprintf("%.1f", f.took.Seconds()) }},
	{"opens/s", func(f *figures) string { return thousands(int(float64(f.opens()) / f.took.Seconds())) }},
	{"checking, s", func(f *figures) string { return fmt.Sprintf("%.1f", f.checked.Seconds()) }},
	{"**double serves**", number(func(f *figures) int { return f.doubles })},
	{"**porcupine**", func(f *figures) string {
		if f.verdict.illegal+f.verdict.unknown > 0 {
			return f.verdict.String()
		}
		return fmt.Sprintf("Ok × %s", thousands(f.verdict.legal))
	}},
	{"seed", func(f *figures) string { return strconv.FormatUint(f.seed, 10) }},
}

// table writes the figures as a table of Markdown, a column for each shape.
func table(w io.Writer, all []*figures) error {
	lines := make([][]string, len(rows)+1)
	lines[0] = []string{"tickets × openers"}
	for _, f := range all {
		lines[0] = append(lines[0], thousands(f.Tickets)+" × "+thousands(f.Openers))
	}
	for i, r := range rows {
		lines[i+1] = []string{r.name}
		for _, f := range all {
			lines[i+1] = append(lines[i+1], r.of(f))
		}
	}
	width := make([]int, len(all)+1)
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&b, "| %-*s |", width[0], line[0])
		for j, cell := range line[1:] {
			fmt.Fprintf(&b, " %*s |", width[j+1], cell)
		}
		b.WriteString("\n")
		if i == 0 {
			fmt.Fprintf(&b, "|%s|", strings.Repeat("-", width[0]+2))
			for j := range line[1:] {
				fmt.Fprintf(&b, "%s:|", strings.Repeat("-", width[j+1]+1))
			}
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// thousands is 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
