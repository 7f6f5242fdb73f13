package rsync

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	wire "github.com/filewatch/filewatch/sdk/plugintest/proxy"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
	"github.com/filewatch/filewatch/sdk/run"
)

// counted returns a fixture whose destination is reached through a private sshd and a proxy that counts.
func counted(t *testing.T, c sshd.Config) (*fixture, *wire.Proxy) {
	t.Helper()
	f, server := remote(t, c)
	p := wire.Start(t, fmt.Sprintf("%s:%d", server.Host, server.Port))
	ssh := f.config().SSH
	ssh.Port, ssh.Options = p.Port, map[string]string{"HostKeyAlias": fmt.Sprintf("[%s]:%d", server.Host, server.Port)}
	return f, p
}

// random makes a file that cannot be compressed.
func (f *fixture) random(root, name string, size int) {
	f.t.Helper()
	p := filepath.Join(root, name)
	f.must(os.MkdirAll(filepath.Dir(p), 0o755))
	data := make([]byte, size)
	seed := [32]byte{0: byte(rand.Uint32()), 1: byte(rand.Uint32()), 2: byte(rand.Uint32())}
	_, _ = rand.NewChaCha8(seed).Read(data) // never fails
	f.must(os.WriteFile(p, data, 0o644))
}

// move renames at the source and returns what the dirty set says about it.
func (f *fixture) move(from, to string) []sdk.Change {
	f.t.Helper()
	f.must(os.Rename(filepath.Join(f.src, from), filepath.Join(f.src, to)))
	info, err := os.Lstat(filepath.Join(f.src, to))
	f.must(err)
	c := sdk.Change{Path: to, From: from}
	if info.IsDir() {
		c.Scope = sdk.ScopeSubtree
	}
	return []sdk.Change{{Path: from}, c}
}

const mega = 1 << 20

// renameCase is something that is done at the source, and tells of it.
type renameCase struct {
	name   string
	change func() []sdk.Change
	max    int64 // bytes on the wire
}

// renames runs the cases, one after the other.
func (f *fixture) renames(t *testing.T, p *wire.Proxy, cases []renameCase) {
	defer func() { f.t = t }()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f.t = t
			changes := append(tc.change(), sdk.Change{})
			before := p.Passed()
			res := f.sync(changes...)
			f.equal(tree.Options{})
			if n := p.Passed() - before; n > tc.max {
				t.Errorf("%d bytes on the wire, want at most %d; %+v", n, tc.max, res)
			}
		})
	}
}

// What is renamed is not sent again, and is the very same file at the destination.
func TestRename(t *testing.T) {
	f, p := counted(t, sshd.Config{})
	const size = 64 * mega
	for i := range 8 {
		f.random(f.src, fmt.Sprintf("d/e%d/f", i), size/8)
	}
	f.write(f.src, "other/x", "live/y")
	f.random(f.src, "new/z", 2*mega)
	f.random(f.src, "file", 2*mega)
	f.random(f.src, "log", 2*mega)
	f.sync(subtrees("")...)

	f.renames(t, p, []renameCase{
		{"a directory", func() []sdk.Change { return f.move("d", "n") }, size / 100},
		{"into another directory", func() []sdk.Change { return f.move("n", "other/n") }, size / 100},
		{"and to the top", func() []sdk.Change { return f.move("other/n", "d") }, size / 100},
		{"twice", func() []sdk.Change {
			c := f.move("d", "tmp")
			c = append(c, f.move("tmp", "n")...)
			return []sdk.Change{c[0], c[2], {Path: "n", Scope: sdk.ScopeSubtree, From: "d"}}
		}, size / 100},
		{"out of one that is renamed, too", func() []sdk.Change {
			return append(f.move("n/e0", "e0"), f.move("n", "d")...)
		}, size / 100},
		{"with something new in it", func() []sdk.Change {
			c := f.move("d", "n")
			f.random(f.src, "n/e1/new", 1000)
			f.random(f.src, "n/e2/f", 1000)
			f.must(os.Remove(filepath.Join(f.src, "n/e3/f")))
			return c
		}, size / 100},
		{"something new under the former name", func() []sdk.Change {
			c := f.move("n", "d")
			f.write(f.src, "n/e0/f", "n/e1/g")
			c[0].Scope = sdk.ScopeSubtree
			return c
		}, size / 100},
		{"old, and new in its place", func() []sdk.Change {
			f.must(os.RemoveAll(filepath.Join(f.src, "old")))
			a, b := f.move("live", "old"), f.move("new", "live")
			a[0] = sdk.Change{Path: "live", Scope: sdk.ScopeSubtree, From: "new"}
			return append(a, b[0])
		}, mega / 4},
		{"a file", func() []sdk.Change { return f.move("file", "other/file") }, mega / 4},
		{"a log that is rotated", func() []sdk.Change {
			c := f.move("log", "log.1")
			f.write(f.src, "log")
			return c
		}, mega / 4},
	})
}

