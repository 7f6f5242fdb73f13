package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/filewatch/filewatch/core/internal/control"
	"github.com/filewatch/filewatch/core/internal/status"
)

// runFlush waits until every change that was made before is confirmed.
func runFlush(env *environment, args []string) int {
	r := newRequest(env, "flush")
	timeout := r.flags.Duration("timeout", 30*time.Second, "give up after this `TIME`")
	if status, ok := r.parse(args, false); !ok {
		return status
	}
	if *timeout <= 0 {
		status, _ := r.misused("-timeout %v is not above 0", *timeout)
		return status
	}
	ctx, stop := interruptible()
	defer stop()
	err := r.client.Flush(ctx, r.name, *timeout)
	if err == nil {
		return exitOK
	}
	exit := r.failed(ctx, err)
	if answer := (*control.Error)(nil); errors.As(err, &answer) && answer.Status == http.StatusGatewayTimeout {
		r.listPending(ctx)
	}
	return exit
}

// listPending says what is still to be confirmed, and where.
func (r *request) listPending(ctx context.Context) {
	report, err := r.client.Status(ctx, r.name)
	if err != nil {
		return // the timeout is told
	}
	for _, s := range report.Syncs {
		for _, d := range s.Destinations {
			if d.State != status.InSync {
				fmt.Fprintf(r.env.stderr, "%s → %s: %s\n", s.Name, status.Quote(d.Destination), d.Summary(report.Now))
			}
		}
	}
}
