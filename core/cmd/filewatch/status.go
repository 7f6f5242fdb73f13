package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/filewatch/filewatch/core/internal/status"
)

// watchInterval is how often -watch asks: often enough for a person, and a daemon answers in a millisecond.
const watchInterval = time.Second

// runStatus shows the state of a daemon. It succeeds when it could ask, whatever that state is.
func runStatus(env *environment, args []string) int {
	r := newRequest(env, "status")
	v := &view{env: env}
	r.flags.BoolVar(&v.json, "json", false, "print JSON; with -watch an object a line")
	watch := r.flags.Bool("watch", false, "go on until interrupted: live on a terminal, else print the state whenever it has changed")
	if status, ok := r.parse(args, false); !ok {
		return status
	}
	ctx, stop := interruptible()
	defer stop()
	report, err := r.client.Status(ctx, r.name)
	if err != nil {
		return r.failed(ctx, err)
	}
	if *watch {
		err = v.watch(ctx, report, func(ctx context.Context) (status.Report, error) { return r.client.Status(ctx, r.name) })
	} else {
		err = v.print(report)
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "%s: %v\n", r.flags.Name(), err)
		return exitFailed
	}
	return exitOK
}

// view shows reports.
type view struct {
	env  *environment
	json bool
	last any // shown by change: a status.Report, or the text of an error
}

// print shows one report.
func (v *view) print(report status.Report) error {
	if v.json {
		return encode(v.env.stdout, report, "  ")
	}
	columns, _, _ := terminalSize(v.env.stdout)
	_, err := io.WriteString(v.env.stdout, report.Text(columns))
	return err
}

// watch shows a report and those that ask returns, until ctx ends or nobody reads any more. A daemon that is
// away for a while is no reason to end.
func (v *view) watch(ctx context.Context, report status.Report, ask func(context.Context) (status.Report, error)) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	whenClosed(v.env.stdout, cancel)
	for ctx.Err() == nil {
		var failed error
		if columns, rows, ok := terminalSize(v.env.stdout); ok && !v.json {
			failed = v.draw(report, err, columns, rows)
		} else {
			failed = v.add(report, err)
		}
		if failed != nil {
			return failed
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchInterval):
			report, err = ask(ctx)
		}
	}
	return nil
}

// draw replaces what the terminal shows.
func (v *view) draw(report status.Report, err error, columns, rows int) error {
	text := report.Text(columns)
	if err != nil {
		text = status.Escape(err.Error()) + "\n"
	}
	_, err = io.WriteString(v.env.stdout, screen(text, columns, rows))
	return err
}

// add shows a report or why there is none, unless that is what was shown last.
func (v *view) add(report status.Report, err error) error {
	var seen any
	if err != nil {
		seen = err.Error()
	} else {
		timeless := report
		timeless.Now = time.Time{}
		seen = timeless
	}
	first, same := v.last == nil, reflect.DeepEqual(seen, v.last)
	v.last = seen
	switch {
	case same:
		return nil
	case err != nil:
		fmt.Fprintf(v.env.stderr, "filewatch status: %s\n", status.Escape(err.Error()))
		return nil
	case v.json:
		return encode(v.env.stdout, report, "")
	}
	text := report.Text(0)
	if !first {
		text = "\n" + text
	}
	_, err = io.WriteString(v.env.stdout, text)
	return err
}

// encode writes a value as JSON that a person can read too.
func encode(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}
