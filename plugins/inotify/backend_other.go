//go:build !linux

package inotify

var defaultBackend backend = watchFsnotify
