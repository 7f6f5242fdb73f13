package rsync

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// differences syncs and returns what was listed, sorted, as "kind path".
func (f *fixture) differences(changes ...sdk.Change) ([]string, sdk.Result) {
	f.t.Helper()
	req := f.req
	req.Changes = changes
	var list []string
	res, err := f.tr.Sync(f.t.Context(), req, func(p sdk.Progress) {
		for _, d := range p.Differences {
			list = append(list, fmt.Sprintf("%v %s", d.Kind, d.Path))
		}
	})
	if err != nil {
		f.t.Fatal(err)
	}
	slices.Sort(list)
	return slices.Compact(list), res
}

// differ makes a source and a destination that differ in each way.
func (f *fixture) differ() {
	f.t.Helper()
	f.write(f.src, "same", "content", "mode", "d/new", "d/nl\n\\#012", "newdir/x", "newdir/sub/y", "kind", "dmode/", "dtime/")
	f.must(os.Symlink("a", filepath.Join(f.src, "link")))
	f.sync(subtrees("")...)
	f.write(f.dst, "extra", "d/extra", "gone/x")
	f.must(os.WriteFile(filepath.Join(f.dst, "content"), []byte("other"), 0o644))
	f.must(os.Chmod(filepath.Join(f.dst, "mode"), 0o600))
	f.must(os.Chmod(filepath.Join(f.dst, "dmode"), 0o700))
	f.must(os.Chtimes(filepath.Join(f.dst, "dtime"), time.Unix(1, 0), time.Unix(1, 0)))
	f.must(os.Remove(filepath.Join(f.dst, "link")))
	f.must(os.Symlink("b", filepath.Join(f.dst, "link")))
	for _, p := range []string{"d/new", "d/nl\n\\#012", "newdir", "kind"} {
		f.must(os.RemoveAll(filepath.Join(f.dst, p)))
	}
	f.write(f.dst, "kind/x")
}

// everything is what differs after differ; the times of directories only in a dry run.
var (
	everything = []string{
		"different content", "different dmode", "different link", "different mode",
		"extra d/extra", "extra extra", "extra gone", "extra gone/x", "extra kind/x",
		"missing d/new", "missing d/nl\n\\#012", "missing kind", "missing newdir", "missing newdir/sub",
		"missing newdir/sub/y", "missing newdir/x",
	}
	timesOfDirs = []string{"different ", "different d", "different dtime"}
	reported    = append(paths("content", "mode", "link", "extra", "gone", "kind", "dmode", "dtime"), subtrees("d", "newdir")...)
)

func TestList(t *testing.T) {
	t.Parallel()
	differ := func(list []string) []string {
		return slices.DeleteFunc(list, func(s string) bool { return strings.HasPrefix(s, "same ") })
	}
	for _, changes := range [][]sdk.Change{subtrees(""), reported} {
		for _, limit := range []uint64{0, 100} {
			f := local(t)
			f.differ()
			f.req.List, f.req.MaxDelete = true, limit
			list, _ := f.differences(changes...)
			if diff := cmp.Diff(everything, differ(list)); diff != "" {
				t.Errorf("%v, limit %d: %s", changes, limit, diff)
			}
			f.equal(tree.Options{})
			if list, _ := f.differences(changes...); len(differ(list)) > 0 {
				t.Errorf("listed when nothing differs: %q", list)
			}
		}
	}
}

// What the request names and is the same is listed, for whoever looks has to know that it was there; what it does not
// name is not, nor is what is not there.
func TestListSame(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		if !mode.caps.nanoseconds {
			continue // every file of a list is sent
		}
		f := local(t)
		f.force(mode.caps)
		f.write(f.src, "d/f", "d/other", "e/", "e2/", "-\n\\#012")
		f.must(os.Symlink("a", filepath.Join(f.src, "link")))
		f.must(syscall.Mkfifo(filepath.Join(f.src, "fifo"), 0o644))
		f.must(os.Link(filepath.Join(f.src, "d/f"), filepath.Join(f.src, "d/hard")))
		f.sync(subtrees("")...)
		f.must(os.Chtimes(filepath.Join(f.dst, "e2"), time.Unix(1, 0), time.Unix(1, 0)))
		changes := paths("d/f", "d/hard", "e", "e2", "-\n\\#012", "link", "fifo", "absent", "d/absent")
		if list, res := f.differences(changes...); len(list) > 0 || res.Files > 0 {
			t.Errorf("%s: listed without being asked: %q, %+v", mode.name, list, res)
		}
		f.must(os.Chtimes(filepath.Join(f.dst, "e2"), time.Unix(1, 0), time.Unix(1, 0)))
		f.req.List = true
		want := []string{"same -\n\\#012", "same d/f", "same d/hard", "same e", "same e2", "same fifo", "same link"}
		list, res := f.differences(changes...)
		if diff := cmp.Diff(want, list); diff != "" || res.Files > 0 {
			t.Errorf("%s: %+v\n%s", mode.name, res, diff)
		}
	}
}

