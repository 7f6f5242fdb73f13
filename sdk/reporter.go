package sdk

// Reporter takes what a Watcher sees. Its methods never block and may be called concurrently: what
// the core has not taken yet is merged in bounded memory, and becomes subtrees past the bound.
type Reporter interface {
	// Ready says that every change from now on will be reported. It is called once. Changes reported
	// before it are dropped, for the core compares the whole tree after it.
	Ready()
	// Change reports that a path may differ.
	Change(c Change)
	// Unwatched replaces the list of subtrees in which changes are not seen; the core looks after them
	// in another way. The reason says why, with numbers, and what to do. No paths: all is watched.
	Unwatched(paths []string, reason string)
}
