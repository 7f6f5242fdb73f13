package mounts

import (
	"strconv"
	"strings"
)

// mount is one line of the system's mount table.
type mount struct {
	id, parent uint64
	device     string // major:minor
	root       string // what of the file system is mounted
	at         string // absolute path
	fstype     string
	source     string
}

// parse reads a mount table, as in proc_pid_mountinfo(5). Lines that are not understood are left out.
func parse(table string) []mount {
	var all []mount
	for line := range strings.Lines(table) {
		// ID parent major:minor root mountpoint options [tags …] - type source options
		head, tail, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		fields, rest := strings.Split(head, " "), strings.Split(tail, " ")
		if !ok || len(fields) < 6 || len(rest) < 2 {
			continue
		}
		id, err := strconv.ParseUint(fields[0], 10, 64)
		parent, err2 := strconv.ParseUint(fields[1], 10, 64)
		if err != nil || err2 != nil {
			continue
		}
		all = append(all, mount{id, parent, fields[2], unescape(fields[3]), unescape(fields[4]), rest[0], unescape(rest[1])})
	}
	return all
}

// unescape undoes the octal escapes of the mount table.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// visible returns what is mounted below root, which is absolute and free of symlinks, by path relative to
// it. What another mount hides is not there.
func visible(all []mount, root string) map[string]mount {
	known := make(map[uint64]bool, len(all))
	children := make(map[uint64][]mount)
	for _, m := range all {
		known[m.id] = true
		if m.parent != m.id {
			children[m.parent] = append(children[m.parent], m)
		}
	}
	// resolve returns the mount that path leads to, by way of those that it crosses.
	resolve := func(at mount, path string) mount {
		for hops := 0; hops <= len(all); {
			next, found := mount{}, false
			for _, c := range children[at.id] {
				if _, ok := under(path, c.at); ok && (!found || len(c.at) < len(next.at)) {
					next, found = c, true
				}
			}
			if !found {
				break
			}
			at = next
			hops++
		}
		return at
	}
	var top mount
	for _, m := range all {
		if !known[m.parent] || m.parent == m.id {
			top = m
			break
		}
	}
	below := make(map[string]mount)
	for _, m := range all {
		rel, ok := under(m.at, root)
		if !ok || rel == "" {
			continue
		}
		if got := resolve(top, m.at); got.at == m.at {
			below[rel] = got
		}
	}
	return below
}

// under returns path relative to dir, and whether it lies there.
func under(path, dir string) (rel string, ok bool) {
	if path == dir {
		return "", true
	}
	return strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
