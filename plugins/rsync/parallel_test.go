package rsync

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	link "github.com/filewatch/filewatch/sdk/plugintest/proxy"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// parallel has every comparison of a fixture that can be split be split.
func (f *fixture) parallel() {
	f.config().Parallel = 3
	f.config().Standby = 0
	f.tr.minSplit = 8
}

// runs records the rsync runs of a fixture in "$log": a line with the arguments when one begins, before the script, and
// "end" when it has ended.
func (f *fixture) runs(script string) (lines func() []string) {
	f.t.Helper()
	log := filepath.Join(f.t.TempDir(), "runs")
	// One write a line, for several begin at once.
	f.wrap(`log='` + log + `'; line=$(echo "$*" | tr '\n' ' '); echo "$line" >>"$log"; ` + script + `"$rsync" "$@"; code=$?; echo end >>"$log"; exit $code`)
	return func() []string {
		text, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			f.t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

// isPart tells the runs for parts of a split comparison by their arguments.
func isPart(args string) bool {
	return strings.Contains(args, "--recursive") && strings.Contains(args, "--files-from=-") && strings.Contains(args, "--stats")
}

func TestParallelChurn(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(tree.Seeds(t, 1)) {
				f := local(t)
				f.force(mode.caps)
				f.parallel()
				f.force(mode.caps) // for what parallel has changed
				c := tree.NewChurn(seed, f.src, tree.ChurnOptions{})
				c.LogOnFailure(t)
				rng := rand.New(rand.NewPCG(seed, 2))
				for range churnRounds {
					f.tr.maxAtOnce = rng.IntN(50)
					c.Run(1 + rng.IntN(100))
					f.sync(subtrees("")...)
					f.equal(diffOptions(mode.caps))
				}
			}
		})
	}
}

// names are directories with hostile names, two levels of them.
func hostileDirs() []string {
	var list []string
	for i, name := range tree.HostileNames() {
		list = append(list, name+"/file", fmt.Sprintf("d%d/%s/file", i%5, name), fmt.Sprintf("d%d/%s/file", i%5, "sub "+fmt.Sprint(i)))
	}
	return list
}

func TestParallelHostileNames(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.parallel()
	lines := f.runs("")
	f.write(f.src, hostileDirs()...)
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
	// Everything goes, from everywhere.
	f.must(os.RemoveAll(f.src))
	f.write(f.src, "left/1/x", "left/2/x")
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
	var parts int
	for _, line := range lines() {
		if isPart(line) {
			parts++
		}
	}
	if parts < 4 {
		t.Errorf("%d runs for parts", parts)
	}
}

