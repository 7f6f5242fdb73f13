package rsync

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
)

// caps are what the rsync at the far end can do.
type caps struct {
	// missingArgs: it deletes paths that a list names and that are gone (--delete-missing-args). rsync
	// before 3.1 cannot; 3.4.3 and distributions' 3.2.7 with its security fixes end with "invalid file
	// mode" (github.com/RsyncProject/rsync/issues/910).
	missingArgs bool
	// nanoseconds: it compares times exactly (--modify-window=-1); rsync before 3.1.3 compares seconds.
	nanoseconds bool
	// skips: it names the files that it leaves out because of their size (--info=skip); rsync before 3.1 cannot.
	skips bool
}

var allCaps = caps{missingArgs: true, nanoseconds: true, skips: true}

// probedCaps are caps with what they were found for.
type probedCaps struct {
	caps
	key string // configuration that was probed
}

// unknownOption is what rsync, here or there, says to an option that it does not have.
var unknownOption = regexp.MustCompile(`(?m)^rsync: (?:on remote machine: )?(-\S+): unknown option`)

// downgrade returns the caps to try after a probe with c ended so, or false when the end has nothing
// to do with them.
func (c caps) downgrade(code int, stderr string) (caps, bool) {
	next := c
	if code == 2 && strings.Contains(stderr, "invalid file mode") {
		next.missingArgs = false
	}
	if g := unknownOption.FindStringSubmatch(stderr); g != nil {
		switch {
		case strings.HasPrefix(g[1], "--delete-missing-args"):
			next.missingArgs = false
		case strings.HasPrefix(g[1], "-@") || strings.HasPrefix(g[1], "--modify-window"):
			next.nanoseconds = false
		case strings.HasPrefix(g[1], "--info"):
			next.skips = false
		}
	}
	return next, next != c
}

// probed sees to it that s.caps holds what the far end can do.
func (s *session) probed(ctx context.Context) error {
	key, config := s.peer(), s.capsKey()
	s.t.mu.Lock()
	known := s.t.caps[key]
	s.t.mu.Unlock()
	if known.key != config {
		c, err := s.probe(ctx)
		if err != nil {
			return err
		}
		known = probedCaps{c, config}
		s.t.mu.Lock()
		s.t.caps[key] = known
		s.t.mu.Unlock()
	}
	s.caps = known.caps
	return nil
}

// capsKey changes with all that a probe depends on.
func (s *session) capsKey() string { return fmt.Sprintf("%v %q", s.req.Delete, s.commonArgs(allCaps)) }

// probe finds out what the far end can do with dry runs, which change nothing there.
func (s *session) probe(ctx context.Context) (caps, error) {
	c := allCaps
	// A missing path breaks the affected versions only when it follows another entry: "./" makes the
	// root one. The filter must not drop it, so that none is sent.
	list := []string{"./.filewatch-probe-" + rand.Text()}
	for {
		args := s.commonArgs(c)
		args = append(args, "-n", "--from0", "--files-from=-")
		if c.skips {
			args = append(args, "--info=skip")
		}
		switch {
		case !s.req.Delete:
			list = nil // the options alone are in question
		case c.missingArgs:
			args = append(args, "--delete", "--force", "--delete-missing-args")
		default:
			args = append(args, "--delete", "--force")
			list = nil
		}
		out := &outcome{mode: mode{limit: noLimit, dry: true}}
		if err := s.rsync(ctx, args, list, out); err != nil {
			return caps{}, err
		}
		if out.exit.OK() {
			return c, nil
		}
		next, ok := c.downgrade(out.exit.Code, out.exit.Stderr)
		if !ok {
			if out.partial() {
				return c, nil // something about the root's attributes; the run will tell
			}
			return caps{}, s.failure(out)
		}
		c = next
	}
}
