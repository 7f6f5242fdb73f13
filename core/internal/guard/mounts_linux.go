package guard

import "strings"

// mountEntry is one line of mountinfo.
type mountEntry struct {
	id     string
	fsType string
	Mount
}

// mounts returns all mounts that this process sees, none where /proc is not mounted.
func mounts() ([]mountEntry, error) {
	text, err := readProc("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(text), nil
}

// parseMounts reads the format of proc_pid_mountinfo(5). A line that it does not understand is left out.
func parseMounts(text string) (table []mountEntry) {
	for line := range strings.Lines(text) {
		before, after, found := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		where, what := strings.Split(before, " "), strings.Split(after, " ")
		if !found || len(where) < 6 || len(what) < 2 {
			continue
		}
		table = append(table, mountEntry{
			id:     where[0],
			fsType: string(unescape(what[0])),
			Mount:  Mount{Root: unescape(where[3]), Point: unescape(where[4]), Source: unescape(what[1])},
		})
	}
	return table
}

// unescape undoes the kernel's escapes for space, tab, newline, backslash and "#": \ and three octal digits.
func unescape(s string) Path {
	if !strings.Contains(s, `\`) {
		return Path(s)
	}
	digit := func(c byte, max byte) bool { return c >= '0' && c <= max }
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && digit(s[i+1], '3') && digit(s[i+2], '7') && digit(s[i+3], '7') {
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, s[i])
	}
	return Path(out)
}
