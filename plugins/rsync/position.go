package rsync

// rsync says what it has sent of a file when it is through with it. Until then the kernel knows: how far a sending rsync
// has read the file, which it does from its beginning to its end, and how much it has written. No option of rsync is
// needed for that, and it costs nothing before stuckInterval.

// position is how far a sending rsync is.
type position struct {
	wrote uint64 // bytes, of all files, and of all else that it has told the far end
	open  bool   // it has a file open, and may be about to send it
	read  uint64 // bytes of that file
}

// look reports how far a running rsync is in the file that it sends.
func (s *session) look(pid int, o *output) {
	if o.progress == nil {
		return
	}
	s.count.look(o, positionOf(pid, s.places.roots), !s.checks())
}

// checks reports whether files are read before it is known whether they are sent.
func (s *session) checks() bool {
	return s.config.Checksum || s.config.hasArg("--checksum", "c") || !s.caps.nanoseconds // see treesJob and pathsJob
}
