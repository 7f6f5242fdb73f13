package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// settings are the flags of the commands that read a configuration.
type settings struct {
	configs   list
	vars      list
	logLevel  string
	logFormat string
}

var (
	logLevels  = []string{"trace", "debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

// add adds the settings to a command's flags.
func (s *settings) add(flags *flag.FlagSet) {
	flags.Var(&s.configs, "config", "read `FILE`, or every *.hcl file of a directory; may be repeated")
	flags.Var(&s.vars, "var", "set a variable: `NAME=VALUE`; may be repeated")
	flags.StringVar(&s.logLevel, "log-level", "", "`LEVEL` of the log: "+strings.Join(logLevels, ", ")+" (default: log_level, else info)")
	flags.StringVar(&s.logFormat, "log-format", "", "`FORMAT` of the log: "+strings.Join(logFormats, ", ")+" (default: log_format, else text)")
}

// parse parses the flags of a command that takes no other arguments.
func (s *settings) parse(env *environment, flags *flag.FlagSet, args []string) (status int, ok bool) {
	if status, ok = parse(env, flags, args); !ok {
		return status, false
	}
	problem := ""
	switch {
	case flags.NArg() > 0:
		problem = fmt.Sprintf("unexpected argument %q", flags.Arg(0))
	case len(s.configs) == 0:
		problem = "-config is missing: name a file or a directory of *.hcl files"
	case s.logLevel != "" && !slices.Contains(logLevels, s.logLevel):
		problem = fmt.Sprintf("-log-level %q is none of %s", s.logLevel, strings.Join(logLevels, ", "))
	case s.logFormat != "" && !slices.Contains(logFormats, s.logFormat):
		problem = fmt.Sprintf("-log-format %q is none of %s", s.logFormat, strings.Join(logFormats, ", "))
	}
	problem = cmp.Or(s.vars.misuse(), problem)
	if problem != "" {
		fmt.Fprintf(env.stderr, "%s: %s\n", flags.Name(), problem)
		return exitUsage, false
	}
	return exitOK, true
}

// misuse says what is wrong with values given with -var.
func (l list) misuse() string {
	for _, v := range l {
		if name, _, found := strings.Cut(v, "="); !found || name == "" {
			return fmt.Sprintf("-var %q is not NAME=VALUE", v)
		}
	}
	return ""
}

// variables returns the values given with -var. A later one wins.
func (s *settings) variables() map[string]string {
	vars := make(map[string]string)
	for _, v := range s.vars {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	return vars
}

// logger returns a logger with the settings of the flags, or else those of the configuration.
func (s *settings) logger(w io.Writer, level, format string) hclog.Logger {
	if s.logLevel != "" {
		level = s.logLevel
	}
	if s.logFormat != "" {
		format = s.logFormat
	}
	return hclog.New(&hclog.LoggerOptions{
		Level:      hclog.LevelFromString(level),
		Output:     w,
		JSONFormat: format == "json",
	})
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ", ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}