// The same for what goes into directories that are new.
func TestRenameIntoNew(t *testing.T) {
	f, p := counted(t, sshd.Config{})
	const size = 64 * mega
	for i := range 4 {
		f.random(f.src, fmt.Sprintf("d/%d/f", i), size/4)
	}
	f.sync(subtrees("")...)
	f.renames(t, p, []renameCase{
		{"one", func() []sdk.Change {
			f.write(f.src, "new/dir/")
			return append(f.move("d", "new/dir/d"), subtrees("new")...)
		}, size / 100},
		{"out of one that is gone", func() []sdk.Change {
			c := f.move("new/dir/d", "d")
			f.must(os.RemoveAll(filepath.Join(f.src, "new/dir")))
			return append(c, sdk.Change{Path: "new/dir"})
		}, size / 100},
		{"several, with something else", func() []sdk.Change {
			f.write(f.src, "p/", "q/x", "q/r/y")
			f.must(os.Chmod(filepath.Join(f.src, "q/r"), 0o711))
			var c []sdk.Change
			for i, to := range []string{"p/0", "p/f", "q/2", "q/r/f"} {
				from := fmt.Sprint("d/", i)
				if i%2 == 1 {
					from += "/f"
				}
				c = append(c, f.move(from, to)...)
			}
			return append(c, subtrees("p", "q")...)
		}, size / 100},
		{"into one that is renamed", func() []sdk.Change {
			c := f.move("p", "o")
			f.write(f.src, "o/s/")
			return append(c, f.move("q/2", "o/s/2")...)
		}, size / 100},
		{"old, and into a new one in its place", func() []sdk.Change {
			c := f.move("o", "old")
			f.write(f.src, "o/")
			c[0].Scope = sdk.ScopeSubtree
			return append(c, f.move("q/r/f", "o/f")...)
		}, size / 100},
		{"much at once", func() []sdk.Change {
			f.write(f.src, "m/")
			c := subtrees("m")
			for _, from := range []string{"o", "old", "q", "d"} {
				c = append(c, f.move(from, "m/"+from)...)
			}
			return c
		}, size / 100},
	})
}

// A rename is no deletion.
func TestRenameDeletesNothing(t *testing.T) {
	f := local(t)
	for i := range 300 {
		f.write(f.src, fmt.Sprintf("d/%d", i))
	}
	f.sync(subtrees("")...)
	f.req.MaxDelete = 1
	res := f.sync(f.move("d", "n")...)
	f.equal(tree.Options{})
	if res.Deleted > 0 || res.Created > 0 || res.Withheld.Count > 0 {
		t.Errorf("%+v", res)
	}
	f.write(f.src, "new/dir/")
	res = f.sync(append(f.move("n", "new/dir/d"), subtrees("new")...)...)
	f.equal(tree.Options{})
	if res.Deleted > 0 || res.Withheld.Count > 0 {
		t.Errorf("into a new directory: %+v", res)
	}
}

// inode tells whether a file is the same as before; 0 = there is none. It stays open until the end of the test,
// so that no other one gets its number.
func (f *fixture) inode(p string) uint64 {
	file, err := os.Open(filepath.Join(f.dst, p))
	if err != nil {
		return 0
	}
	f.t.Cleanup(func() { _ = file.Close() })
	info, err := file.Stat()
	f.must(err)
	return info.Sys().(*syscall.Stat_t).Ino
}

