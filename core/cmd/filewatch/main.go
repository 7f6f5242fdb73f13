// Command filewatch keeps directories in step with other machines.
//
// Usage:
//
//	filewatch -config sync.hcl            run until SIGINT or SIGTERM; SIGHUP, or an edit of the
//	                                      files, has just what has changed begin anew
//	filewatch -config sync.hcl -once      one full sync of every block
//	filewatch validate -config sync.hcl   check the configuration
//	filewatch status [NAME]               show the state of a running daemon
//	filewatch flush [NAME]                wait until every change made before is confirmed
//	filewatch pause|resume NAME           stop the transfers of a sync, and go on
//	filewatch resync NAME                 compare everything now
//	filewatch approve NAME                let what is held through, once
//	filewatch verify NAME                 compare, and list or mend the differences
//	filewatch fmt [FILE|DIRECTORY ...]    format configuration files
//	filewatch version
//
// The exit status is 0 when all was done, 1 when something failed, and 2 for a mistake in the usage or
// the configuration.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
)

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// version is set by the build.
var version = "unknown"

// command is one subcommand; the daemon itself is the one without a name.
type command struct {
	name    string
	args    string // of the usage line
	summary string
	run     func(env *environment, args []string) int
}

// environment is what a command may use of its process.
type environment struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func commands() []command {
	return []command{
		{"", "-config FILE|DIRECTORY [-once [-approve NAME]]", "keep everything in step; with -once, one full sync", runDaemon},
		{"validate", "-config FILE|DIRECTORY", "check the configuration, print what goes where", runValidate},
		{"status", "[NAME] [-json] [-watch]", "show the state of a running daemon", runStatus},
		{"flush", "[NAME] [-timeout 30s]", "wait until every change made before is confirmed", runFlush},
		{"pause", "NAME", "stop the transfers of a sync", runPause},
		{"resume", "NAME", "go on with them", runResume},
		{"resync", "NAME", "compare everything now", runResync},
		{"approve", "NAME", "let what is held through, once", runApprove},
		{"verify", "NAME [-repair]", "compare, and list or mend the differences", runVerify},
		{"fmt", "[-check] [FILE|DIRECTORY ...]", "format configuration files; - is standard input", runFormat},
		{"version", "", "print the version", runVersion},
	}
}

func main() {
	// A plugin process must come up quickly and know nothing of flags and configuration.
	if len(os.Args) == 3 && os.Args[1] == "plugin" {
		os.Exit(servePlugin(os.Args[2]))
	}
	os.Exit(run(&environment{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}

func run(env *environment, args []string) int {
	all := commands()
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
		if i < 0 && args[0] != "help" {
			fmt.Fprintf(env.stderr, "filewatch: unknown command %q\n", args[0])
		}
		if i < 0 {
			return usage(env, args[0] == "help")
		}
		return all[i].run(env, args[1:])
	}
	if len(args) == 0 {
		return usage(env, false)
	}
	return all[0].run(env, args)
}

// usage prints how filewatch is called: as a result when it was asked for, else as an error.
func usage(env *environment, asked bool) int {
	out, status := env.stderr, exitUsage
	if asked {
		out, status = env.stdout, exitOK
	}
	fmt.Fprintln(out, "Usage:")
	for _, c := range commands() {
		line := "filewatch"
		if c.name != "" {
			line += " " + c.name
		}
		fmt.Fprintf(out, "  %s\n        %s\n", line+" "+c.args, c.summary)
	}
	fmt.Fprintln(out, "\nfilewatch [COMMAND] -help lists the options of a command.")
	return status
}

// parse parses the flags of a command. When ok is false the command ends with the status.
func parse(env *environment, flags *flag.FlagSet, args []string) (status int, ok bool) {
	flags.SetOutput(env.stderr)
	flags.Usage = func() {}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(env.stdout)
		if flags.Name() == "filewatch" {
			usage(env, true)
		}
		fmt.Fprintf(env.stdout, "Options of %s:\n", flags.Name())
		flags.PrintDefaults()
		return exitOK, false
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "%s -help lists the options.\n", flags.Name())
		return exitUsage, false
	}
	return exitOK, true
}

func runVersion(env *environment, args []string) int {
	if len(args) > 0 {
		fmt.Fprintln(env.stderr, "filewatch version takes no arguments.")
		return exitUsage
	}
	fmt.Fprintln(env.stdout, "filewatch", version)
	return exitOK
}
