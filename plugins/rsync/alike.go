package rsync

import "time"

// rsync takes a file for unchanged whose size and modification time are those of the destination's. Who sets the time
// back after writing leaves no other trace for it (cp -p, touch -r, rsync itself), nor does a kernel whose clock has
// not gone on between two writes, of which the first one has been sent. Whoever watches has seen the writing, though:
// a file that was written, and that rsync has not sent, is compared by content as well. A comparison of everything has
// no such sign, and goes by size and time, unless checksum is on.

// written returns the paths of the request of which the content may not be what the destination has.
func (s *session) written() map[string]bool {
	if s.req.DryRun {
		return nil
	}
	paths := map[string]bool{}
	for _, c := range s.req.Changes {
		if !s.renamed[c.Path] && c.MayBeWritten() {
			paths[c.Path] = true
		}
	}
	return paths
}

// slowest is how many bytes a second are read of a file at least. While one side reads files to compare them, the other
// one hears nothing, and gives up after the timeout (measured with rsync 3.5).
const slowest = 1 << 20

// alikeSteps compares the files of a list by content that were written and that no run before has sent, a few at a time.
func (s *session) alikeSteps(entries []entry) []step {
	var files []entry
	for _, e := range entries {
		if s.alike[e.path] && e.size > 0 { // only a regular file has a size
			files = append(files, e)
		}
	}
	limit := uint64(s.config.Timeout/time.Second) * slowest
	var steps []step
	for len(files) > 0 {
		n, size := 1, files[0].size
		for n < len(files) && size+files[n].size <= limit {
			size += files[n].size
			n++
		}
		part := files[:n]
		files = files[n:]
		steps = append(steps, step{func() (job, bool) {
			j := s.alikeJob(part, size <= limit)
			return j, len(j.list) > 0 && !s.checks()
		}, blameEntries(part)})
	}
	return steps
}

// alikeJob compares what has not been sent of a list by content, but for what could not be. If the files are not read
// at once they are sent as though they were different, block by block.
func (s *session) alikeJob(files []entry, read bool) job {
	var left []entry
	for _, e := range files {
		if _, failed := s.failed[e.path]; s.alike[e.path] && !failed {
			left = append(left, e)
		}
	}
	j := s.pathsJob(left)
	j.alike = true
	if read {
		j.flags = append(j.flags, "--checksum")
	} else {
		j.flags = append(j.flags, "--ignore-times")
	}
	return j
}
