package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// stateDir reads where the little is kept that must survive a restart: absolute and clean.
func (r *reader) stateDir(attr *hcl.Attribute) string {
	given := r.string(attr)
	if given.Origin == Unset && !r.unset(attr) {
		return "" // and not the usual one, where another daemon may be at home
	}
	if given.Origin == Unset {
		dir, err := defaultStateDir(os.Geteuid(), os.Getenv)
		if err != nil {
			r.diags = append(r.diags, problem("No state directory", "There is no place for what filewatch must remember: %s. Set state_dir to a directory of its own.", err))
		}
		return dir
	}
	dir, err := Abs(filepath.Dir(given.Range.Filename), given.V)
	if err != nil {
		r.errorf(given.Range, "Invalid path", "The state cannot be kept there: %s.", err)
		return ""
	}
	return filepath.Clean(dir)
}

// defaultStateDir is where systemd's StateDirectory= says, and else where the Filesystem Hierarchy Standard
// and the XDG Base Directory Specification put it. The latter says that a relative path in the environment
// is to be ignored.
func defaultStateDir(uid int, getenv func(string) string) (string, error) {
	// It may be a list, see systemd.exec(5).
	if dir, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); filepath.IsAbs(dir) {
		return filepath.Clean(dir), nil
	}
	if uid == 0 {
		return "/var/lib/filewatch", nil
	}
	base := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(base) {
		home := getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", errors.New("neither $XDG_STATE_HOME nor $HOME is set")
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "filewatch"), nil
}
