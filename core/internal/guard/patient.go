package guard

import "github.com/filewatch/filewatch/core/internal/answer"

// patient is a Looker that waits no longer than answer.Time. The error matches answer.Err then.
type patient struct {
	Looker
	paths answer.Paths
}

// Look implements Looker.
func (p *patient) Look(root string, ignored func(string, bool) bool) (Sight, error) {
	return answer.Within(&p.paths, root, func() (Sight, error) { return p.Looker.Look(root, ignored) })
}