// What vanishes during the call, and is left for a later one, is listed: it may be that nobody tells that one.
func TestListVanished(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.List, f.req.MayDefer = true, true
	f.write(f.src, "a", "d/x", "stays", "other")
	f.sync(subtrees("")...)
	f.wrap(`rm -rf '` + f.src + `/a' '` + f.src + `/d'; exec "$rsync" "$@"`)
	list, _ := f.differences(paths("a", "d", "d/x", "stays", "absent")...)
	if diff := cmp.Diff([]string{"same a", "same d", "same d/x", "same stays"}, list); diff != "" {
		t.Error(diff)
	}
	if !f.exists("a") || !f.exists("d/x") {
		t.Error("it was removed, so that nothing is tested")
	}
}

// A directory that was gone, and is there again when rsync looks, is compared with what is in it: who looks now and then
// may never have seen it gone.
func TestGoneAndBack(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, changes := range [][]sdk.Change{paths("d"), subtrees("d")} {
			f := local(t)
			f.force(mode.caps)
			f.req.List = true
			f.write(f.src, "d/a", "d/sub/b", "beside")
			f.sync(subtrees("")...)
			f.must(os.RemoveAll(filepath.Join(f.src, "d")))
			f.wrap(`[ -e '` + f.src + `/d' ] || { mkdir '` + f.src + `/d'; echo new >'` + f.src + `/d/new'; }; exec "$rsync" "$@"`)
			f.sync(changes...)
			o := diffOptions(mode.caps)
			o.Ignore = func(p string) bool { return p == "" } // its time is not asked for
			f.equal(o)
		}
	}
}

// So it is near the limit of deletions, where all is counted first, also when other deletions are withheld.
func TestGoneAndBackNearTheLimit(t *testing.T) {
	t.Parallel()
	for _, gone := range [][]string{{"d", "e"}, {"d", "e", "far/1", "far/2"}} {
		f := local(t)
		f.req.List, f.req.MaxDelete = true, 1
		f.write(f.src, "d/a", "e/a", "far/1", "far/2", "beside")
		back := []string{filepath.Join(f.src, "d"), filepath.Join(f.src, "e")}
		for _, dir := range back {
			f.must(os.Chtimes(dir, time.Unix(1, 0), time.Unix(1, 0)))
		}
		f.sync(subtrees("")...)
		away := t.TempDir()
		f.must(exec.Command("mv", append([]string{"-t", away}, back...)...).Run())
		for _, p := range gone[2:] {
			f.must(os.Remove(filepath.Join(f.src, p)))
		}
		f.wrap(`if [ -e '` + away + `/d' ]; then cd '` + f.src + `'; mv '` + away + `'/* .; touch d/new e/new; touch -d @1 d e; fi; exec "$rsync" "$@"`)
		// What is there goes first, and has the time of the root set.
		if res := f.sync(append(paths(gone...), paths("beside")...)...); (res.Withheld.Count > 0) != (len(gone) > 2) {
			t.Errorf("%q: %+v", gone, res)
		}
		if !f.exists("d/new") || !f.exists("e/new") {
			t.Errorf("%q: what is in them is missing at the destination", gone)
		}
	}
}

// No list is kept, however long it is.
func TestListIsHandedOver(t *testing.T) {
	o := output{listing: true}
	most, n := 0, 0
	o.progress = func(o *output) {
		most, n = max(most, len(o.list)), n+len(o.list)
		o.list, o.listSize = nil, 0
	}
	line := "*deleting  |0|0|" + strings.Repeat("x", 100) + "\n"
	const lines = 100_000
	for range lines {
		fmt.Fprint(&o, line)
	}
	if most > 2*maxList/100 || n+len(o.list) != lines {
		t.Errorf("%d at most, %d in all", most, n)
	}
}