// A rename that is not possible, or must not be, is a transfer.
func TestRenameThatIsNone(t *testing.T) {
	outside := t.TempDir()
	for _, tc := range []struct {
		name   string
		setup  func(f *fixture) // before and after the first transfer
		change func(f *fixture) []sdk.Change
		moved  bool   // the destination has done it all the same
		at     string // instead of n
		left   tree.Options
		wants  func(f *fixture) // at the destination then; nil = equal
	}{
		{name: "possible", moved: true},
		{name: "nothing under the former name", setup: func(f *fixture) { f.must(os.RemoveAll(filepath.Join(f.dst, "d"))) }},
		{name: "something under the new name", setup: func(f *fixture) { f.write(f.dst, "n/x") }},
		{name: "a dangling symlink under the new name", setup: func(f *fixture) { f.must(os.Symlink("nowhere", filepath.Join(f.dst, "n"))) }},
		{name: "a symlink to a directory under the new name", setup: func(f *fixture) { f.must(os.Symlink(outside, filepath.Join(f.dst, "n"))) }},
		{name: "the new parent is a symlink", at: "p/n",
			setup: func(f *fixture) {
				f.must(os.Remove(filepath.Join(f.dst, "p")))
				f.must(os.Symlink(outside, filepath.Join(f.dst, "p")))
			}},
		{name: "no new parent", at: "p/n", setup: func(f *fixture) { f.must(os.Remove(filepath.Join(f.dst, "p"))) }},
		{name: "into a new directory", at: "new/x/n", moved: true, change: func(f *fixture) []sdk.Change {
			f.write(f.src, "new/x/")
			f.must(os.Chmod(filepath.Join(f.src, "new"), 0o711))
			return append(f.move("d", "new/x/n"), subtrees("new")...)
		}},
		{name: "into a new directory, what the destination has lost", at: "new/n",
			setup: func(f *fixture) { f.must(os.RemoveAll(filepath.Join(f.dst, "d"))) },
			change: func(f *fixture) []sdk.Change {
				f.write(f.src, "new/")
				return append(f.move("d", "new/n"), subtrees("new")...)
			}},
		{name: "into a new directory that is a symlink", at: "new/n",
			setup: func(f *fixture) { f.must(os.Symlink(outside, filepath.Join(f.dst, "new"))) },
			change: func(f *fixture) []sdk.Change {
				f.write(f.src, "new/")
				return append(f.move("d", "new/n"), subtrees("new")...)
			}},
		{name: "into a new directory that is a file", at: "new/n",
			setup: func(f *fixture) { f.write(f.dst, "new") },
			change: func(f *fixture) []sdk.Change {
				f.write(f.src, "new/")
				return append(f.move("d", "new/n"), subtrees("new")...)
			}},
		{name: "into a new directory that has something", at: "new/n", moved: true,
			setup: func(f *fixture) { f.write(f.dst, "new/old/x") },
			change: func(f *fixture) []sdk.Change {
				f.write(f.src, "new/")
				return append(f.move("d", "new/n"), subtrees("new")...)
			}},
		{name: "the hint is wrong", change: func(f *fixture) []sdk.Change {
			f.must(os.CopyFS(filepath.Join(f.src, "n"), os.DirFS(filepath.Join(f.src, "d"))))
			return []sdk.Change{{Path: "n", Scope: sdk.ScopeSubtree, From: "d"}}
		}},
		{name: "nothing under the new name at the source", moved: false, change: func(f *fixture) []sdk.Change {
			c := f.move("d", "n")
			f.must(os.RemoveAll(filepath.Join(f.src, "n")))
			return c
		}},
		{name: "only the directory is to be compared", change: func(f *fixture) []sdk.Change {
			c := f.move("d", "n")
			c[1].Scope = sdk.ScopePath
			return c
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := local(t)
			f.random(f.src, "d/f", 2*mega)
			f.write(f.src, "p/")
			f.write(outside, "keep")
			f.sync(subtrees("")...)
			if tc.setup != nil {
				tc.setup(f)
			}
			before := f.inode("d/f")
			to := orElse(tc.at, "n")
			var changes []sdk.Change
			if tc.change != nil {
				changes = tc.change(f)
			} else {
				changes = f.move("d", to)
			}
			res := f.sync(append(changes, sdk.Change{})...)
			f.equal(tree.Options{})
			if moved := f.inode(to+"/f") == before && before != 0; moved != tc.moved {
				t.Errorf("renamed %v; %+v", moved, res)
			}
			if entries, _ := os.ReadDir(outside); len(entries) != 1 {
				t.Errorf("outside: %v", entries)
			}
		})
	}
}

