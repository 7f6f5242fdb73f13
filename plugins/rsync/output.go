package rsync

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

const (
	// outFormat makes rsync print a line for each entry that it changes: what, size, bytes sent, and
	// the name, last because it may hold a "|".
	outFormat = "%i|%l|%b|%n"
	// maxPaths bounds what is remembered of one run. Past it the request fails as a whole.
	maxPaths = 1000
	// maxList is how many bytes of paths are listed before they are reported.
	maxList = 64 << 10
	// progressEvery is often enough for a person who looks on.
	progressEvery = 200 * time.Millisecond
)

// output reads rsync's standard output.
type output struct {
	lines lineBuffer

	files, deleted, bytes uint64
	amount                uint64 // of the work that was said to be done; see entryAmount
	entries               uint64 // of the source, the root not counted; only with --stats
	// paths are those that a line named, and extra those that a line named as deleted, in a dry run only:
	// what still differs. Past maxPaths they end.
	paths, extra []string
	keep         bool
	createdCount uint64 // of files
	// top are the first maxTop entries directly in the root that were created.
	top []string
	// created are the directories that the destination did not have. Past maxPaths it is the root.
	created []string
	// kept are the first maxPaths of the directories that rsync could not delete because they are not empty.
	kept      []string
	keptCount uint64
	// skipped is how many deletions --max-delete stopped.
	skipped uint64
	// deletionsOff is set when rsync left out deletions because it could not read all of the source.
	deletionsOff bool

	counted map[string]bool // deletions that count already; see session.presume
	again   uint64          // how many of deleted are among them

	alike map[string]bool // what it has sent is taken out; see session.alike

	over map[string]bool // files that were left out because of their size, a bit more than maxOver at most; nil = none are

	progress func(*output) // nil = not wanted
	reported time.Time
	listing  bool             // keep differences
	asked    map[string]bool  // the request's paths, which are listed as the same if nothing else is; see sdk.Same
	dirs     []string         // those that are directories, at the destination too
	list     []sdk.Difference // since the last report
	listSize int              // of their paths
}

// differs reports whether a dry run found anything to do.
func (o *output) differs() bool { return len(o.paths) > 0 || len(o.extra) > 0 || o.keptCount > 0 }

func (o *output) Write(p []byte) (int, error) {
	o.lines.split(p, o.line)
	if o.progress != nil && (o.listSize >= maxList || time.Since(o.reported) >= progressEvery) {
		o.reported = time.Now()
		o.progress(o)
	}
	return len(p), nil
}

func (o *output) line(line string) {
	// Another file may have such a name: it is looked at once more then.
	if name, ok := strings.CutSuffix(line, overSize); ok && o.over != nil && len(o.over) <= maxOver {
		o.over[cleanName(name)] = true
	}
	if it, ok := parseItem(line); ok {
		o.item(it)
		return
	}
	if path, ok := strings.CutPrefix(line, "cannot delete non-empty directory: "); ok {
		o.keptCount++
		if len(o.kept) <= maxPaths {
			o.kept = append(o.kept, cleanName(path))
		}
	}
	if strings.HasPrefix(line, "IO error encountered -- skipping file deletion") {
		o.deletionsOff = true
	}
	if n, ok := parseSkipped(line); ok {
		o.skipped += n
	}
	if n, ok := parseEntries(line); ok && n > 0 {
		o.entries = n - 1 // the root
	}
}

func (o *output) item(it item) {
	if it.attributesOfDir && o.asked[it.path] {
		o.dirs = append(o.dirs, it.path)
	}
	if it.same {
		o.isSame(it.path)
		return
	}
	if it.sent {
		delete(o.alike, it.path)
	}
	if it.createdDir {
		if o.created = append(o.created, it.path); len(o.created) > maxPaths {
			o.created = []string{""}
		}
	}
	switch {
	case it.deleted:
		o.deleted++
		if o.counted[it.path] {
			delete(o.counted, it.path)
			o.again++
		}
	case !it.attributesOfDir:
		o.files++
		o.amount += entryAmount + it.size
		if it.created {
			o.createdCount++
			if len(o.top) < maxTop && it.path != "" && !strings.Contains(it.path, "/") {
				o.top = append(o.top, it.path)
			}
		}
		o.bytes += it.bytes
	}
	if o.keep {
		list := &o.paths
		if it.deleted {
			list = &o.extra
		}
		if len(*list) <= maxPaths {
			*list = append(*list, it.path)
		}
	}
	// The time of a directory changes with what is in it. A real run sets it as a matter of course, and
	// who asks for a list to see what a watcher has missed finds the cause under its own name; a dry run
	// tells all that differs.
	switch {
	case it.timeOfDir && !o.keep:
		o.isSame(it.path)
	case o.listing:
		o.note(sdk.Difference{Path: it.path, Kind: it.kind()})
	}
}

