package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/agext/levenshtein"
)

// Program says which executable is a plugin. The zero Path means one that is built in.
type Program struct {
	Name   string // [a-z][a-z0-9-]*
	Path   string // absolute
	SHA256 string // of the file, in hexadecimal; "" = not checked
}

// pluginName keeps names out of trouble in paths, logs and process lists.
var pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// check reports a Program that can never be run.
func (p Program) check(builtins []string) error {
	if !pluginName.MatchString(p.Name) {
		return fmt.Errorf("%q cannot be the name of a plugin: use a-z, 0-9 and -, and start with a letter", p.Name)
	}
	if p.Path == "" && !slices.Contains(builtins, p.Name) {
		return unknownPlugin(p.Name, slices.Sorted(slices.Values(builtins)))
	}
	if p.Path != "" && !filepath.IsAbs(p.Path) {
		return fmt.Errorf("plugin %s: path %q is not absolute", p.Name, p.Path)
	}
	return nil
}

// unknownPlugin says what there is instead.
func unknownPlugin(name string, known []string) error {
	text := fmt.Sprintf("there is no plugin %q", name)
	for _, k := range known {
		// Two slips of the finger at most.
		if levenshtein.Distance(name, k, nil) <= 2 {
			text += fmt.Sprintf("; did you mean %q?", k)
			break
		}
	}
	if len(known) > 0 {
		text += " (known: " + strings.Join(known, ", ") + ")"
	}
	return errors.New(text + fmt.Sprintf("; a plugin that is not built in needs a block plugin %q with its path", name))
}

// executable is a checked file, ready to be run. It stays open until it has been started.
type executable struct {
	path string   // for exec
	args []string // with the name of the program
	file *os.File // nil for built-in plugins
}

func (e *executable) close() {
	if e.file != nil {
		_ = e.file.Close() // it was only read
	}
}

// openExternal checks the file of a plugin that is not built in.
func openExternal(p Program) (_ *executable, err error) {
	// A FIFO would hold up the daemon otherwise.
	f, err := os.OpenFile(p.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // it was only read
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("%s is not a file", p.Path)
	case mode.Perm()&0o111 == 0:
		return nil, fmt.Errorf("%s is not executable: run chmod +x on it", p.Path)
	case mode.Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s can be written by others (mode %#o): run chmod go-w on it", p.Path, mode.Perm())
	}
	exe := &executable{path: p.Path, args: []string{p.Path}, file: f}
	if p.SHA256 == "" {
		return exe, nil
	}
	start := make([]byte, 2)
	if _, err := f.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return nil, fmt.Errorf("read %s: %w", p.Path, err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); !strings.EqualFold(sum, p.SHA256) {
		return nil, fmt.Errorf("%s is not the file that was expected: its sha256 is %s, the configuration says %s",
			p.Path, sum, p.SHA256)
	}
	// What was read is what runs, even if somebody replaces the file now. The interpreter of a script
	// opens it once more by its name, and finds the script's neighbours by it.
	if string(start) != "#!" {
		exe.path = openFilePath(f)
	}
	return exe, nil
}