func TestRenameWithoutDelete(t *testing.T) {
	f := local(t)
	f.random(f.src, "d/f", 2*mega)
	f.sync(subtrees("")...)
	f.req.Delete = false
	f.sync(f.move("d", "n")...)
	if !f.exists("d/f") || !f.exists("n/f") {
		t.Error("not both names at the destination")
	}
}

// What is excluded travels along when it stays excluded, as it did at the source; otherwise nothing is moved.
func TestRenameExcluded(t *testing.T) {
	for _, tc := range []struct {
		exclude []string
		moved   bool
	}{
		{[]string{"*.keep", "cache/"}, true},
		{[]string{"/d/cache/"}, false},
		{[]string{"d/cache"}, false},
		{[]string{"/d/**.keep"}, false},
		{[]string{"n"}, false},
		{[]string{"d/"}, false},
	} {
		f := local(t)
		f.random(f.src, "d/f", 2*mega)
		f.sync(subtrees("")...)
		f.write(f.dst, "d/cache/x", "d/y.keep")
		f.req.Exclude = tc.exclude
		before := f.inode("d/f")
		protected := []string{"d/cache/x", "d/y.keep"}
		fl, err := f.tr.open(f.req, nil)
		f.must(err)
		f.sync(f.move("d", "n")...)
		if moved := f.inode("n/f") == before; moved != tc.moved {
			t.Errorf("%q: renamed %v", tc.exclude, moved)
		}
		for _, p := range protected {
			if fl.filter.Excluded(p, false) && !f.exists(p) && !f.exists("n"+p[1:]) {
				t.Errorf("%q: %s is gone", tc.exclude, p)
			}
		}
	}
}

func TestRenameHostileNames(t *testing.T) {
	f, _ := remote(t, sshd.Config{Env: map[string]string{"LC_ALL": "C.UTF-8"}})
	f.tr.minRename = 0
	names := append(tree.HostileNames(), "`touch oops`", "$(touch oops)", "a'b\"c\n'", "\\'", "-n")
	for i, n := range names {
		f.write(f.src, fmt.Sprintf("%d/f", i))
		f.must(os.Mkdir(filepath.Join(f.src, n), 0o755))
	}
	f.sync(subtrees("")...)
	// Into hostile directories under hostile names, and out of them.
	for _, to := range []func(int) string{
		func(i int) string { return names[i] + "/" + names[i] },
		func(i int) string { return fmt.Sprint(i) },
	} {
		was := make([]uint64, len(names))
		var changes []sdk.Change
		for i, n := range names {
			from := n + "/" + n
			if to(i) == from {
				from = fmt.Sprint(i)
			}
			was[i] = f.inode(from + "/f")
			changes = append(changes, f.move(from, to(i))...)
		}
		f.sync(append(changes, sdk.Change{})...)
		f.equal(tree.Options{})
		for i := range names {
			if f.inode(to(i)+"/f") != was[i] {
				t.Errorf("%q was not renamed", to(i))
			}
		}
	}
}

// FuzzShellQuote lets a real shell take apart what is quoted.
func FuzzShellQuote(f *testing.F) {
	for _, s := range append(tree.HostileNames(), "", "'", "\\'", "$x`id`", "a\nb\n") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			t.Skip("no name has a NUL")
		}
		var out bytes.Buffer
		exit, err := run.Run(t.Context(), run.Command{
			Path: "sh", Env: []string{"LC_ALL=C"}, Stdin: strings.NewReader("printf %s " + shellQuote(s)), Stdout: &out,
		})
		if err != nil || !exit.OK() || out.String() != s {
			t.Errorf("%q became %q: %v, %v", s, out.String(), exit, err)
		}
	})
}

