package watch

import (
	"fmt"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk"
)

// maxNamed bounds how many subtrees a status names.
const maxNamed = 10

// Status tells how changes are seen.
func (r *Root) Status() status.Watch {
	var w status.Watch
	if r.config.Choice != nil {
		w.Watcher, w.Why = r.config.Choice()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	unseen, why := r.unseen()
	w.Watched = len(unseen) == 0
	if len(r.unwatched) == 0 {
		return w
	}
	for i, p := range r.unwatched {
		if i == maxNamed {
			w.FallbackMore = len(r.unwatched) - maxNamed
			break
		}
		if p != "" {
			p = sdk.Change{Path: p}.String()
		}
		w.Fallback = append(w.Fallback, p)
	}
	what := fmt.Sprintf("%s not watched", subtrees(r.unwatched))
	switch {
	case w.Watched:
		what += ", but polled"
	case r.polled != nil:
		what += fmt.Sprintf(", and %s neither watched nor polled but compared every %v", subtrees(unseen), unwatchedRescan)
	default:
		what += fmt.Sprintf(", but compared every %v", unwatchedRescan)
	}
	w.Degraded = what + ": " + r.reason
	if !w.Watched && why != r.reason {
		w.Degraded += "; " + why
	}
	if !r.ready && w.Watched {
		w.Watcher = pollName
	}
	return w
}

func subtrees(paths []string) string {
	switch {
	case covers(paths, ""):
		return "the source is"
	case len(paths) == 1:
		return "1 subtree is"
	}
	return fmt.Sprintf("%d subtrees are", len(paths))
}