// What is excluded stays as it is on both sides, wherever a comparison is taken apart.
func TestParallelExcludes(t *testing.T) {
	t.Parallel()
	var all [3]*fixture
	for i := range all {
		f := local(t)
		f.req.Exclude = []string{"/a/cache/", "*.tmp", "/top", "+ keep/", "b/*/"}
		f.parallel()
		switch i {
		case 0:
			f.config().Parallel = 1
		case 1:
			f.tr.maxAtOnce = 0
		}
		f.write(f.src, "a/1/x", "a/cache/x", "a/1/cache/x", "a/x.tmp", "b/keep/x", "b/no/x", "c/b/no/x", "c/b/keep/x", "top/x/y", "c/top/x")
		f.write(f.dst, "a/cache/kept", "b/no/kept", "top/kept", "c/gone/x", "a/1/gone", "a/1/kept.tmp")
		f.sync(subtrees("")...)
		all[i] = f
		if diff, err := tree.Diff(all[0].dst, f.dst, tree.Options{IgnoreTimes: true}); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	f := all[2]
	for _, p := range []string{"a/cache/kept", "b/no/kept", "top/kept", "a/1/kept.tmp", "a/1/cache/x", "b/keep/x", "c/top/x"} {
		if !f.exists(p) {
			t.Errorf("%q is not there", p)
		}
	}
	for _, p := range []string{"a/cache/x", "b/no/x", "top/x", "a/x.tmp", "c/gone"} {
		if f.exists(p) {
			t.Errorf("%q is there", p)
		}
	}
}

// A run lists at once what it holds, up to a bound. What is more goes alone and incrementally.
func TestParallelAtOnce(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.parallel()
	f.tr.maxAtOnce = 10
	f.write(f.src, hostileDirs()...)
	for i, name := range tree.HostileNames() {
		for j := range f.tr.maxAtOnce * (i % 2) {
			f.write(f.src, fmt.Sprintf("%s/%d/file", name, j))
		}
	}
	lists := t.TempDir()
	f.wrap(`case "$*" in *--recursive*--stats*--files-from=-*)
		case "$*" in *--no-inc-recursive*) kind=once ;; *) kind=incremental ;; esac
		list=$(mktemp '` + lists + `/'$kind.XXXXXX); cat >"$list"; exec "$rsync" "$@" <"$list" ;;
	esac; exec "$rsync" "$@"`)
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
	files, err := os.ReadDir(lists)
	f.must(err)
	seen, kinds := map[string]bool{}, map[bool]int{}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(lists, file.Name()))
		f.must(err)
		parts := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
		entries := 0
		for _, part := range parts {
			if seen[part] {
				t.Errorf("%q is in two runs", part)
			}
			seen[part] = true
			entries += 1 + count(t, filepath.Join(f.src, part))
		}
		once := strings.HasPrefix(file.Name(), "once")
		kinds[once]++
		if once != (entries <= f.tr.maxAtOnce) || !once && len(parts) > 1 {
			t.Errorf("%s: %d entries in %q", file.Name(), entries, parts)
		}
	}
	if kinds[true] == 0 || kinds[false] == 0 {
		t.Errorf("%v", kinds)
	}
}

