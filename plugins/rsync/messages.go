package rsync

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// messages reads rsync's standard error and keeps what it says about single paths.
type messages struct {
	lines lineBuffer
	list  []message
	// other is set when a line was about no path, or there were too many to keep.
	other bool
	// way is set when rsync could not make way for something.
	way bool
	// skipped is how many deletions --max-delete stopped.
	skipped uint64
}

// message is a line about a path.
type message struct {
	path     string // as printed, unescaped: absolute, or relative to the destination
	side     side
	vanished bool   // the source changed under rsync's feet: look again
	what     string // the operation, such as `send_files failed to open`
	reason   string // such as "Permission denied"; "" = none given
}

// side is where something went wrong.
type side uint8

const (
	sideUnknown side = iota
	sideSource
	sideDestination
)

var (
	// rsync: [sender] send_files failed to open "/srv/a": Permission denied (13)
	// rsync: [receiver] rename "/dst/.a.Xo9WqZ" -> "a": Permission denied (13)
	quotedMessage = regexp.MustCompile(`^(?:rsync: )?(?:\[(\w+)\] )?(.*?)\(?"(.*)"\)?(?: \(in .*\))?(?: failed)?: ([^"]*) \((\d+)\)$`)
	// rsync: [generator] delete_file: unlink(a/b) failed: Permission denied (13)
	deleteMessage = regexp.MustCompile(`^(?:rsync: )?(?:\[(\w+)\] )?(delete_file: \w+)\((.*)\) failed: (.*) \((\d+)\)$`)
	// could not make way for new regular file: a
	wayMessage = regexp.MustCompile(`^(could not make way for [a-z -]+): (.*)$`)
	// file has vanished: "/srv/a"
	vanishedMessage = regexp.MustCompile(`^(?:file|directory) has vanished: "(.*)"$`)
	// filename overflows max-path len by 125: a/b
	longMessage = regexp.MustCompile(`^(?:rsync: )?(?:\[\w+\] )?filename overflows max-path len by \d+: (.*)$`)
	// The end of a run with errors, and lines that repeat what others said.
	closingMessage = regexp.MustCompile(`^(rsync (error|warning): .*\(code \d+\) at .*|rsync: \[\w+\] write error: .*|WARNING: parent dir is absent in the file list: .*)$`)
	// What mkstemp makes of a name.
	tempName = regexp.MustCompile(`^\.(.+)\.[A-Za-z0-9]{6}$`)
)

func (m *messages) Write(p []byte) (int, error) {
	m.lines.split(p, m.line)
	return len(p), nil
}

func (m *messages) line(line string) {
	if line == "" || closingMessage.MatchString(line) {
		return
	}
	if n, ok := parseSkipped(line); ok {
		m.skipped += n
		return
	}
	msg, ok := parseMessage(line)
	m.way = m.way || strings.HasPrefix(msg.what, wayPrefix)
	if !ok || len(m.list) >= maxPaths {
		m.other = true
		return
	}
	m.list = append(m.list, msg)
}

// parseSkipped reads how many deletions --max-delete stopped. Directories directly in a compared one are
// not among them, if they are not empty.
func parseSkipped(line string) (uint64, bool) {
	rest, ok := strings.CutPrefix(line, "Deletions stopped due to --max-delete limit (")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(number, 10, 64)
	return max(n, 1), err == nil
}

