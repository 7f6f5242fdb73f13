package inotify

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/filewatch/filewatch/plugins/internal/dirent"
	"github.com/filewatch/filewatch/plugins/internal/hardlink"
	"github.com/filewatch/filewatch/sdk"
)

// names are those that files were changed by, or got. An event tells the name and not the file, which may have
// others. So the name is looked at, in rounds, and what is seen counts as soon as all events from before
// the look have been handled and none of them took the name away from its file: then it is the file that was
// changed. If one did, all that is left is to search for what has changed lately: losing a name changes a
// file, too.
type names struct {
	links *hardlink.Finder
	asked map[*node]map[string]question // to be looked at
	seen  map[*node]map[string]question // looked at in this round, and not sure
	count int                           // of both
	on    *halfRename

	unseen time.Time // before files may have been changed where nothing was watched; zero if none

	begun, ended uint64    // rounds
	until        uint64    // position of the last event from before the looks of this round
	start        time.Time // of this round
	since        time.Time // all events from before have been handled
}

// question is about the file that had a name when it was changed, or got one.
type question struct {
	since time.Time // before the change was told of
	op    sdk.Op    // 0 of a file that only got the name
}

// halfRename is a rename of a name that is not sure, of which the former half has been handled.
type halfRename struct {
	question
	cookie  uint32
	arrived bool // the latter half has been, too
}

// maxNames bounds what is remembered. Past it everything that has changed is searched for.
const maxNames = 1 << 16

func newNames(l *hardlink.Finder) *names {
	return &names{links: l, asked: make(map[*node]map[string]question), seen: make(map[*node]map[string]question), since: time.Now()}
}

// reset forgets all names: the whole tree is compared.
func (s *names) reset() {
	clear(s.asked)
	clear(s.seen)
	s.count, s.on, s.until, s.unseen = 0, nil, 0, time.Time{}
}

// ask has the name looked at.
func (s *names) ask(n *node, name string, q question) {
	if s.count >= maxNames {
		s.giveUp()
	}
	in := s.asked[n]
	if in == nil {
		in = make(map[string]question)
		s.asked[n] = in
	}
	if old, ok := in[name]; ok {
		q = old.and(q)
	} else {
		s.count++
	}
	in[name] = q
}

func (q question) and(other question) question {
	q.op |= other.op
	if other.since.Before(q.since) {
		q.since = other.since
	}
	return q
}

// take takes back what is not sure about a name.
func (s *names) take(n *node, name string) (q question, ok bool) {
	for _, names := range []map[*node]map[string]question{s.asked, s.seen} {
		other, known := names[n][name]
		if !known {
			continue
		}
		delete(names[n], name)
		s.count--
		if ok {
			other = other.and(q)
		}
		q, ok = other, true
	}
	return q, ok
}

// lost says that it cannot be told any more which file had the name, if something was not sure about it.
func (s *names) lost(n *node, name string) {
	if q, ok := s.take(n, name); ok {
		s.search(q)
	}
}

// search has the file found that a question was about, from what has changed lately.
func (s *names) search(q question) {
	if q.op != 0 {
		s.links.ChangedSince(q.since)
	}
}

// forget is lost for all names in n.
func (s *names) forget(n *node) {
	for _, names := range []map[*node]map[string]question{s.asked, s.seen} {
		for _, q := range names[n] {
			s.search(q)
			s.count--
		}
		delete(names, n)
	}
}

// giveUp is lost for all names.
func (s *names) giveUp() {
	s.links.Link() // perhaps
	for n := range s.asked {
		s.forget(n)
	}
	for n := range s.seen {
		s.forget(n)
	}
}

// handle takes note of an event about a file in n.
func (s *names) handle(n *node, e event) {
	switch {
	case e.has(unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB):
		s.ask(n, e.name, question{s.since, e.ops()})
	case e.has(unix.IN_CREATE):
		s.ask(n, e.name, question{since: s.since})
	case e.has(unix.IN_DELETE):
		s.lost(n, e.name)
	case e.has(unix.IN_MOVED_FROM):
		if q, ok := s.take(n, e.name); ok {
			if s.on != nil { // the same directory at another mount
				q = q.and(s.on.question)
			}
			s.on = &halfRename{question: q, cookie: e.cookie}
		}
	case e.has(unix.IN_MOVED_TO):
		s.lost(n, e.name) // of what was replaced
		q := question{since: s.since}
		if s.on != nil {
			q = s.on.question
			s.on.arrived = true
		}
		s.ask(n, e.name, q)
	}
}

// before is called before an event is handled. The halves of a rename follow each other, but of one that
// ends where nothing is watched the latter is not told.
func (s *names) before(e event) {
	if s.on != nil && (s.on.arrived || !e.has(unix.IN_MOVED_TO) || e.cookie != s.on.cookie) {
		s.endRename()
	}
}

func (s *names) endRename() {
	if s.on != nil && !s.on.arrived {
		s.search(s.on.question)
	}
	s.on = nil
}

// appeared takes note that the files were in n when it came to be watched. They may have been changed before
// that, and have names elsewhere.
func (w *watch) appeared(n *node, files []string) {
	for _, name := range files {
		w.names.ask(n, name, question{w.names.since, sdk.OpWrite | sdk.OpClose})
	}
	w.names.missed()
}

// missed takes note that files may have been changed by names that came and went in a directory before it was
// watched. In a tree where no file has several names that is not likely enough to search for.
func (s *names) missed() {
	if s.unseen.IsZero() {
		s.unseen = s.since
	}
}

// lookAtNames begins a round, if the last one has ended.
func (w *watch) lookAtNames() {
	s := w.names
	if w.handled < s.until {
		return
	}
	s.end()
	s.begun++
	s.start = time.Now()
	for n, names := range s.asked {
		if _, doubt := w.doubt[n]; doubt || !w.tree.attached(n) {
			continue // where it is will be known
		}
		fd, err := w.open(n)
		if err != nil {
			w.doubt[n] = struct{}{}
			continue
		}
		for name, q := range names {
			var st unix.Stat_t
			switch {
			case unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Nlink < 2 || st.Mode&unix.S_IFMT == unix.S_IFDIR:
			case q.op == 0:
				w.links.Link()
			default:
				w.links.Changed(st.Ino, q.op)
			}
		}
		dirent.Settle(fd, "")
		unix.Close(fd)
		delete(s.asked, n)
		s.seen[n] = names
	}
	if !s.unseen.IsZero() && s.links.Linked() {
		s.links.ChangedSince(s.unseen)
	}
	s.unseen = time.Time{}
	s.until = w.queue.Pull()
	if w.handled < s.until {
		return
	}
	s.endRename() // nothing more comes for now
	s.end()
}

// end ends the round: what was seen is sure.
func (s *names) end() {
	if s.ended == s.begun {
		return
	}
	for n, names := range s.seen {
		s.count -= len(names)
		delete(s.seen, n)
	}
	s.ended, s.since = s.begun, s.start
}
