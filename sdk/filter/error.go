package filter

import "fmt"

// PatternError says what is wrong with one pattern of a list.
type PatternError struct {
	Index   int // of the pattern in the list, from 0
	Pattern string
	Reason  string // what is wrong and what to do
}

func (e *PatternError) Error() string {
	return fmt.Sprintf("exclude pattern %q: %s", e.Pattern, e.Reason)
}