// What a part holds is counted as far as is needed.
func TestFit(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.req.Exclude = []string{"cache/"}
	f.write(f.src, "a/1", "b/1/2/3", "c/cache/1/2", "c/x", "d/1", "d/2", "d/3", "d/4", "d/5/6", "far/1/2/3/4/5/6")
	f.must(os.Symlink("../d", filepath.Join(f.src, "a/link")))
	s, err := f.tr.open(f.req, nil)
	f.must(err)
	f.tr.maxAtOnce = 6
	for _, tt := range []struct {
		parts  []string
		want   int
		atOnce bool
	}{
		{[]string{"a"}, 1, true},
		{[]string{"a", "c"}, 2, true},  // 3 and 3
		{[]string{"a", "b"}, 1, true},  // 3 and 4
		{[]string{"d", "a"}, 1, false}, // 7
		{[]string{"far", "gone"}, 1, false},
		{[]string{"gone", "a"}, 2, false},
		{[]string{"a", "gone", "b"}, 2, false},
	} {
		n, atOnce := s.fit(t.Context(), tt.parts)
		if n != tt.want || atOnce != tt.atOnce {
			t.Errorf("%q: %d, %v", tt.parts, n, atOnce)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, atOnce := s.fit(ctx, []string{"a"}); n != 1 || atOnce {
		t.Errorf("after the end: %d, %v", n, atOnce)
	}
}

// wide makes files in directories on two levels.
func (f *fixture) wide(root string, n int) {
	f.t.Helper()
	for i := range n {
		f.write(root, fmt.Sprintf("d%d/s%d/a", i%10, i), fmt.Sprintf("d%d/s%d/b", i%10, i))
	}
	f.write(root, "file", "d0/file")
}

// Several runs are under way at once, over one connection with latency. The numbers are those of one run.
func TestParallelRuns(t *testing.T) {
	t.Parallel()
	f, server := remote(t, sshd.Config{})
	slow := link.Start(t, net.JoinHostPort(server.Host, strconv.Itoa(server.Port)))
	slow.Delay(5 * time.Millisecond)
	f.req.Destination.Port = slow.Port
	f.config().SSH.Options = map[string]string{"HostKeyAlias": fmt.Sprintf("[%s]:%d", server.Host, server.Port)}
	f.wide(f.src, 100)
	f.parallel()
	lines := f.runs("")
	var portions []float64
	var last sdk.Progress
	f.req.Changes = subtrees("")
	res, err := f.tr.Sync(t.Context(), f.req, func(p sdk.Progress) {
		if p.Files < last.Files || p.Bytes < last.Bytes || p.Portion < last.Portion {
			t.Errorf("%+v after %+v", p, last)
		}
		last = p
		portions = append(portions, p.Portion)
	})
	if err != nil || len(res.Failed) > 0 {
		t.Fatal(describe(res, err))
	}
	f.equal(tree.Options{})
	entries := count(t, f.src)
	if res.Files != 312 || res.Created != 312 || int(res.Entries) != entries || last.Portion != 1 || last.Files < res.Files {
		t.Errorf("%+v for %d entries, last %+v", res, entries, last)
	}
	running, most, parts := 0, 0, 0
	for _, line := range lines() {
		switch {
		case line == "end":
			running--
		case isPart(line):
			parts++
			fallthrough
		default:
			running++
		}
		most = max(most, running)
	}
	if most != 3 || parts < 4 {
		t.Errorf("%d runs for parts, %d at once", parts, most)
	}
	// With nothing to do nothing is sent, and the entries are counted in the same way.
	if res := f.sync(subtrees("")...); res.Files != 0 || res.Bytes != 0 || int(res.Entries) != entries {
		t.Errorf("%+v", res)
	}
	// One that finds something to delete does too.
	f.must(os.RemoveAll(filepath.Join(f.src, "d3")))
	f.must(os.Remove(filepath.Join(f.src, "d4/s4/a")))
	if res := f.sync(subtrees("")...); res.Deleted != 32 || int(res.Entries) != count(t, f.src) {
		t.Errorf("%+v", res)
	}
	f.equal(tree.Options{})
}

// A limit is for all parts together.
func TestParallelMaxDelete(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.parallel()
	f.wide(f.src, 30)
	f.sync(subtrees("")...)
	f.write(f.dst, "gone", "d1/gone", "d1/s1/gone", "d2/s2/gone", "d3/s3/gone dir/x", "gone dir/s/x")
	const gone = 9
	for limit := range uint64(gone) {
		before := count(t, f.dst)
		f.req.MaxDelete = limit + 1
		res := f.sync(subtrees("")...)
		left := before - count(t, f.dst)
		if left > int(limit)+1 || int(res.Deleted) != left {
			t.Fatalf("limit %d: %d are gone, %+v", limit+1, left, res)
		}
		if now := count(t, f.dst) - count(t, f.src); int(res.Withheld.Count) != now {
			t.Errorf("limit %d: %d to be removed, %+v", limit+1, now, res)
		}
	}
	f.equal(tree.Options{})
}

// A renamed directory is there under one name at least, and needs no allowance.
func TestParallelRenames(t *testing.T) {
	t.Parallel()
	for _, names := range [][2]string{{"d1/s1", "d2/s new"}, {"d1", "d new"}, {"d1/s1/a", "a"}, {"file", "d9/s9/new"}, {"d0/file", "d1/s1/new"}} {
		f := local(t)
		f.parallel()
		f.wide(f.src, 30)
		f.sync(subtrees("")...)
		f.must(os.Rename(filepath.Join(f.src, names[0]), filepath.Join(f.src, names[1])))
		f.req.MaxDelete = 1
		// Before any deletion the new name is there.
		f.runs(`for a; do case $a in --max-delete=0) ;; --max-delete=*) [ -e '` + f.dst + `/` + names[1] + `' ] || exit 1 ;; esac; done; `)
		f.sync(subtrees("")...)
		f.equal(tree.Options{})
	}
}

// A run that is killed is repeated. One that is killed again fails the request, and nothing is deleted.
func TestParallelKilled(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.parallel()
	f.wide(f.src, 30)
	f.write(f.dst, "gone", "d1/s1/gone")
	marker := filepath.Join(t.TempDir(), "marker")
	const part = `case "$*" in *--stats*--files-from=-*) case "$*" in *--recursive*) `
	lines := f.runs(part + `mkdir '` + marker + `' 2>/dev/null && { echo end >>/dev/null; kill -KILL $$; } ;; esac ;; esac; `)
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
	if _, err := os.Stat(marker); err != nil || len(lines()) < 6 {
		t.Errorf("%v, %q", err, lines())
	}
	f.must(os.RemoveAll(filepath.Join(f.dst, "d5")))
	f.write(f.dst, "gone", "d1/s1/gone")
	f.runs(part + `list=$(tr '\0' '\n'); case $list in *./d5*) kill -KILL $$ ;; esac; printf '%s\n' "$list" | tr '\n' '\0' | "$rsync" "$@"; exit ;; esac ;; esac; `)
	res, err := f.try(subtrees("")...)
	if err == nil || !strings.Contains(err.Error(), "killed") || !f.exists("gone") || !f.exists("d1/s1/gone") {
		t.Error(describe(res, err))
	}
	f.unwrap()
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
}

// One path that cannot be sent is named, and everything else is done; deletions are as without a split.
func TestParallelUnreadable(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"d1/s1/a", "d1/file", "file", "d2/s2"} {
		f := local(t)
		f.parallel()
		f.config().Args = []string{"--no-owner", "--no-group"}
		f.wide(f.src, 30)
		f.write(f.src, "d1/file")
		f.write(f.dst, "d3/s3/gone", bad+".old")
		f.unprivileged()
		f.must(os.Chmod(filepath.Join(f.src, bad), 0))
		f.open()
		res, err := f.try(subtrees("")...)
		list, _ := failedPaths(res)
		found := false
		for _, p := range list {
			found = found || p == bad
		}
		if err != nil || !found || !f.exists("d9/s9/a") {
			t.Errorf("%s: %s", bad, describe(res, err))
		}
		f.must(os.Chmod(filepath.Join(f.src, bad), 0o755))
		f.unwrap()
		f.config().Args = nil
		f.sync(subtrees("")...)
		f.equal(tree.Options{})
	}
}

// A directory that appears in a level after it was read is not taken for in step when only its name is there.
func TestParallelNewDirectory(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"new", "d3/new"} {
		f := local(t)
		f.parallel()
		f.wide(f.src, 30)
		f.runs(`[ -e '` + f.src + `/` + at + `' ] || mkdir -p '` + f.src + `/` + at + `/sub'; [ -s '` + f.src + `/` + at + `/sub/x' ] || echo x >'` + f.src + `/` + at + `/sub/x'; `)
		f.sync(subtrees("")...)
		f.equal(tree.Options{})
	}
}

