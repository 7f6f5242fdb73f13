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
	// progressEvery is often enough for a person who looks on.
	progressEvery = 200 * time.Millisecond
)

// output reads rsync's standard output.
type output struct {
	lines lineBuffer

	files, deleted, bytes uint64
	// paths are those that a line named, in a dry run only: what still differs. Past maxPaths they end.
	paths []string
	keep  bool
	// created are the directories that the destination did not have. Past maxPaths it is the root.
	created []string
	// kept are the directories that rsync could not delete because they are not empty.
	kept []string
	// deletionsOff is set when rsync left out deletions because it could not read all of the source.
	deletionsOff bool

	progress func(files, bytes uint64) // nil = not wanted
	reported time.Time
}

func (o *output) Write(p []byte) (int, error) {
	o.lines.split(p, o.line)
	if o.progress != nil && time.Since(o.reported) >= progressEvery {
		o.reported = time.Now()
		o.progress(o.files+o.deleted, o.bytes)
	}
	return len(p), nil
}

func (o *output) line(line string) {
	if path, ok := strings.CutPrefix(line, "cannot delete non-empty directory: "); ok {
		if len(o.kept) <= maxPaths {
			o.kept = append(o.kept, cleanName(path))
		}
		return
	}
	if strings.HasPrefix(line, "IO error encountered -- skipping file deletion") {
		o.deletionsOff = true
		return
	}
	it, ok := parseItem(line)
	if !ok {
		return
	}
	if it.createdDir {
		if o.created = append(o.created, it.path); len(o.created) > maxPaths {
			o.created = []string{""}
		}
	}
	switch {
	case it.deleted:
		o.deleted++
	case !it.attributesOfDir:
		o.files++
		o.bytes += it.bytes
	}
	if o.keep && len(o.paths) <= maxPaths {
		o.paths = append(o.paths, it.path)
	}
}

// item is a line in outFormat.
type item struct {
	path            string // relative to the root
	bytes           uint64
	deleted         bool
	attributesOfDir bool // nothing but a directory's attributes
	createdDir      bool
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
	return item{
		path:            cleanName(name),
		bytes:           n,
		deleted:         strings.HasPrefix(what, "*deleting"),
		attributesOfDir: what[0] == '.' && what[1] == 'd',
		createdDir:      strings.HasPrefix(what, "cd+"),
	}, true
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

// counter adds up the runs of one request and reports them as progress.
type counter struct {
	result   sdk.Result
	progress func(sdk.Progress)
}

// add counts a run that has ended.
func (c *counter) add(o *output) {
	c.result.Files += o.files
	c.result.Deleted += o.deleted
	c.result.Bytes += o.bytes
	c.report(0, 0)
}

// report reports what the runs so far and the running one have handled.
func (c *counter) report(files, bytes uint64) {
	if c.progress != nil {
		c.progress(sdk.Progress{Files: c.result.Files + c.result.Deleted + files, Bytes: c.result.Bytes + bytes})
	}
}