// A dry run lists what differs and changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for name, changes := range map[string][]sdk.Change{"full": subtrees(""), "reported": reported} {
			t.Run(mode.name+", "+name, func(t *testing.T) {
				t.Parallel()
				f := local(t)
				f.differ()
				f.force(mode.caps)
				before, source := snap(t, f.dst), snap(t, f.src)
				f.req.DryRun, f.req.MaxDelete = true, 1
				list, res := f.differences(changes...)
				want := slices.Clone(everything)
				if mode.caps.nanoseconds {
					want = append(want, timesOfDirs...)
				}
				missing := slices.DeleteFunc(slices.Clone(want), func(d string) bool { return slices.Contains(list, d) })
				more := slices.DeleteFunc(slices.Clone(list), func(d string) bool { return slices.Contains(want, d) })
				if len(missing) > 0 || mode.caps == allCaps && len(more) > 0 || len(res.Failed) > 0 {
					t.Errorf("missing %q, more %q, failed %q", missing, more, res.Failed)
				}
				// Far ends of old meet what was removed in two steps.
				if res.Deleted != 5 && mode.caps.missingArgs || res.Deleted < 5 || res.Files < 10 || res.Withheld.Count != 0 {
					t.Errorf("%+v", res)
				}
				if diff := cmp.Diff(before, snap(t, f.dst)); diff != "" {
					t.Errorf("the destination has changed: %s", diff)
				}
				if diff := cmp.Diff(source, snap(t, f.src)); diff != "" {
					t.Errorf("the source has changed: %s", diff)
				}
			})
		}
	}
}

// Whatever request it is, no run without --dry-run is made: probes and further rounds neither.
func TestDryRunOnly(t *testing.T) {
	t.Parallel()
	f, _ := remote(t, sshd.Config{})
	f.differ()
	f.tr.forget(&session{req: f.req}, nil)
	f.req.DryRun = true
	f.wrap(`for a; do case $a in -n|--dry-run) exec "$rsync" "$@";; esac; done; exit 1`)
	f.must(os.RemoveAll(filepath.Join(f.dst, "d")))
	before := snap(t, f.dst)
	for _, changes := range [][]sdk.Change{subtrees(""), reported, paths(""), paths("d/new"), subtrees("d"), subtrees("gone")} {
		f.differences(changes...)
	}
	if diff := cmp.Diff(before, snap(t, f.dst)); diff != "" {
		t.Errorf("the destination has changed: %s", diff)
	}
}

// With nothing at the destination all is missing, and nothing is made there.
func TestDryRunWithoutDestination(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a", "d/b")
	f.must(os.Remove(f.dst))
	f.req.DryRun = true
	for _, changes := range [][]sdk.Change{subtrees(""), append(paths("a"), subtrees("d")...)} {
		list, _ := f.differences(changes...)
		for _, want := range []string{"missing a", "missing d", "missing d/b"} {
			if !slices.Contains(list, want) {
				t.Errorf("%q lacks %q", list, want)
			}
		}
		if f.exists("") {
			t.Fatal("made")
		}
	}
}

// What cannot be looked at is failed, not equal.
func TestDryRunUnreadable(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.config().Args = []string{"--no-owner", "--no-group"}
	f.write(f.src, "priv/x", "a")
	f.must(os.Chmod(filepath.Join(f.src, "priv"), 0o700))
	f.open()
	f.unprivileged()
	f.req.DryRun = true
	for _, changes := range [][]sdk.Change{subtrees(""), subtrees("priv", "a")} {
		list, res := f.differences(changes...)
		if failed, _ := failedPaths(res); !slices.Contains(failed, "priv") || !slices.Contains(list, "missing a") {
			t.Errorf("%q, failed %q", list, res.Failed)
		}
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.Exclude = []string{"*.tmp"}
	f.write(f.src, "a", "b.tmp", "d/e/f", "d/g.tmp")
	f.must(os.Symlink("a", filepath.Join(f.src, "link")))
	for range 2 {
		for _, limit := range []uint64{0, 1} {
			f.req.MaxDelete = limit
			f.write(f.dst, "gone/x")
			if res := f.sync(subtrees("")...); res.Entries != 5 {
				t.Errorf("%+v", res)
			}
			f.req.MaxDelete = 0
			for _, changes := range [][]sdk.Change{paths("a", "d"), subtrees("d"), paths("")} {
				if res := f.sync(changes...); res.Entries != 0 {
					t.Errorf("%v: %+v", changes, res)
				}
			}
		}
		f.req.DryRun = true
	}
	for line, want := range map[string]uint64{
		"Number of files: 5":                      5,
		"Number of files: 1234567":                1234567,
		"Number of files: 5 (reg: 3, dir: 2)":     5,
		"Number of files: 1,234,567 (reg: 1,234)": 1234567,
	} {
		if n, ok := parseEntries(line); !ok || n != want {
			t.Errorf("%s: %d, %v", line, n, ok)
		}
	}
}