// FuzzMoves has the real script do any move: nothing outside the destination changes, and nothing in it is lost.
func FuzzMoves(f *testing.F) {
	for _, m := range []move{{from: "a", to: "b"}, {from: "d/x", to: "x"}, {from: "a", to: "d"}, {from: "a", to: "link/a"}, {from: "link/keep", to: "k"},
		{from: "../outside/keep", to: "k"}, {from: "a", to: "../outside/b"}, {from: "link", to: "l"}, {from: "a", to: "gone/b"}, {from: "", to: ""}, {from: "d", to: "d/e"}} {
		f.Add(m.from, m.to)
	}
	f.Fuzz(func(t *testing.T, from, to string) {
		if strings.ContainsRune(from+to, 0) {
			t.Skip("no name has a NUL")
		}
		x := local(t)
		x.write(x.dst, "a", "d/x")
		outside := filepath.Join(filepath.Dir(x.dst), "outside")
		x.write(outside, "keep")
		x.must(os.Symlink(outside, filepath.Join(x.dst, "link")))
		before := snap(t, outside)
		s, err := x.tr.open(x.req, nil)
		x.must(err)
		_, _ = s.doMoves(t.Context(), []move{{from: from, to: to}})
		if diff := changed(before, snap(t, outside)); len(diff) > 0 {
			t.Errorf("changed outside: %q", diff)
		}
		if n := len(snap(t, x.dst)); n != 4 {
			t.Errorf("%d entries, there were 4", n)
		}
	})
}

// renames returns changes for what differs between two looks at the source, with hints by inode numbers: a
// number that is given again makes a wrong one.
func renames(before, after map[string]uint64, changed []string) []sdk.Change {
	had := map[uint64]string{}
	for p, ino := range before {
		if after[p] != ino {
			had[ino] = p
		}
	}
	var changes []sdk.Change
	for _, p := range changed {
		c := sdk.Change{Path: p}
		if ino, ok := after[p]; ok && before[p] != ino {
			c.Scope, c.From = sdk.ScopeSubtree, had[ino]
		}
		changes = append(changes, c)
	}
	return changes
}

func inodes(t *testing.T, root string) map[string]uint64 {
	all := map[string]uint64{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		info, err := d.Info()
		all[strings.TrimPrefix(p, root+"/")] = info.Sys().(*syscall.Stat_t).Ino
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever the hints, right or wrong, the trees are equal.
func TestRenameChurn(t *testing.T) {
	for seed := range uint64(tree.Seeds(t, 3)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			f, _ := remote(t, sshd.Config{})
			f.tr.minRename = 0
			c := tree.NewChurn(seed, f.src, tree.ChurnOptions{Without: tree.HardLinks})
			c.LogOnFailure(t)
			c.Run(100)
			f.sync(subtrees("")...)
			rng := rand.New(rand.NewPCG(seed, 2))
			hints := 0
			for range churnRounds {
				before, inodesBefore := snap(t, f.src), inodes(t, f.src)
				c.Run(1 + rng.IntN(40))
				changes := renames(inodesBefore, inodes(t, f.src), changed(before, snap(t, f.src)))
				for i := range changes {
					if rng.IntN(10) == 0 {
						changes[i].From = changes[rng.IntN(len(changes))].Path
					}
					if changes[i].From != "" {
						hints++
					}
				}
				f.sync(append(changes, sdk.Change{})...)
				f.equal(tree.Options{})
			}
			t.Logf("%d hints", hints)
		})
	}
}

