package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report is all that was measured.
type report struct {
	Machine machine  `json:"machine"`
	Runs    int      `json:"runs"`
	Quick   bool     `json:"quick,omitempty"`
	Figures []figure `json:"figures"`
	Layers  []layer  `json:"layers,omitempty"`

	progress io.Writer
}

// add adds a figure, and tells it.
func (r *report) add(f figure) {
	r.Figures = append(r.Figures, f)
	fmt.Fprintln(r.progress, f)
}

// write prints the report as Markdown, for the README.
func (r report) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	if len(r.Figures) > 0 {
		fmt.Fprintf(w, "Medians of %d runs in turn on %s:\n\n", r.Runs, r.Machine)
		fmt.Fprintln(tw, "|\t|\t| plain server\t| Mayfly\t| ratio (lowest to highest)\t| target\t|\t|")
		fmt.Fprintln(tw, "|---\t|---\t|---:\t|---:\t|---:\t|---:\t|---\t|")
		for _, f := range r.Figures {
			fmt.Fprintf(tw, "| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n", f.Scenario, f.What,
				f.plain(), f.Unit.format(f.Mayfly), f.ratio(), f.target(), f.verdict())
		}
	}
	if len(r.Layers) > 0 {
		fmt.Fprint(tw, "\nWhere the processor time of an open of 64 KiB goes, client included:\n\n")
		fmt.Fprintln(tw, "| layer\t| µs\t| share\t|")
		fmt.Fprintln(tw, "|---\t|---:\t|---:\t|")
		for _, l := range r.Layers {
			fmt.Fprintf(tw, "| %s\t| %.0f\t| %.0f %%\t|\n", l.Name, l.Micros, 100*l.Share)
		}
	}
	if r.Quick {
		fmt.Fprintln(tw, "\nWith --quick, a tenth of the work: these figures mean little.")
	}
	return tw.Flush()
}
