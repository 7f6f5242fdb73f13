package watch

// Looks reports whether something is polled: then what comes and goes between two looks is not reported.
func (r *Root) Looks() bool {
	if r.config.Choice != nil {
		if name, _ := r.config.Choice(); name == pollName {
			return true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.unwatched) > 0
}