// A far end that runs rsync alone is asked once for each connection.
func TestRenameRefused(t *testing.T) {
	for name, force := range map[string]string{
		"rsync only":    `case "$SSH_ORIGINAL_COMMAND" in rsync\ --server*) exec $SSH_ORIGINAL_COMMAND;; *) echo refused >&2; exit 1;; esac`,
		"echoes":        `case "$SSH_ORIGINAL_COMMAND" in rsync\ --server*) exec $SSH_ORIGINAL_COMMAND;; *) exec cat;; esac`,
		"another rsync": `case "$SSH_ORIGINAL_COMMAND" in rsync\ --server*) exec $SSH_ORIGINAL_COMMAND;; *) exec rsync --server -logDtpre.iLsfxC . /;; esac`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := filepath.Join(t.TempDir(), "force")
			if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$SSH_ORIGINAL_COMMAND\" >>"+script+".asked\n"+force+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			f, _ := remote(t, sshd.Config{Lines: []string{"ForceCommand " + script}})
			f.config().Standby = 0
			f.random(f.src, "d/f", 2*mega)
			f.sync(subtrees("")...)
			for i := range 3 {
				from := fmt.Sprint("d", i)
				if i == 0 {
					from = "d"
				}
				f.sync(append(f.move(from, fmt.Sprint("d", i+1)), sdk.Change{})...)
				f.equal(tree.Options{})
			}
			asked, err := os.ReadFile(script + ".asked")
			f.must(err)
			if n := bytes.Count(asked, []byte("sh\n")); n != 1 {
				t.Errorf("%d other commands, want one:\n%s", n, asked)
			}
			if len(f.tr.mute) != 1 {
				t.Errorf("%d connections are known to run no commands", len(f.tr.mute))
			}
		})
	}
}

func TestRenameDaemon(t *testing.T) {
	f := daemon(t, "")
	f.random(f.src, "d/f", 2*mega)
	f.sync(subtrees("")...)
	f.sync(append(f.move("d", "n"), sdk.Change{})...)
	f.equal(tree.Options{})
}

// A connection that ends in the middle leaves nothing that the next try does not mend.
func TestRenameIsCut(t *testing.T) {
	f, p := counted(t, sshd.Config{})
	f.tr.minRename = 0
	for i := range 20 {
		f.write(f.src, fmt.Sprintf("%02d/f", i))
	}
	f.sync(subtrees("")...)
	suffix := ""
	for budget := int64(100); budget < 12000; budget += 4000 {
		var changes []sdk.Change
		for i := range 20 {
			changes = append(changes, f.move(fmt.Sprintf("%02d%s", i, suffix), fmt.Sprintf("%02d%sx", i, suffix))...)
		}
		suffix += "x"
		p.CutAfter(budget)
		_, _ = f.try(changes...)
		p.CutAfter(0)
		f.sync(append(changes, sdk.Change{})...)
		f.equal(tree.Options{})
	}
}

func TestInOrder(t *testing.T) {
	for _, tc := range []struct{ name, moves, want string }{
		{"independent", "a>b c>d", "a>b c>d"},
		{"the place is emptied first", "new>live live>old", "live>old new>live"},
		{"only what it takes", "new>live live>old- a>b-", "live>old new>live"},
		{"rotated", "log>log.1 log.1>log.2 log.2>log.3", "log.2>log.3 log.1>log.2 log>log.1"},
		{"what is inside leaves first", "p>q p/x>y", "p/x>y p>q"},
		{"into what comes in its place", "a>p/x p>q", "p>q a>p/x"},
		{"what is inside leaves first, before the place is taken", "a>p/x p>q p/x>y", "p/x>y p>q a>p/x"},
		{"a name is no prefix", "p>q p-x>y p/x>z", "p/x>z p>q p-x>y"},
		{"into what comes", "a>q/x p>q", "p>q a>q/x"},
		{"into what comes, which alone is too little", "a>q/r/x p>q-", "p>q a>q/r/x"},
		{"along with what comes", "p>q p/x>q/y", "p>q"},
		{"along with what comes, found first", "o>p p/x>q/y p>q", "p>q o>p"},
		{"along with what leaves, into what takes its place", "p>q p/x>p/y", "p>q"},
		{"a circle", "a>b b>a c>d", "c>d"},
		{"into a circle", "a>b b>a c>b/d", "c>b/d"},
		{"two of one name", "a>b a>c", "a>b"},
	} {
		var moves []move
		for word := range strings.FieldsSeq(tc.moves) {
			from, to, _ := strings.Cut(word, ">")
			moves = append(moves, move{from: from, to: strings.TrimSuffix(to, "-"), worth: !strings.HasSuffix(to, "-")})
		}
		var got []string
		for _, m := range inOrder(moves) {
			got = append(got, m.from+">"+m.to)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
