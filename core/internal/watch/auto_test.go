package watch

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/fstype"
)

func TestAutoChoosesByFileSystem(t *testing.T) {
	tests := []struct {
		name string
		kind fstype.Type
		err  error
		want string
	}{
		{"local", fstype.Type{}, nil, "local"},
		{"network", fstype.Type{Name: "NFS", Remote: true}, nil, "remote"},
		{"missing", fstype.Type{}, errors.New("no such directory"), "local"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var took, root string
			watcher := func(name string) sdk.Watcher {
				return watchFunc(func(_ context.Context, req sdk.WatchRequest, _ sdk.Reporter) error {
					took, root = name, req.Root
					return nil
				})
			}
			a := &Auto{Local: watcher("local"), Remote: watcher("remote"), Logger: hclog.NewNullLogger(),
				remote: func(string) (fstype.Type, error) { return tt.kind, tt.err }}
			if err := a.Watch(t.Context(), sdk.WatchRequest{Root: "/r"}, nil); err != nil {
				t.Fatal(err)
			}
			if took != tt.want || root != "/r" {
				t.Errorf("took %s for %s, want %s", took, root, tt.want)
			}
		})
	}
}
