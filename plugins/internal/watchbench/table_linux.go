package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// samples are the values of one figure.
type samples []float64

func (s samples) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// least returns the least sample alone, if there is one.
func (s samples) least() samples { return slices.Sorted(slices.Values(s))[:min(1, len(s))] }

// most returns the greatest sample alone, if there is one.
func (s samples) most() samples { return slices.Sorted(slices.Values(s))[max(0, len(s)-1):] }

// String returns the median, and the least and the most where there are several.
func (s samples) String() string {
	switch len(s) {
	case 0:
		return "-"
	case 1:
		return number(s[0])
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median()), number(slices.Min(s)), number(slices.Max(s)))
}

// number returns v with three digits or so.
func number(v float64) string {
	switch {
	case v >= 99.95 || v <= -99.95 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995 || v <= -9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// figures are the samples of one column, by figure.
type figures map[string]samples

func (f figures) add(name string, v float64) { f[name] = append(f[name], v) }

// column is what is measured of one program.
type column struct {
	name string
	figures
}

// printTable prints a table: one line for each figure.
func printTable(out io.Writer, lines []string, columns []column) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, c := range columns {
		fmt.Fprint(w, "\t", c.name)
	}
	fmt.Fprintln(w)
	for _, name := range lines {
		row := name
		for _, c := range columns {
			row += "\t" + c.figures[name].String()
		}
		fmt.Fprintln(w, strings.TrimRight(row, "\t"))
	}
	_ = w.Flush()
}
