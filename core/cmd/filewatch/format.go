package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// runFormat rewrites configuration files in the usual HCL layout and prints the names of those it
// changed.
func runFormat(env *environment, args []string) int {
	flags := flag.NewFlagSet("filewatch fmt", flag.ContinueOnError)
	check := flags.Bool("check", false, "change nothing; exit with 1 if a file is not formatted")
	if status, ok := parse(env, flags, args); !ok {
		return status
	}
	targets := flags.Args()
	if len(targets) == 0 {
		targets = []string{"."}
	}
	if len(targets) == 1 && targets[0] == "-" {
		return formatInput(env, *check)
	}
	status := exitOK
	for _, target := range targets {
		files := []string{target}
		if info, err := os.Stat(target); err == nil && info.IsDir() {
			// The pattern is valid, and a directory without files has nothing to format.
			files, _ = filepath.Glob(filepath.Join(target, "*.hcl"))
		}
		for _, file := range files {
			changed, err := formatFile(env, file, *check)
			if err != nil {
				fmt.Fprintf(env.stderr, "filewatch fmt: %v\n", err)
				status = exitUsage
				continue
			}
			if changed {
				fmt.Fprintln(env.stdout, file)
				if *check {
					status = max(status, exitFailed)
				}
			}
		}
	}
	return status
}

// formatInput formats standard input to standard output.
func formatInput(env *environment, check bool) int {
	source, err := io.ReadAll(env.stdin)
	if err != nil {
		fmt.Fprintf(env.stderr, "filewatch fmt: read standard input: %v\n", err)
		return exitFailed
	}
	formatted, err := format(env, "standard input", source)
	switch {
	case err != nil:
		fmt.Fprintf(env.stderr, "filewatch fmt: %v\n", err)
		return exitUsage
	case !check:
		_, err = env.stdout.Write(formatted)
	case !bytes.Equal(source, formatted):
		return exitFailed
	}
	if err != nil {
		return exitFailed
	}
	return exitOK
}

// formatFile formats one file in place and reports whether that changes it.
func formatFile(env *environment, file string, check bool) (changed bool, err error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	formatted, err := format(env, file, source)
	if err != nil || bytes.Equal(source, formatted) {
		return false, err
	}
	if check {
		return true, nil
	}
	return true, replaceFile(file, formatted)
}

// format returns source in the usual layout. A file with a syntax error is left alone, for its layout
// is a guess.
func format(env *environment, name string, source []byte) ([]byte, error) {
	parser := hclparse.NewParser()
	if _, diags := parser.ParseHCL(source, name); diags.HasErrors() {
		writeDiagnostics(env.stderr, parser.Files(), diags)
		return nil, fmt.Errorf("%s: not formatted because of the errors above", name)
	}
	return hclwrite.Format(source), nil
}

// replaceFile gives a file new contents: a reader sees the old or the new ones, never a part.
func replaceFile(file string, contents []byte) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	// A link stays a link: what it leads to is replaced.
	file, err = filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails once it has been renamed, as it should
	if _, err = temp.Write(contents); err == nil {
		err = temp.Chmod(info.Mode().Perm())
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", temp.Name(), err)
	}
	return os.Rename(temp.Name(), file)
}

// writeDiagnostics shows findings with the lines they are about.
func writeDiagnostics(w io.Writer, files map[string]*hcl.File, diags hcl.Diagnostics) {
	out := hcl.NewDiagnosticTextWriter(w, files, 100, false)
	if err := out.WriteDiagnostics(diags); err != nil {
		fmt.Fprintln(w, diags.Error())
	}
}
