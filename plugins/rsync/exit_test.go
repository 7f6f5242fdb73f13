package rsync

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// However rsync ends, before its work or after it, nothing is confirmed that is not so, the error is of a
// class that fits and says what to do, and the next request heals everything.
func TestEveryExit(t *testing.T) {
	t.Parallel()
	type class string
	const (
		plain         class = "plain"
		unavailable   class = "unavailable"
		misconfigured class = "misconfigured"
		looksItself   class = "no error of its own" // it is found out which paths are settled
	)
	ends := map[string]class{"kill -KILL $$": plain, "kill -SEGV $$": plain, "kill -TERM $$": plain, "exit 99": plain}
	for _, c := range []struct {
		class class
		codes []int
	}{
		{misconfigured, []int{1, 2, 3, 4, 5, 6, 25, 126, 127}},
		{unavailable, []int{10, 12, 14, 20, 21, 22, 30, 35, 124, 125, 255}},
		{plain, []int{11, 13}},
		{looksItself, []int{23, 24}},
	} {
		for _, code := range c.codes {
			ends["exit "+strconv.Itoa(code)] = c.class
		}
	}
	for end, want := range ends {
		for _, work := range []string{"", `"$rsync" "$@"; `, `for a; do [ "$a" = --dry-run ] && exec "$rsync" "$@"; done; `, `for a; do [ "$a" = --dry-run ] && exec "$rsync" "$@"; done; "$rsync" "$@"; `} {
			t.Run(end+" after "+strconv.Quote(work), func(t *testing.T) {
				t.Parallel()
				limits := []uint64{0}
				if strings.HasPrefix(end, "exit 2") {
					limits = append(limits, 1)
				}
				for _, limit := range limits {
					f := local(t)
					f.req.MaxDelete = limit
					f.write(f.src, "a", "d/b")
					f.write(f.dst, "gone/x", "gone/y", "d/b/was a directory")
					f.force(allCaps)
					f.wrap(work + end)
					for _, changes := range [][]sdk.Change{paths("a", "d/b", "gone"), subtrees("")} {
						res, err := f.try(changes...)
						f.judge(changes, res, err)
						var got class
						switch {
						case err == nil:
							got = looksItself
						case sdk.IsUnavailable(err):
							got = unavailable
						case sdk.IsMisconfigured(err):
							got = misconfigured
						default:
							got = plain
						}
						// Which paths are settled can only be found out where rsync can be run at all. With a
						// limit, 25 says just that it was reached.
						if got != want && want != looksItself && !(end == "exit 25" && limit > 0) {
							t.Errorf("limit %d, %v: %s", limit, changes, describe(res, err))
						}
						if err != nil && len(err.Error()) < 30 {
							t.Errorf("says little: %v", err)
						}
						f.force(allCaps)
					}
					f.unwrap()
					f.req.MaxDelete = 0
					f.sync(subtrees("")...)
					f.equal(tree.Options{})
				}
			})
		}
	}
}

// A standby that fails, before its work or after it, is made up for at once.
func TestEveryExitOnStandby(t *testing.T) {
	t.Parallel()
	ends := []string{"kill -KILL $$", "kill -SEGV $$"}
	for _, code := range []int{1, 10, 11, 12, 23, 24, 25, 30, 255} {
		ends = append(ends, "exit "+strconv.Itoa(code))
	}
	for _, work := range []string{"", "head -c 1 >/dev/null; ", `"$rsync" "$@"; `} {
		for _, end := range ends {
			f := local(t)
			f.req.MaxDelete = 2
			f.force(allCaps)
			// The root of a standby is "/".
			f.wrap(`for a; do [ "$a" = / ] && { ` + work + end + `; }; done; exec "$rsync" "$@"`)
			f.write(f.src, "a")
			f.sync(paths("a")...)
			if f.onStandby() == nil {
				t.Fatal("no standby")
			}
			f.write(f.dst, "b", "gone", "gone too/x")
			f.write(f.src, "b")
			res, err := f.try(paths("a", "b", "gone", "gone too")...)
			if list, _ := failedPaths(res); err != nil || len(list) > 0 {
				// These say that everything else was done, which a dry run finds untrue.
				if err != nil || end != "exit 23" && end != "exit 24" {
					t.Errorf("%s%s: %s", work, end, describe(res, err))
				}
			} else if res.Withheld.Count != 2 || !f.exists("gone too/x") {
				t.Errorf("%s%s: %+v", work, end, res)
			}
			f.unwrap()
			f.req.MaxDelete = 0
			f.sync(subtrees("")...)
			f.equal(tree.Options{})
		}
	}
}

// judge compares what a request has confirmed with what there is.
func (f *fixture) judge(changes []sdk.Change, res sdk.Result, err error) {
	f.t.Helper()
	if err != nil {
		return
	}
	failed, _ := failedPaths(res)
	open := func(p string) bool {
		for _, q := range failed {
			if p == q || (sdk.Change{Path: q, Scope: sdk.ScopeSubtree}).Covers(p) {
				return true
			}
		}
		return false
	}
	diff, err := tree.Diff(f.src, f.dst, tree.Options{})
	f.must(err)
	for _, p := range []string{"a", "d/b"} {
		if !f.same(p) && !open(p) {
			f.t.Errorf("%v: %q is confirmed and differs: %s\n%s", changes, p, describe(res, nil), diff)
		}
	}
	if f.exists("gone") && !open("gone") && res.Withheld.Count == 0 {
		f.t.Errorf("%v: the deletion is confirmed and was not done: %s", changes, describe(res, nil))
	}
}

// same reports whether a file has arrived.
func (f *fixture) same(p string) bool {
	a, b := readFile(filepath.Join(f.src, p)), readFile(filepath.Join(f.dst, p))
	return a == b && !strings.HasPrefix(b, "error")
}

func TestUnknownOptions(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.config().Fsync = true
	f.write(f.src, "a")
	f.sync(paths("a")...)
	f.equal(tree.Options{})
	for _, text := range []string{"rsync: on remote machine: --fsync: unknown option", "rsync: --fsync: unknown option"} {
		f := local(t)
		f.config().Fsync = true
		f.write(f.src, "a")
		f.wrap(fmt.Sprintf(`for a; do if [ "$a" = --fsync ]; then echo '%s' >&2; exit 12; fi; done; exec "$rsync" "$@"`, text))
		res, err := f.try(paths("a")...)
		if !sdk.IsMisconfigured(err) || !strings.Contains(err.Error(), "fsync = true takes rsync 3.2.4 or later") {
			t.Error(describe(res, err))
		}
	}
}
