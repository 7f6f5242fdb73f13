package rsync

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// fixture is a transport with a source and a destination.
type fixture struct {
	t   testing.TB
	tr  *transport
	src string
	dst string
	req sdk.SyncRequest
}

// local returns a fixture whose destination is a directory on this machine.
func local(t testing.TB) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, tr: newTransport(), src: filepath.Join(dir, "src"), dst: filepath.Join(dir, "dst")}
	f.must(os.Mkdir(f.src, 0o755))
	f.must(os.Mkdir(f.dst, 0o755))
	t.Cleanup(func() {
		if err := f.tr.Close(); err != nil {
			t.Error(err)
		}
	})
	f.req = sdk.SyncRequest{
		Sync:        "test",
		ID:          "1",
		Attempt:     1,
		Source:      f.src,
		Destination: sdk.Endpoint{Path: f.dst},
		Delete:      true,
		Config:      defaultConfig(),
	}
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// write makes files; a name that ends in "/" is a directory.
func (f *fixture) write(root string, names ...string) {
	f.t.Helper()
	for _, name := range names {
		p := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			f.must(os.MkdirAll(p, 0o755))
			continue
		}
		f.must(os.MkdirAll(filepath.Dir(p), 0o755))
		f.must(os.WriteFile(p, []byte("content of "+name), 0o644))
	}
}

func (f *fixture) config() *config { return f.req.Config.(*config) }

func (f *fixture) modTime(root, p string) time.Time {
	f.t.Helper()
	info, err := os.Lstat(filepath.Join(root, p))
	f.must(err)
	return info.ModTime()
}

func (f *fixture) exists(p string) bool {
	_, err := os.Lstat(filepath.Join(f.dst, p))
	return err == nil
}

// force makes the transport take the far end for one with these capabilities.
func (f *fixture) force(c caps) {
	f.t.Helper()
	s, err := f.tr.open(f.req, nil)
	f.must(err)
	if f.req.Destination.Scheme == sdk.SchemeSSH {
		s.conn, err = f.tr.connect(f.t.Context(), s)
		f.must(err)
		s.shell = s.conn.shell()
	}
	f.tr.mu.Lock()
	defer f.tr.mu.Unlock()
	f.tr.caps[s.peer()] = probedCaps{c, s.capsKey()}
}

func paths(p ...string) []sdk.Change {
	var changes []sdk.Change
	for _, p := range p {
		changes = append(changes, sdk.Change{Path: p})
	}
	return changes
}

func subtrees(p ...string) []sdk.Change {
	var changes []sdk.Change
	for _, p := range p {
		changes = append(changes, sdk.Change{Path: p, Scope: sdk.ScopeSubtree})
	}
	return changes
}

func (f *fixture) try(changes ...sdk.Change) (sdk.Result, error) {
	req := f.req
	req.Changes = changes
	return f.tr.Sync(f.t.Context(), req, func(sdk.Progress) {})
}

// sync syncs and wants everything confirmed.
func (f *fixture) sync(changes ...sdk.Change) sdk.Result {
	f.t.Helper()
	res, err := f.try(changes...)
	if err != nil {
		f.t.Fatalf("sync: %v", err)
	}
	if len(res.Failed) > 0 {
		f.t.Fatalf("sync: failed: %q", res.Failed)
	}
	return res
}

func (f *fixture) equal(o tree.Options) {
	f.t.Helper()
	diff, err := tree.Diff(f.src, f.dst, o)
	if err != nil || diff != "" {
		f.t.Fatalf("the trees differ: %v\n%s", err, diff)
	}
}

// snapshot holds what tells a change of a path: everything but the content, for ctime changes with it.
type snapshot map[string]string

func snap(t testing.TB, root string) snapshot {
	t.Helper()
	s := snapshot{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || rel == "." {
			return err
		}
		s[rel] = stamp(p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// changed returns the paths that differ between two snapshots: what a watcher would report.
func changed(a, b snapshot) []string {
	var list []string
	for p := range a {
		if b[p] != a[p] {
			list = append(list, p)
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

func describe(res sdk.Result, err error) string { return fmt.Sprintf("%+q, %v", res.Failed, err) }
