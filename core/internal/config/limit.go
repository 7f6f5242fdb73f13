package config

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// MaxDelete is how many entries may be deleted in one go before somebody is asked: a share of all, or
// a number.
type MaxDelete struct {
	Percent uint64 // 1 to 100, where 100 is no limit; 0 = Count holds instead
	Count   uint64 // at least 1; 0 with a Percent
}

// String returns the limit as one writes it.
func (m MaxDelete) String() string {
	if m.Percent > 0 {
		return strconv.FormatUint(m.Percent, 10) + "%"
	}
	return strconv.FormatUint(m.Count, 10)
}

// maxDelete reads a percentage such as "50%", or a count as a number or a text. There is no zero: some
// would take it for "nothing", others for "no limit".
func (r *reader) maxDelete(attr *hcl.Attribute) (out Value[MaxDelete]) {
	s := r.string(attr)
	if s.Origin == Unset {
		return out
	}
	digits, percent := strings.CutSuffix(s.V, "%")
	// ParseUint takes digits alone: no sign, no space, no fraction.
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case err != nil || n == 0 || percent && n > 100:
		r.errorf(s.Range, "Invalid limit", "%q is no limit for deletions. Write a whole percentage from \"1%%\" to \"100%%\", which is no limit, or a count of 1 or more; to delete nothing, write delete = false.", s.V)
		return out
	case percent:
		return Value[MaxDelete]{MaxDelete{Percent: n}, r.origin, s.Range}
	}
	return Value[MaxDelete]{MaxDelete{Count: n}, r.origin, s.Range}
}
