package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/core/internal/control"
	"github.com/filewatch/filewatch/core/internal/status"
)

// request is a command that asks a running daemon.
type request struct {
	env     *environment
	flags   *flag.FlagSet
	configs list
	vars    list
	name    string // of the sync; "" = all
	client  *control.Client
}

// newRequest returns a command whose flags can be added to.
func newRequest(env *environment, command string) *request {
	r := &request{env: env, flags: flag.NewFlagSet("filewatch "+command, flag.ContinueOnError)}
	r.flags.Var(&r.configs, "config", "ask the daemon that runs with `FILE`, or a directory of *.hcl files, whose state_dir tells which that is; may be repeated (default: the daemon with the usual state directory)")
	r.flags.Var(&r.vars, "var", "set a variable of the configuration: `NAME=VALUE`; may be repeated")
	return r
}

// parse reads the arguments: flags, and the name of a sync, before or after them. When ok is false the
// command ends with the status.
func (r *request) parse(args []string, named bool) (status int, ok bool) {
	var names []string
	for {
		if status, ok := parse(r.env, r.flags, args); !ok {
			return status, false
		}
		if r.flags.NArg() == 0 {
			break
		}
		names = append(names, r.flags.Arg(0))
		args = r.flags.Args()[1:]
	}
	switch {
	case len(names) > 1:
		return r.misused("unexpected argument %q: one sync at a time", names[1])
	case len(names) == 1 && names[0] == "":
		return r.misused("the name of the sync is empty")
	case len(names) == 1:
		r.name = names[0]
	case named:
		return r.misused("the name of a sync is missing; filewatch status lists them")
	}
	if problem := r.vars.misuse(); problem != "" {
		return r.misused("%s", problem)
	}
	dir := r.stateDir()
	if dir == "" {
		return exitUsage, false
	}
	r.client = control.New(dir)
	return exitOK, true
}

func (r *request) misused(format string, args ...any) (status int, ok bool) {
	fmt.Fprintf(r.env.stderr, "%s: %s\n", r.flags.Name(), fmt.Sprintf(format, args...))
	return exitUsage, false
}

// stateDir returns the state directory of the configuration, which need not be right otherwise: an operator
// who has broken it still wants to know how the daemon is. It returns "", having said why, when it cannot
// be told.
func (r *request) stateDir() string {
	s := settings{configs: r.configs, vars: r.vars}
	if len(s.configs) == 0 {
		s.configs = list{os.DevNull} // says nothing, so that what it leaves out is as usual
	}
	cfg, diags := config.Load(s.configs, s.variables())
	if !diags.HasErrors() || literalStateDir(cfg.Files) {
		if cfg.StateDir != "" {
			return cfg.StateDir
		}
	}
	writeDiagnostics(r.env.stderr, cfg.Files, diags)
	r.misused("which daemon is meant cannot be told because of the errors above")
	return ""
}

// literalStateDir reports whether no file says what the state directory is, or one does without the help of
// other parts.
func literalStateDir(files map[string]*hcl.File) bool {
	for _, file := range files {
		attr, ok := file.Body.(*hclsyntax.Body).Attributes["state_dir"]
		if !ok {
			continue
		}
		if _, diags := attr.Expr.Value(nil); diags.HasErrors() {
			return false
		}
	}
	return true
}

// interruptible returns a context that SIGINT and SIGTERM end.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
}

// failed says why the daemon was not asked, or cannot do what it was asked, and returns the exit status.
func (r *request) failed(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	// One line for each destination.
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		fmt.Fprintf(r.env.stderr, "%s: %s\n", r.flags.Name(), status.Escape(line))
	}
	if errors.As(err, new(*control.NotRunningError)) {
		for _, other := range r.client.Others(ctx) {
			fmt.Fprintf(r.env.stderr, "One runs with the state directory %[1]s (pid %[2]d). To ask that: -config with its configuration, or STATE_DIRECTORY=%[1]s in the environment.\n", status.Quote(other.StateDir), other.PID)
		}
		fmt.Fprintln(r.env.stderr, "filewatch -config FILE starts one.")
	}
	answer := (*control.Error)(nil)
	if errors.As(err, &answer) && (answer.Status == http.StatusNotFound || answer.Status == http.StatusBadRequest) {
		return exitUsage
	}
	return exitFailed
}
