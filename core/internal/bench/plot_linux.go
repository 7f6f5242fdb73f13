package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The measures of a plot, in pixels.
const (
	plotWidth  = 840
	labelWidth = 380
	valueWidth = 90
	barHeight  = 18
	lineHeight = 30
	headHeight = 40
	footHeight = 24
)

const plotStyle = `text { font: 13px sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 15px }
.axis { stroke: #8c959f; stroke-width: 0.5 } .tick { font-size: 11px; fill: #6e7781 }
.bar { fill: #8c959f } .ours { fill: #2da44e } .spread { stroke: #57606a; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .tick { fill: #8b949e } .bar { fill: #6e7681 } .ours { fill: #3fb950 } .spread { stroke: #c9d1d9 }
}`

// plot returns an SVG of the result: for each line a bar that ends at the median, on a logarithmic scale, and
// a thin one from the least to the most.
func plot(r *result) string {
	lines := r.ordered()
	low, high := math.Inf(1), 0.0
	for _, l := range lines {
		if v := l.quantile(0); v > 0 {
			low = min(low, v)
		}
		high = max(high, l.quantile(1))
	}
	if high <= 0 {
		low, high = 1, 10 // everything is 0
	}
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if first == math.Log10(low) || first == last {
		first-- // a bar of no length is not seen
	}
	x := func(v float64) float64 {
		if v <= 0 {
			return labelWidth
		}
		return labelWidth + (math.Log10(v)-first)/(last-first)*(plotWidth-labelWidth-valueWidth)
	}
	height := headHeight + lineHeight*len(lines) + footHeight
	var w strings.Builder
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n<style>%s</style>\n", plotWidth, height, plotWidth, height, plotStyle)
	fmt.Fprintf(&w, `<text class="title" x="8" y="22">%s, %s</text>`+"\n", escape(r.title), escape(r.unit))
	bottom := height - footHeight
	for decade := first; decade <= last; decade++ {
		at := x(math.Pow(10, decade))
		fmt.Fprintf(&w, `<line class="axis" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, at, headHeight-6, at, bottom)
		fmt.Fprintf(&w, `<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, bottom+16, escape(tick(math.Pow(10, decade))))
	}
	for i, l := range lines {
		top := headHeight + i*lineHeight
		middle := top + barHeight/2
		class, value := "bar", number(l.p50())
		if len(l.samples) == 0 {
			value = "> 1 min"
		}
		if strings.HasPrefix(l.name, filewatch.name) {
			class = "bar ours"
		}
		least, median, most := x(l.quantile(0)), x(l.p50()), x(l.quantile(1))
		fmt.Fprintf(&w, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, middle+5, escape(l.name))
		fmt.Fprintf(&w, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`, class, labelWidth, top, median-labelWidth, barHeight)
		fmt.Fprintf(&w, `<line class="spread" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, least, middle, most, middle)
		fmt.Fprintf(&w, `<text x="%.1f" y="%d">%s</text>`+"\n", max(median, most)+6, middle+5, value)
	}
	w.WriteString("</svg>\n")
	return w.String()
}

// ordered returns the lines, the least first.
func (r *result) ordered() []*line {
	return slices.SortedStableFunc(slices.Values(r.lines), func(a, b *line) int {
		switch d := a.p50() - b.p50(); {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
		return 0
	})
}

func tick(v float64) string {
	if v >= 1 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%g", v)
}

func escape(text string) string {
	var w strings.Builder
	_ = xml.EscapeText(&w, []byte(text)) // a Builder never fails
	return w.String()
}
