//go:build !linux

package tree

import "errors"

// exchange swaps two entries in one instant, which this system cannot.
func exchange(_, _ string) error { return errors.ErrUnsupported }
