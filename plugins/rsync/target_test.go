package rsync

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk"
)

func TestTarget(t *testing.T) {
	for _, tt := range []struct {
		e    sdk.Endpoint
		want string
	}{
		{sdk.Endpoint{Path: "/srv/a:b"}, "/srv/a:b/"},
		{sdk.Endpoint{Path: "/"}, "/"},
		{sdk.Endpoint{Scheme: "ssh", Host: "h", Path: "/srv/x"}, "h:/srv/x/"},
		{sdk.Endpoint{Scheme: "ssh", User: "u", Host: "::1", Path: "/srv/"}, "u@[::1]:/srv/"},
		{sdk.Endpoint{Scheme: "ssh", Host: "h", Path: ""}, "h:./"},
		{sdk.Endpoint{Scheme: "ssh", Host: "h", Path: "~"}, "h:./"},
		{sdk.Endpoint{Scheme: "ssh", Host: "h", Path: "~//x"}, "h:x/"},
		{sdk.Endpoint{Scheme: "ssh", Host: "h", Port: 22, Path: "rel"}, "h:rel/"},
		{sdk.Endpoint{Scheme: "rsync", Host: "h", Path: "/mod/x"}, "rsync://h/mod/x/"},
		{sdk.Endpoint{Scheme: "rsync", User: "u", Host: "::1", Port: 873, Path: "mod"}, "rsync://u@[::1]:873/mod/"},
	} {
		if got := target(tt.e); got != tt.want || checkEndpoint(tt.e) != "" {
			t.Errorf("%+v: got %q (%s), want %q", tt.e, got, checkEndpoint(tt.e), tt.want)
		}
	}
}

func TestCheckEndpoint(t *testing.T) {
	for _, e := range []sdk.Endpoint{
		{Path: "relative"},
		{Path: ""},
		{Path: "/a\nb"},
		{Scheme: "s3", Host: "bucket", Path: "/x"},
		{Scheme: "ssh", Path: "/x"},
		{Scheme: "ssh", Host: "-oProxyCommand=x", Path: "/x"},
		{Scheme: "ssh", User: "-l", Host: "h", Path: "/x"},
		{Scheme: "ssh", Host: "a b", Path: "/x"},
		{Scheme: "ssh", Host: "h", Path: "/x/*"},
		{Scheme: "ssh", Host: "h", Path: "~other/x"},
		{Scheme: "ssh", Host: "h", Path: "/x\x00"},
		{Scheme: "ssh", User: "a@b", Host: "h", Path: "/x"},
		{Scheme: "rsync", Host: "h", Path: "/"},
	} {
		if checkEndpoint(e) == "" {
			t.Errorf("%+v is accepted", e)
		}
	}
}

// rsync gives the remote shell exactly the words that were joined.
func TestJoinShell(t *testing.T) {
	for _, word := range []string{"x", "", "a b", "'", "''", `"`, `it's "it"`, `'"'"' `, " ", `back\slash`, "$HOME", "`x`", "*", "-o", "tab\there", "é\xff", "a'"} {
		for _, command := range [][]string{{word}, {word, "last"}, {"a", word, word, "b"}} {
			got := remoteShellArgs(t, command)
			if strings.Join(got, "\x00") != strings.Join(command, "\x00") {
				t.Errorf("%q arrives as %q", command, got)
			}
		}
	}
}

func FuzzQuoteShell(f *testing.F) {
	f.Add("it's", `a "b"`)
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsAny(a+b, "\x00") {
			t.Skip("no argument holds a NUL byte")
		}
		if got := splitShell(joinShell([]string{a, b})); len(got) != 2 || got[0] != a || got[1] != b {
			t.Errorf("%q, %q arrive as %q", a, b, got)
		}
	})
}

// remoteShellArgs returns what rsync gives to the remote shell in front of its own words.
func remoteShellArgs(t *testing.T, command []string) []string {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, "args")
	sh := filepath.Join(dir, "sh")
	script := "#!/bin/sh\nfor a; do printf '%s\\0' \"$a\"; done >'" + out + "'\nexit 1\n"
	if err := os.WriteFile(sh, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	// rsync fails, because its remote shell does.
	_ = exec.Command(realRsync, "--rsh="+joinShell(append([]string{sh}, command...)), "-r", dir+"/", "host:/x").Run()
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
	for i, arg := range args {
		if arg == "host" {
			return args[:i]
		}
	}
	t.Fatalf("no host in %q", args)
	return nil
}

// splitShell splits as rsync's do_cmd does.
func splitShell(s string) []string {
	var words []string
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' {
			continue
		}
		var word []byte
		quote := byte(0)
		for i < len(s) && (s[i] != ' ' || quote != 0) {
			if s[i] == '\'' || s[i] == '"' {
				if quote == 0 {
					quote = s[i]
					i++
					continue
				}
				if s[i] == quote {
					i++
					if i == len(s) || s[i] != quote {
						quote = 0
						continue
					}
				}
			}
			word = append(word, s[i])
			i++
		}
		words = append(words, string(word))
	}
	return words
}

// A local path is not expanded, and never taken for a host.
func TestLocalPaths(t *testing.T) {
	t.Parallel()
	f := local(t)
	f.write(f.src, "a")
	for _, name := range []string{"*", "host:x", "[a]", "-dash", " ", "nl", "\\"} {
		f.req.Destination.Path = filepath.Join(f.dst, name)
		f.sync(paths("a")...)
		if !f.exists(name + "/a") {
			t.Errorf("%q: not where it belongs", name)
		}
	}
}