func (o *output) isSame(path string) {
	if o.asked[path] {
		o.note(sdk.Difference{Path: path, Kind: sdk.Same})
	}
}

func (o *output) note(d sdk.Difference) {
	o.list = append(o.list, d)
	o.listSize += len(d.Path)
}

// parseEntries reads how many entries rsync has looked at: `Number of files: 1,234 (reg: 1,000, dir: 234)`,
// before 3.1 without what is in parentheses.
func parseEntries(line string) (uint64, bool) {
	rest, ok := strings.CutPrefix(line, "Number of files: ")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(strings.ReplaceAll(number, ",", ""), 10, 64)
	return n, err == nil
}

// item is a line in outFormat.
type item struct {
	path            string // relative to the root
	size            uint64 // of a regular file
	bytes           uint64 // sent
	deleted         bool
	created         bool
	attributesOfDir bool // nothing but a directory's attributes
	timeOfDir       bool // nothing but a directory's time
	createdDir      bool
	sent            bool // with its content
	same            bool // nothing had to be done; only with itemizeSame
}

// kind returns how the entry differed. Where something else was in its place, rsync calls it created.
func (it item) kind() sdk.DifferenceKind {
	switch {
	case it.deleted:
		return sdk.Extra
	case it.created:
		return sdk.Missing
	}
	return sdk.Different
}

func parseItem(line string) (item, bool) {
	fields := strings.SplitN(line, "|", 4)
	if len(fields) != 4 || len(fields[0]) < 9 {
		return item{}, false
	}
	what, name := fields[0], fields[3]
	if !strings.ContainsRune("<>ch.*", rune(what[0])) {
		return item{}, false
	}
	n, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return item{}, false
	}
	it := item{
		path:            cleanName(name),
		bytes:           n,
		deleted:         strings.HasPrefix(what, "*deleting"),
		created:         what[2] == '+',
		attributesOfDir: what[0] == '.' && what[1] == 'd',
		createdDir:      strings.HasPrefix(what, "cd+"),
		sent:            what[0] == '<' || what[0] == '>',
	}
	if what[1] == 'f' {
		it.size, _ = strconv.ParseUint(fields[1], 10, 64) // for the progress alone
	}
	attributes := strings.Trim(what[2:], ". ")
	it.same = what[0] == '.' && attributes == ""
	it.timeOfDir = it.attributesOfDir && attributes == "t"
	return it, true
}

// cleanName returns the path, relative to the root, that rsync printed.
func cleanName(name string) string {
	name = strings.TrimSuffix(unescape(name), "/")
	name = strings.TrimPrefix(name, "./")
	if name == "." {
		return ""
	}
	return name
}

// unescape reverses what rsync does to names that it prints: "\#" and three octal digits stand for a
// byte.
func unescape(s string) string {
	if !strings.Contains(s, `\#`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 < len(s) && s[i+1] == '#' {
			if v, err := strconv.ParseUint(s[i+2:i+5], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 4
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// lineBuffer splits a stream into lines.
type lineBuffer struct{ rest []byte }

// maxLine is beyond any path in octal escapes with a message around it.
const maxLine = 64 << 10

func (l *lineBuffer) split(p []byte, line func(string)) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		line(string(append(l.rest, p[:i]...)))
		l.rest = l.rest[:0]
		p = p[i+1:]
	}
	if len(l.rest) < maxLine {
		l.rest = append(l.rest, p...)
	}
}
