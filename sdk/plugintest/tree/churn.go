package tree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// Ops is a set of groups of operations.
type Ops uint

// The groups that can be switched off. Creating files and directories, and writing, always happens.
const (
	Removals    Ops = 1 << iota // rm -r
	Renames                     // inside the tree: rename, move, swap, replace by rename
	MovesOut                    // to the outside directory, and changes of what was moved there
	MovesIn                     // from the outside directory
	TypeChanges                 // a file becomes a directory, and so on
	Attributes                  // chmod, utimes
	Symlinks
	HardLinks // a file written by one name changes under the others
	Fifos
)

const (
	maxGrowth = 12   // entries that one step adds at most
	maxPath   = 2000 // bytes of a path below the root: well below PATH_MAX, for the programs under test
)

// ChurnOptions say what a Churn does. The zero value is everything, with up to 200 entries.
type ChurnOptions struct {
	Without Ops // groups that are left out
	// MaxEntries is the most entries below the root, at least 20; 0 means 200. A tree that starts with
	// more does not grow.
	MaxEntries int
	// PlainNames leaves out the hostile names.
	PlainNames bool
	// Exclude is the name of directories that the program under test leaves out. The churn makes such
	// directories anywhere, lives in them too, and moves entries into and out of them; nothing but a
	// directory ever gets the name, and a file in one is never written if it has other names.
	Exclude string
}

// Churn changes a tree at random. The same seed gives the same operations for the same tree and
// options, modification times aside. It touches nothing but what is below the root and the directory
// beside it whose name is the root's with ".outside", follows no symlink, and must be the only one who
// changes either. It is not safe for concurrent use.
type Churn struct {
	root, outside string
	o             ChurnOptions
	seed          uint64
	rng           *rand.Rand
	names         []string
	plain         int // the first so many of names are plain
	entries       int // below root, at most
	serial        int // for names that occur once
	log           []string
	failed        int
	err           error // of this step; then nothing more is done in it
}

// NewChurn returns a churn of the existing directory root.
func NewChurn(seed uint64, root string, o ChurnOptions) *Churn {
	if o.MaxEntries == 0 {
		o.MaxEntries = 200
	}
	c := &Churn{
		root:    root,
		outside: root + ".outside",
		o:       o,
		seed:    seed,
		rng:     rand.New(rand.NewPCG(seed, 0)),
		entries: o.MaxEntries, // so that the first step counts
	}
	// Few plain names, so that names come back soon.
	c.names = c.allowed(strings.Fields("a b c d e f g h dir file.txt"))
	c.plain = len(c.names)
	if !o.PlainNames {
		c.names = append(c.names, c.allowed(HostileNames())...)
	}
	return c
}

// allowed leaves out the excluded name.
func (c *Churn) allowed(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return name == c.o.Exclude })
}

// Step does one operation, such as a rename, or several that follow each other closely, and returns a
// line that describes it. An operation that fails, say because the disk is full, is described with
// its error and counted.
func (c *Churn) Step() string {
	c.err = nil
	what := ""
	for what == "" { // making and removing a file is always possible
		what = c.choose().do(c)
	}
	if c.err != nil {
		c.failed++
		what += ": " + cause(c.err).Error()
	}
	c.log = append(c.log, what)
	return what
}

// Run does n steps.
func (c *Churn) Run(n int) {
	for range n {
		c.Step()
	}
}

// Failed returns the number of steps that failed.
func (c *Churn) Failed() int { return c.failed }

// Log returns the descriptions of all steps so far, one a line, after a line with the seed.
func (c *Churn) Log() string { return c.last(len(c.log)) }

// LogOnFailure makes t show the last steps if it fails. The churn must be at rest by the end of t.
func (c *Churn) LogOnFailure(t testing.TB) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.last(300))
		}
	})
}

func (c *Churn) last(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "churn of %q with seed %d, %d steps, %d failed\n", c.root, c.seed, len(c.log), c.failed)
	for i := max(0, len(c.log)-n); i < len(c.log); i++ {
		fmt.Fprintf(&b, "%d %s\n", i+1, c.log[i])
	}
	return b.String()
}

// choose returns the next operation to try.
func (c *Churn) choose() op {
	full := c.full()
	if full && c.o.Without&Removals == 0 && c.rng.IntN(3) == 0 {
		return op{do: (*Churn).remove}
	}
	var total int
	possible := func(o op) bool { return c.o.Without&o.group == 0 && !(full && o.grows) }
	for _, o := range ops {
		if possible(o) {
			total += o.weight
		}
	}
	n := c.rng.IntN(total)
	for _, o := range ops {
		if !possible(o) {
			continue
		}
		if n -= o.weight; n < 0 {
			if o.grows {
				c.entries += maxGrowth
			}
			return o
		}
	}
	panic("unreachable: n is below the total")
}

// full reports whether the tree must not grow any more. It counts the entries only when the bound
// may have been reached.
func (c *Churn) full() bool {
	if c.entries+maxGrowth > c.o.MaxEntries {
		c.entries = c.count(c.root)
	}
	return c.entries+maxGrowth > c.o.MaxEntries
}

// count returns the number of entries below dir.
func (c *Churn) count(dir string) int {
	n := 0
	for _, e := range c.list(dir) {
		n++
		if e.IsDir() {
			n += c.count(dir + "/" + e.Name())
		}
	}
	return n
}

// list returns the entries of dir, sorted.
func (c *Churn) list(dir string) []os.DirEntry {
	entries, err := os.ReadDir(dir)
	c.check(err)
	return entries
}

// cause returns what err wraps, which names no path: a log is the same for every root.
func cause(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

// check keeps the first error of a step.
func (c *Churn) check(err error) {
	if c.err == nil {
		c.err = err
	}
}
