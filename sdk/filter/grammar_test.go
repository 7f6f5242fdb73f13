package filter

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostileNames are names that mean something to the pattern language, to rsync, or to the decoding of
// its output.
var hostileNames = []string{
	"a", "b", "ab", "ba", "aa", "abc", "b.swp", "a.b", "-", "- a", "+ a", "!", "!a", "#a", ";a", " ", " a", "a ", "*", "a*", "**", "?",
	"[", "]", "[a]", "[!a]", "^", `\`, `a\b`, `\*`, `a\`, `\#011`, "a\nb", "\t", "\x7f", "\x01", "\r", "\v", "\xff", "a\xff", "é", "'", `"`, "$a", "~",
	"0", "9a", "A", "_", ":", "[:alpha:]", ".a", "..a", "-rf", "--", "a-b", "c", "x", "cache", strings.Repeat("a", 255), strings.Repeat("é", 127) + "b",
}

// entries maps the paths of a tree to whether they are directories.
type entries map[string]bool

// makeTree fills root with the hostile names, as files, directories and links to a directory.
func makeTree(t *testing.T, root string, r *rand.Rand) entries {
	t.Helper()
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	tree := entries{}
	dirs := []string{""}
	add := func(path string, kind int) {
		if _, ok := tree[path]; ok {
			return
		}
		full := filepath.Join(root, path)
		var err error
		switch kind {
		case 0:
			err = os.Mkdir(full, 0o755)
			dirs = append(dirs, path)
		case 1:
			err = os.Symlink("/", full)
		default:
			err = os.WriteFile(full, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		tree[path] = kind == 0
	}
	for i, name := range hostileNames {
		add(name, i%4)
	}
	// Directories with the names that patterns are most likely to mention, some levels deep.
	for range 20 {
		dir := dirs[r.IntN(len(dirs))]
		if strings.Count(dir, "/") < 3 && len(dir) < 300 {
			add(join(dir, hostileNames[r.IntN(8)]), 0)
		}
	}
	for range 80 {
		add(join(dirs[r.IntN(len(dirs))], hostileNames[r.IntN(16)]), 1+r.IntN(5))
	}
	return tree
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// randomPatterns returns a list from a grammar that reaches all of the pattern language, at times
// malformed.
func randomPatterns(r *rand.Rand) []string {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	name := func() string { return hostileNames[r.IntN(len(hostileNames))] }
	set := func() string {
		s := "["
		if r.IntN(3) == 0 {
			s += pick("!", "^")
		}
		for range 1 + r.IntN(3) {
			s += pick("a", "b", "a-c", "-", "]", "[", "!", `\]`, `\\`, `\-`, "a-", "[:alpha:]", "[:punct:]", "[:space:]", "[:upper:]", "[:digit:]",
				"[:cntrl:]", "[:print:]", "[:graph:]", "[:blank:]", "[:alnum:]", "[:xdigit:]", "[:lower:]", "[:digit:]-", "a-c-", "[:", ":]", "/", "*", "**", "\x80-\xff", "z-a", ".", "0-9", "[:x:]")
		}
		if r.IntN(20) > 0 {
			s += "]"
		}
		return s
	}
	piece := func() string {
		switch r.IntN(10) {
		case 0, 1:
			return name()
		case 2, 3:
			return pick("a", "b", "c")
		case 4, 5:
			return "*"
		case 6:
			return "?"
		case 7:
			return set()
		case 8:
			return pick("**", "**", "***", "/", "//")
		default:
			return `\` + pick("a", "*", "[", "]", "?", `\`, "/", "")
		}
	}
	pattern := func() string {
		p := pick("", "", "", "", "/", "/", "**/", "*/", "**", "*", "- ", "+ ", "+ ", "!")
		for i := range 1 + r.IntN(3) {
			if i > 0 {
				p += "/"
			}
			for range 1 + r.IntN(3) {
				p += piece()
			}
		}
		return p + pick("", "", "", "", "/", "/***", "/**", "***", "*")
	}
	var patterns []string
	// Without this most lists exclude all directories at the top, and nothing deep is ever asked about.
	if r.IntN(2) == 0 {
		patterns = append(patterns, "+ */")
	}
	for range 1 + r.IntN(4) {
		p := pattern()
		if r.IntN(60) == 0 {
			p = pick("", "!", "- ", "+ ", "/", "//", "**", "***", "/***", "-", "+", "!a", "- !", "! ", `\`)
		}
		patterns = append(patterns, p)
	}
	return patterns
}
