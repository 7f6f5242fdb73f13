package config

import (
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// units are those of a size.
var units = map[string]uint64{
	"": 1, "B": 1,
	"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}

// size reads a number of bytes, or a text such as "100MB", of 10^6 bytes each, or "64MiB", of 2^20.
func (r *reader) size(attr *hcl.Attribute) (out Value[uint64]) {
	s := r.string(attr)
	if s.Origin == Unset {
		return out
	}
	digits := strings.TrimRight(s.V, "BbKkMmGgTtIi ")
	unit, known := units[strings.ToUpper(strings.TrimSpace(s.V[len(digits):]))]
	// ParseUint takes digits alone: no sign, no space, no fraction.
	n, err := strconv.ParseUint(digits, 10, 64)
	over, bytes := bits.Mul64(n, unit)
	if err != nil || !known || over > 0 || bytes > math.MaxInt64 {
		r.errorf(s.Range, "Invalid size", "%q is no size. Write a whole number of bytes, or one with a unit, such as \"100MB\" or \"64MiB\"; 0 turns it off.", s.V)
		return out
	}
	return Value[uint64]{bytes, r.origin, s.Range}
}

// maxCount is more than anybody can mean.
const maxCount = 1_000_000

// count reads a whole number; 0 when it is left out or wrong.
func (r *reader) count(attr *hcl.Attribute) int {
	s := r.string(attr)
	if s.Origin == Unset {
		return 0
	}
	n, err := strconv.ParseUint(s.V, 10, 64)
	if err != nil || n > maxCount {
		r.errorf(s.Range, "Invalid number", "%q is no number of %s. Write a whole number from 1 to %d, or 0 for no limit.", s.V, attr.Name, maxCount)
		return 0
	}
	return int(n)
}
