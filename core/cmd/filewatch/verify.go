package main

import (
	"errors"
	"fmt"

	"github.com/filewatch/filewatch/core/internal/control"
	"github.com/filewatch/filewatch/core/internal/status"
)

// runVerify lists how the destinations of a sync differ from its source. It fails when they do, unless
// everything was mended.
func runVerify(env *environment, args []string) int {
	r := newRequest(env, "verify")
	repair := r.flags.Bool("repair", false, "mend the differences")
	asJSON := r.flags.Bool("json", false, "print an object a line for each difference")
	if status, ok := r.parse(args, true); !ok {
		return status
	}
	ctx, stop := interruptible()
	defer stop()
	report, err := r.client.Status(ctx, r.name)
	if err != nil {
		return r.failed(ctx, err)
	}
	several := false
	for _, s := range report.Syncs {
		several = len(s.Destinations) > 1
	}
	var printed error // the first that went wrong
	note := func(err error) {
		if printed == nil && err != nil {
			printed = fmt.Errorf("print the differences: %w", err)
		}
	}
	seen := map[control.Difference]bool{} // an entry may come twice
	err = r.client.Verify(ctx, r.name, *repair, func(d control.Difference) {
		if seen[d] {
			return
		}
		seen[d] = true
		if *asJSON {
			note(encode(env.stdout, d, ""))
			return
		}
		where := ""
		if several {
			where = status.Quote(d.Destination) + ": "
		}
		_, err := fmt.Fprintf(env.stdout, "%s%s %s\n", where, status.Escape(d.Kind), status.Escape(d.Path))
		note(err)
	})
	// Even with nobody to read them, differences are mended.
	if err := errors.Join(err, printed); err != nil {
		return r.failed(ctx, err)
	}
	switch {
	case len(seen) == 0:
		fmt.Fprintf(env.stderr, "%s: no differences\n", r.name)
	case *repair:
		fmt.Fprintf(env.stderr, "%s: differences found and mended: %d\n", r.name, len(seen))
	default:
		fmt.Fprintf(env.stderr, "%s: differences found: %d; filewatch verify %s -repair mends them\n", r.name, len(seen), r.name)
		return exitFailed
	}
	return exitOK
}