func parseMessage(line string) (message, bool) {
	if g := vanishedMessage.FindStringSubmatch(line); g != nil {
		return message{path: unescape(g[1]), side: sideSource, vanished: true, what: "vanished"}, true
	}
	if g := wayMessage.FindStringSubmatch(line); g != nil {
		return message{path: unescape(g[2]), side: sideDestination, what: g[1]}, true
	}
	if g := longMessage.FindStringSubmatch(line); g != nil {
		return message{path: unescape(g[1]), what: "the path is too long for rsync"}, true
	}
	g := deleteMessage.FindStringSubmatch(line)
	if g == nil {
		g = quotedMessage.FindStringSubmatch(line)
	}
	if g == nil {
		return message{}, false
	}
	name, what := g[3], strings.TrimSpace(g[2])
	// These name two paths. Elsewhere an arrow is part of a name.
	if what == "rename" || what == "symlink" || what == "link" {
		name, _, _ = strings.Cut(name, `" -> "`)
		name, _, _ = strings.Cut(name, `" => "`)
	}
	msg := message{path: unescape(name), what: what, reason: g[4]}
	switch strings.ToLower(g[1]) {
	case "sender":
		msg.side = sideSource
	case "receiver", "generator":
		msg.side = sideDestination
	}
	// ENOENT, ENOTDIR, ELOOP: gone, or below what is no directory any more, or a symlink by now.
	msg.vanished = msg.side == sideSource && (g[5] == "2" || g[5] == "20" || g[5] == "40")
	return msg, true
}

// textWay is the text for a directory in the way of something else.
const textWay = "the destination has a directory there that could not be removed"

// wayPrefix is how rsync begins to tell of it.
const wayPrefix = "could not make way"

// text is the message for the operator.
func (m message) text() string {
	where := map[side]string{sideUnknown: "", sideSource: " at the source", sideDestination: " at the destination"}[m.side]
	if strings.HasPrefix(m.what, wayPrefix) {
		return textWay
	}
	switch m.reason {
	case "":
		return m.what + where
	case "Permission denied":
		if m.side == sideSource {
			return "permission denied reading it at the source"
		}
		return fmt.Sprintf("permission denied%s (%s)", where, m.what)
	case "Read-only file system":
		return "the file system is read-only" + where
	case "No space left on device":
		return "no space left" + where
	case "Disk quota exceeded":
		return "the disk quota is used up" + where
	}
	return fmt.Sprintf("%s%s (%s)", lowerFirst(m.reason), where, m.what)
}

func lowerFirst(s string) string {
	if len(s) < 2 || s[1] >= 'A' && s[1] <= 'Z' {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// places are the directories that messages name paths in.
type places struct {
	roots       []string // absolute; of the source
	destination string   // absolute; "" = not known
}

// relative returns the path of a message relative to the root.
func (p places) relative(m message) (string, bool) {
	if !strings.HasPrefix(m.path, "/") {
		// Deletions are reported relative to the destination.
		return strings.TrimPrefix(strings.TrimSuffix(m.path, "/"), "./"), m.side != sideSource
	}
	if m.side != sideDestination {
		for _, root := range p.roots {
			if rel, ok := below(root, m.path); ok {
				return rel, true
			}
		}
	}
	if m.side != sideSource && p.destination != "" {
		if rel, ok := below(p.destination, m.path); ok {
			return untemp(m, rel), true
		}
	}
	return "", false
}

// below returns p relative to dir.
func below(dir, p string) (string, bool) {
	dir, p = path.Clean(dir), path.Clean(p)
	if p == dir {
		return "", true
	}
	return strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// untemp returns the path whose temporary file a message is about.
func untemp(m message, p string) string {
	if !strings.HasPrefix(m.what, "mkstemp") {
		return p
	}
	if g := tempName.FindStringSubmatch(path.Base(p)); g != nil {
		return path.Join(path.Dir(p), g[1])
	}
	return p
}

// textFor returns the message that explains why path differs, or "".
func (m *messages) textFor(p places, path string) string {
	for _, msg := range m.list {
		if rel, ok := p.relative(msg); ok && (rel == path || strings.HasPrefix(path, rel+"/")) {
			return msg.text()
		}
	}
	// Where a relative destination lies is not known; the end of the path will do for a text.
	for _, msg := range m.list {
		if msg.side == sideDestination && path != "" && strings.HasSuffix(untemp(msg, msg.path), "/"+path) {
			return msg.text()
		}
	}
	return ""
}

// vanished returns the paths that vanished from the source, if that is all that went wrong.
func (m *messages) vanished(p places) ([]string, bool) {
	var paths []string
	for _, msg := range m.list {
		rel, ok := p.relative(msg)
		if !msg.vanished || !ok {
			return nil, false
		}
		paths = append(paths, rel)
	}
	return paths, len(paths) > 0 && !m.other
}