// What goes or becomes something else between the reading and the run is no reason to fail.
func TestParallelVanished(t *testing.T) {
	t.Parallel()
	for _, act := range []string{`rm -rf d3`, `rm -rf d3/s3`, `rm -rf d3; ln -s d4 d3`, `rm -rf d3/s3; echo x >d3/s3`, `rm -rf d*`} {
		f := local(t)
		f.parallel()
		f.wide(f.src, 30)
		f.sync(subtrees("")...)
		f.write(f.dst, "d4/s4/gone")
		marker := filepath.Join(t.TempDir(), "marker")
		f.runs(`mkdir '` + marker + `' 2>/dev/null && (cd '` + f.src + `'; ` + act + `); `)
		f.sync(subtrees("")...)
		if _, err := os.Stat(marker); err != nil {
			t.Fatal(err)
		}
		f.unwrap()
		f.sync(subtrees("")...)
		f.equal(tree.Options{})
	}
}

// Subtrees are split as well as the root, and nothing beside them is touched.
func TestParallelSubtrees(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.parallel()
	f.wide(f.src, 60)
	f.write(f.dst, "beside", "d3/beside", "d1/gone", "d1/s1/gone", "d2/s2/gone dir/x")
	lines := f.runs("")
	f.sync(subtrees("d1", "d2")...)
	for _, p := range []string{"beside", "d3/beside"} {
		if !f.exists(p) {
			t.Errorf("%q was deleted", p)
		}
	}
	if f.exists("file") || f.exists("d4") || !strings.Contains(strings.Join(lines(), "\n"), "--stats") {
		t.Errorf("%q", lines())
	}
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
}

