package sdk

import "errors"

// Unavailable marks err as "the other side cannot be reached": everything stays as it is and is tried
// again soon.
func Unavailable(err error) error { return &classified{err, classUnavailable} }

// Misconfigured marks err as "it will not work until a person mends something". filewatch shows the
// text as an error, so it says what to do, and tries again with growing pauses.
func Misconfigured(err error) error { return &classified{err, classMisconfigured} }

// RootLost marks err as "the root is missing, or is no longer the directory it was".
func RootLost(err error) error { return &classified{err, classRootLost} }

// IsUnavailable reports whether err, from a Client, was marked by Unavailable, or the plugin itself
// was out of reach.
func IsUnavailable(err error) bool { return classOf(err) == classUnavailable }

// IsMisconfigured reports whether err was marked by Misconfigured.
func IsMisconfigured(err error) bool { return classOf(err) == classMisconfigured }

// IsRootLost reports whether err was marked by RootLost.
func IsRootLost(err error) bool { return classOf(err) == classRootLost }

type class uint8

const (
	classOther class = iota
	classUnavailable
	classMisconfigured
	classRootLost
)

type classified struct {
	err   error
	class class
}

func (c *classified) Error() string { return c.err.Error() }
func (c *classified) Unwrap() error { return c.err }

func classOf(err error) class {
	if c, ok := errors.AsType[*classified](err); ok {
		return c.class
	}
	return classOther
}
