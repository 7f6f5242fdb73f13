package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Load reads files, and the *.hcl files of directories, as one configuration. vars are the values
// of variables given on the command line.
//
// It reports every problem of every block. The Config is never nil; with errors it holds what
// could be read, and is not Complete.
func Load(paths []string, vars map[string]string) (*Config, hcl.Diagnostics) {
	cfg := &Config{Files: map[string]*hcl.File{}}
	names, diags := files(paths)
	var bodies []*hclsyntax.Body
	for _, name := range names {
		file, more := parse(name)
		diags = append(diags, more...)
		if file != nil {
			cfg.Files[name] = file
			bodies = append(bodies, file.Body.(*hclsyntax.Body))
		}
	}
	// What is left of a file after a syntax error is guesswork, and so would be further findings.
	if !diags.HasErrors() {
		diags = append(diags, cfg.decode(bodies, vars)...)
	}
	cfg.Complete = !diags.HasErrors()
	return cfg, Tidy(diags)
}

// Checksum tells one state of files from another.
type Checksum [sha256.Size]byte

// Sum returns the checksum of what Load would read now. Equal ones mean that it would read the same.
func Sum(paths []string) (sum Checksum) {
	h := sha256.New()
	names, diags := files(paths)
	for _, name := range names {
		src, err := os.ReadFile(name)
		fmt.Fprintf(h, "%q %q %v\n", name, src, err)
	}
	fmt.Fprintln(h, diags)
	h.Sum(sum[:0])
	return sum
}

// files returns the files that paths stand for, in order, each once.
func files(paths []string) (names []string, diags hcl.Diagnostics) {
	seen := map[string]bool{}
	add := func(name string) {
		abs, err := filepath.Abs(name)
		if err != nil {
			abs = name
		}
		if !seen[abs] {
			seen[abs] = true
			names = append(names, name)
		}
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			diags = append(diags, problem("Configuration not found", "There is no file or directory %q. Check the path given with -config.", path))
		case err != nil:
			diags = append(diags, problem("Configuration not readable", "The configuration cannot be read: %s.", err))
		case !info.IsDir():
			add(path)
		default:
			found, err := directory(path)
			if err != nil {
				diags = append(diags, problem("Configuration not readable", "The configuration cannot be read: %s.", err))
			} else if len(found) == 0 {
				diags = append(diags, problem("No configuration", "The directory %q holds no file whose name ends in \".hcl\".", path))
			}
			for _, name := range found {
				add(name)
			}
		}
	}
	if len(paths) == 0 {
		diags = append(diags, problem("No configuration", "Give a file or a directory of *.hcl files with -config."))
	}
	return names, diags
}

// directory returns the *.hcl files of dir, sorted, but not the hidden ones, among which are the
// lock files of editors.
func directory(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		if !strings.HasSuffix(name, ".hcl") || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		// A link that leads nowhere is kept, for its file is missing from the configuration.
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

func parse(name string) (*hcl.File, hcl.Diagnostics) {
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, hcl.Diagnostics{problem("Configuration not readable", "The configuration cannot be read: %s.", err)}
	}
	if !utf8.Valid(src) {
		at := hcl.Range{Filename: name, Start: invalid(src), End: invalid(src)}
		// The text of the line is not shown: it could not be printed as it is.
		return nil, hcl.Diagnostics{errorf(at, "Invalid UTF-8", "Line %d, column %d is not valid UTF-8, as configuration files must be. If it is the name of a directory, give the directory another name, for example by a symbolic link, and write that.", at.Start.Line, at.Start.Column)}
	}
	return hclsyntax.ParseConfig(src, name, hcl.InitialPos)
}

// invalid returns the position of the first byte that is not UTF-8.
func invalid(src []byte) hcl.Pos {
	i := 0
	for i < len(src) {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	line := src[bytes.LastIndexByte(src[:i], '\n')+1 : i]
	return hcl.Pos{Line: 1 + bytes.Count(src[:i], []byte{'\n'}), Column: 1 + utf8.RuneCount(line), Byte: i}
}

// problem is an error that belongs to no place in a file.
func problem(summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...)}
}

// Tidy returns diagnostics in the order of the files' names and lines, each once: hcl reports the
// attributes of a block in random order, and several syncs can share one mistaken default.
func Tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	place := func(d *hcl.Diagnostic) hcl.Range {
		if d.Subject == nil {
			return hcl.Range{}
		}
		return *d.Subject
	}
	sorted := slices.SortedStableFunc(slices.Values(diags), func(a, b *hcl.Diagnostic) int {
		pa, pb := place(a), place(b)
		return cmp.Or(cmp.Compare(pa.Filename, pb.Filename), cmp.Compare(pa.Start.Byte, pb.Start.Byte), cmp.Compare(pa.End.Byte, pb.End.Byte))
	})
	type key struct {
		severity        hcl.DiagnosticSeverity
		summary, detail string
		at              hcl.Range
	}
	seen := map[key]bool{}
	return slices.DeleteFunc(sorted, func(d *hcl.Diagnostic) bool {
		k := key{d.Severity, d.Summary, d.Detail, place(d)}
		again := seen[k]
		seen[k] = true
		return again
	})
}
