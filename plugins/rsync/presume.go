package rsync

import (
	"maps"
	"strings"
)

// maxPresumed bounds what is remembered of presumed removals: some 10 MiB.
const maxPresumed = 100_000

// presumed returns what is remembered for a peer.
func (t *transport) presumed(key peer) map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.removals[key] == nil {
		t.removals[key] = map[string]bool{}
	}
	return t.removals[key]
}

// presume counts a run that has ended. rsync at the far end tells of what it has removed only when it is
// through, so that one which dies in the midst of it may have removed all that it was to, without a word:
// so many count. A path that counts once does not count again when the next try removes it.
func (s *session) presume(j job, out *outcome) {
	if !out.counted {
		return
	}
	s.died = s.died || !out.ran()
	maps.Copy(s.over, out.stdout.over)
	s.overMore = s.overMore || len(s.over) > maxOver
	known := out.stdout.deleted - out.stdout.again
	var presumed uint64
	switch {
	case out.ran():
		for _, p := range j.gone {
			delete(s.presumed, p)
		}
	case out.mode.dry || out.untouched():
	case out.mode.thorough:
		presumed = uint64(max(out.mode.expect, 0))
	default:
		if len(s.presumed) > maxPresumed {
			clear(s.presumed)
		}
		for _, p := range j.gone {
			if s.req.Delete && !s.presumed[p] {
				s.presumed[p] = true
				presumed++
			}
		}
	}
	s.count.add(out, presumed-min(presumed, known))
}

// untouched reports whether a run ended before it could do anything at the destination.
func (o *outcome) untouched() bool {
	switch o.exit.Code {
	case 1, 2, 3, 4, 5, 6, 10, 35, 126, 127: // before or during the handshake
		return true
	}
	return strings.Contains(o.exit.Stderr, "(0 bytes received so far)")
}
