//go:build !linux

package rsync

import (
	"context"

	"github.com/filewatch/filewatch/sdk/run"
)

func (s *session) rsh() []string { return s.shell }

func (s *session) start(ctx context.Context, c run.Command) (*run.Process, error) {
	return run.Start(ctx, c)
}
