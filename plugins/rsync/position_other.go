//go:build !linux

package rsync

func positionOf(int, []string) position { return position{} }
