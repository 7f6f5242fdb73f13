package main

import (
	"fmt"
	"math"
	"slices"
)

// samples are the values of one figure.
type samples []float64

// quantile returns the least value that at least the part q of the values do not exceed; 0 if there are none.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, int(math.Ceil(q*float64(len(s))))-1)]
}

func (s samples) p50() float64 { return s.quantile(0.5) }
func (s samples) p95() float64 { return s.quantile(0.95) }

// number returns v with three digits or so.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.0995:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}
