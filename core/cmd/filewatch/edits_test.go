package main

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/filewatch/filewatch/core/internal/config"
)

// Whatever makes the configuration read otherwise is noticed, and nothing else.
func TestEditsAreNoticed(t *testing.T) {
	t.Parallel()
	const base = `mkdir conf real; echo 1 > conf/sync.hcl; echo 2 > real/r.hcl; ln -s ../real/r.hcl conf/link.hcl
mkdir -p maps/..1; echo 3 > maps/..1/m.hcl; ln -s ..1 maps/..data; ln -s ..data/m.hcl maps/m.hcl
mkdir -p "releases/1 a"; echo 4 > "releases/1 a/c.hcl"; ln -s "releases/1 a" current`
	for _, test := range []struct{ name, config, edit string }{
		{"written in place", "conf/sync.hcl", "echo new >> conf/sync.hcl"},
		{"replaced", "conf/sync.hcl", "echo new > conf/.s.swp; mv conf/.s.swp conf/sync.hcl"},
		{"replaced by a copy with a backup", "conf/sync.hcl", "mv conf/sync.hcl conf/sync.hcl~; echo new > conf/sync.hcl"},
		{"removed", "conf/sync.hcl", "rm conf/sync.hcl"},
		{"what a link leads to", "conf/link.hcl", "echo new > real/t; mv real/t real/r.hcl"},
		{"the link", "conf/link.hcl", "echo new > real/o; ln -sfn ../real/o conf/link.hcl"},
		{"a mounted config map", "maps/m.hcl", "mkdir maps/..2; echo new > maps/..2/m.hcl; ln -s ..2 maps/..tmp; mv -T maps/..tmp maps/..data"},
		{"a link above", "current/c.hcl", "mkdir releases/2; echo new > releases/2/c.hcl; ln -sfn releases/2 current"},
		{"a directory gets another file", "conf", "echo new > conf/z.hcl"},
		{"a directory loses one", "conf", "rm conf/sync.hcl"},
		{"the directory is replaced", "conf", "mkdir n; echo new > n/sync.hcl; mv conf old; mv n conf"},
		{"its directory is replaced", "conf/sync.hcl", "mkdir n; echo new > n/sync.hcl; mv conf old; mv n conf"},
		{"its directory is removed and comes back", "conf/sync.hcl", "rm -r conf; sleep 1.2; mkdir conf; sleep 1.2; echo new > conf/sync.hcl"},
		{"by a path with dots", "conf/../real/./r.hcl", "echo new > real/r.hcl"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			shell(t, dir, base)
			paths := []string{dir + "/" + test.config}
			ctx, cancel := context.WithCancel(t.Context())
			edited := make(chan struct{}, 1)
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			wg.Go(func() { watchEdits(ctx, paths, config.Sum(paths), edited, hclog.NewNullLogger()) })

			shell(t, dir, "echo > conf/unrelated; touch conf/sync.hcl real/r.hcl; cat conf/*; sleep 1")
			select {
			case <-edited:
				t.Fatal("it was not edited")
			default:
			}
			shell(t, dir, test.edit)
			for want := config.Sum(paths); ; {
				select {
				case <-edited:
				case <-time.After(patience):
					t.Fatal("the edit was not noticed")
				}
				if config.Sum(paths) == want {
					return // what was half way has been told as well
				}
			}
		})
	}
}

// What happens between the first reading and the first look is noticed too.
func TestEditsBeforeTheFirstLook(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sync.hcl")
	writeFile(t, file, "1")
	seen := config.Sum([]string{file})
	writeFile(t, file, "2")
	ctx, cancel := context.WithCancel(t.Context())
	edited := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { watchEdits(ctx, []string{file}, seen, edited, hclog.NewNullLogger()) })
	select {
	case <-edited:
	case <-time.After(patience):
		t.Fatal("the edit was not noticed")
	}
}
