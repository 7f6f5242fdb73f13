//go:build !linux

package pluginhost

import "os"

func openFilePath(f *os.File) string { return f.Name() }

func ownExecutable() (string, error) { return os.Executable() }