// What takes one run is one run.
func TestParallelNot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*fixture)
	}{
		{"hard links", func(f *fixture) { f.config().HardLinks = true }},
		{"hard links by args", func(f *fixture) { f.config().Args = []string{"-OH"} }},
		{"rate", func(f *fixture) { f.config().BWLimit = "10M" }},
		{"one", func(f *fixture) { f.config().Parallel = 1 }},
		{"small", func(f *fixture) { f.tr.minSplit = 1000 }},
		{"dry run", func(f *fixture) { f.req.DryRun = true }},
	} {
		f := local(t)
		f.parallel()
		f.wide(f.src, 30)
		tt.change(f)
		f.force(allCaps)
		lines := f.runs("")
		f.sync(subtrees("")...)
		if got := lines(); len(got) != 2 {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

func TestPartition(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.parallel()
	f.req.Exclude = []string{"/no/", "/d/no/"}
	f.write(f.src, "no/x/y", "d/no/x", "d/a/1/x", "d/b/1/x", "d/b/2/x", "file", "e/", "d/file")
	f.must(os.Symlink("d", filepath.Join(f.src, "link")))
	f.must(os.Mkdir(filepath.Join(f.src, strings.Repeat("x", 255)), 0o755))
	s, err := f.tr.open(f.req, nil)
	f.must(err)
	for _, tt := range []struct {
		roots   []string
		entries int
		want    partition
	}{
		{[]string{""}, 13, partition{parts: []string{"d/a/1", "d/b/1", "d/b/2", "e", strings.Repeat("x", 255)}, levels: []string{"", "d", "d/a", "d/b"}}},
		{[]string{"d"}, 7, partition{parts: []string{"d/a/1", "d/b/1", "d/b/2"}, levels: []string{"d", "d/a", "d/b"}}},
	} {
		f.tr.minSplit = tt.entries
		got, ok := s.partition(tt.roots)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(partition{})); !ok || diff != "" {
			t.Errorf("%q: %v, -want +got:\n%s", tt.roots, ok, diff)
		}
	}
	f.tr.minSplit = 1
	for _, roots := range [][]string{{"e"}, {"d/a/1"}, {"link"}, {"gone"}, {"file"}, nil} {
		if got, ok := s.partition(roots); ok {
			t.Errorf("%q: %+v", roots, got)
		}
	}
	// One that holds most of what is there is taken apart itself; one with many files is not.
	f.wide(f.src, 300)
	for i := range maxFiles + 1 {
		f.write(f.src, fmt.Sprintf("d1/s1/%d", i))
	}
	f.write(f.src, "d1/s1/sub/x", "d1/s1/sub2/x")
	f.tr.minSplit = 1000
	got, ok := s.partition([]string{""})
	if !ok || len(got.parts) < partsEach*3 {
		t.Errorf("%v, %d parts", ok, len(got.parts))
	}
	for _, dir := range got.levels {
		if dir == "d1/s1" {
			t.Error("a directory with many files is taken apart")
		}
	}
}

// Large files that a request leaves out are named, in the parts and above them.
func TestParallelMaxSize(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.parallel()
	f.wide(f.src, 30)
	large := []string{"d1/large", "d3/s3/large", "large"}
	for _, p := range large {
		f.must(os.WriteFile(filepath.Join(f.src, p), make([]byte, 5000), 0o644))
	}
	f.req.MaxSize = 1000
	res := f.sync(subtrees("")...)
	if diff := cmp.Diff(large, res.Large); diff != "" || f.exists("large") || f.exists("d3/s3/large") {
		t.Errorf("-want +got:\n%s", diff)
	}
	f.sync(paths(large...)...)
	f.req.MaxSize = 0
	f.sync(subtrees("")...)
	f.equal(tree.Options{})
}
