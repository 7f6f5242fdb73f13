package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/filewatch/filewatch/core/internal/control"
	"github.com/filewatch/filewatch/core/internal/status"
)

// runPause stops the transfers of a sync.
func runPause(env *environment, args []string) int {
	return steer(env, args, "pause", func(ctx context.Context, c *control.Client, name string) ([]string, error) {
		return []string{name + ": paused until filewatch resume " + name}, c.Pause(ctx, name)
	})
}

// runResume ends a pause.
func runResume(env *environment, args []string) int {
	return steer(env, args, "resume", func(ctx context.Context, c *control.Client, name string) ([]string, error) {
		return []string{name + ": resumed"}, c.Resume(ctx, name)
	})
}

// runResync has everything compared.
func runResync(env *environment, args []string) int {
	return steer(env, args, "resync", func(ctx context.Context, c *control.Client, name string) ([]string, error) {
		return []string{name + ": everything will be compared; filewatch status " + name + " tells how far that is"}, c.Resync(ctx, name)
	})
}

// runApprove lets what is held through, once.
func runApprove(env *environment, args []string) int {
	return steer(env, args, "approve", func(ctx context.Context, c *control.Client, name string) ([]string, error) {
		words, err := c.Approve(ctx, name)
		if errors.As(err, new(*control.NotRunningError)) {
			err = fmt.Errorf("%w\nwhat a run with -once has held, the next one lets through with -approve %s", err, name)
		}
		return approvedWords(name, words), err
	})
}

func approvedWords(name string, words []string) []string {
	for i := range words {
		words[i] = name + ": approved: " + words[i]
	}
	return words
}

// steer asks a daemon to do something to one sync, and prints what it has done.
func steer(env *environment, args []string, command string, do func(ctx context.Context, c *control.Client, name string) ([]string, error)) int {
	r := newRequest(env, command)
	if status, ok := r.parse(args, true); !ok {
		return status
	}
	ctx, stop := interruptible()
	defer stop()
	words, err := do(ctx, r.client, r.name)
	if err != nil {
		return r.failed(ctx, err)
	}
	for _, line := range words {
		fmt.Fprintln(env.stdout, status.Escape(line))
	}
	return exitOK
}
