package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Abs makes a path on this machine absolute without looking at the disk: relative to dir, with
// "~" for the home directory of who runs filewatch. It is not cleaned: with symbolic links, "a/../b" need
// not be "b".
func Abs(dir, path string) (string, error) {
	switch {
	case path == "":
		return "", errors.New("the path is empty")
	case strings.ContainsRune(path, 0):
		return "", fmt.Errorf("the path %q holds a NUL byte, which no file name can", path)
	case path == "~" || strings.HasPrefix(path, "~/"):
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("expand %q: %w; write the directory in full", path, err)
		}
		path = home + path[1:]
	case path[0] == '~':
		return "", fmt.Errorf("the home directory in %q is not known here; write it in full, or \"./%s\" if that is its name", path, path)
	}
	if filepath.IsAbs(path) {
		return path, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir + string(filepath.Separator) + path, nil
}
