package pluginhost

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// logged returns what a process's standard error becomes in the daemon's log.
func logged(t testing.TB, format string, lines ...string) string {
	var b bytes.Buffer
	o := &output{log: hclog.New(&hclog.LoggerOptions{
		Name: "p", Level: hclog.Trace, Output: &b, DisableTime: true, JSONFormat: format == "json",
	})}
	for _, line := range lines {
		o.stderr([]byte(line), false)
	}
	return b.String()
}

func TestOutputStderr(t *testing.T) {
	tests := []struct {
		name, line, want string
	}{
		{"entry", `{"@level":"warn","@message":"hello","@timestamp":"2024-01-02T03:04:05.000000Z","sync":"docker","b":1,"a":"x y"}`,
			`[WARN]  p: hello: sync=docker a="x y" b=1`},
		{"numbers stay exact", `{"@level":"info","@message":"m","n":12345678901234567890,"f":1.50}`,
			`[INFO]  p: m: f=1.50 n=12345678901234567890`},
		{"nested values", `{"@level":"info","@message":"m","l":["a",1],"n":null,"t":true}`,
			`[INFO]  p: m: l="[\"a\",1]" n=null t=true`},
		{"module and caller are the plugin's own", `{"@level":"info","@message":"m","@module":"x","@caller":"y"}`,
			`[INFO]  p: m`},
		{"unknown level", `{"@level":"loud","@message":"m"}`, `[INFO]  p: m`},
		{"level off", `{"@level":"off","@message":"m"}`, `[INFO]  p: m`},
		{"a message cannot forge a line", `{"@level":"info","@message":"a\n2024 [ERROR] b\u001b[2J"}`,
			`[INFO]  p: a\n2024 [ERROR] b\x1b[2J`},
		{"nor can a value", `{"@level":"info","@message":"m","v":"a\n[ERROR] b"}`,
			`[INFO]  p: m: v="a\n[ERROR] b"`},
		{"nor can a key", `{"@level":"info","@message":"m","k\n[ERROR]":1,"a b":2,"":3}`, `[INFO]  p: m`},
		{"level of another type", `{"@level":null,"@message":"m"}`, `[INFO]  p: {"@level":null,"@message":"m"}`},
		{"message of another type", `{"@level":"info","@message":1}`, `[INFO]  p: {"@level":"info","@message":1}`},
		{"timestamp of another type", `{"@level":"info","@message":"m","@timestamp":5}`, `[INFO]  p: m`},
		{"no level", `{"@message":"m"}`, `[INFO]  p: {"@message":"m"}`},
		{"other JSON", `{}`, `[INFO]  p: {}`},
		{"two values", `{"@level":"info","@message":"m"} x`, `[INFO]  p: {"@level":"info","@message":"m"} x`},
		{"broken JSON", `{"@level":"info"`, `[INFO]  p: {"@level":"info"`},
		{"text", `hello "you" \ there`, `[INFO]  p: hello "you" \ there`},
		{"text with controls", "a\x1b[31mb\x00c\xff", `[INFO]  p: a\x1b[31mb\x00c\xff`},
		{"percent signs", `100% %s %n`, `[INFO]  p: 100% %s %n`},
		{"nothing", ``, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := strings.TrimSuffix(logged(t, "text", test.line), "\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOutputPanic(t *testing.T) {
	var b bytes.Buffer
	o := &output{log: hclog.New(&hclog.LoggerOptions{Name: "p", Output: &b, DisableTime: true})}
	for _, line := range []string{"before", "panic: boom", "", "goroutine 1 [running]:", "exit status 2"} {
		o.stderr([]byte(line), false)
	}
	want := "[INFO]  p: before\n[ERROR] p: panic: boom\n[ERROR] p: goroutine 1 [running]:\n[ERROR] p: exit status 2\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if got := o.lastWords(); got != "panic: boom" {
		t.Errorf("lastWords = %q, want the panic", got)
	}
}

func TestOutputCutsLines(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	want := "[INFO]  p: " + long[:maxText] + " … (line cut)\n"
	if got := logged(t, "text", long); got != want {
		t.Errorf("a long line is %d bytes in the log, want %d", len(got), len(want))
	}
}

// Whatever a plugin prints is one line of the log, printable, and nothing panics.
func FuzzOutputStderr(f *testing.F) {
	for _, line := range []string{
		`{"@level":"info","@message":"m","sync":"s","k":[{"a":1}]}`,
		`{"@level":null}`, `{"@message":1}`, `{"@timestamp":5}`, `{"@level":"info","@message":"m","":""}`,
		`panic: x`, "\x1b[2J\xff\xfe", `{"@level":"error","@message":"a\nb","a=b":"c\nd"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.ContainsRune(line, '\n') {
			return // a lineWriter passes on no such line
		}
		text := strings.TrimSuffix(logged(t, "text", string(line)), "\n")
		if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("log %q holds an unprintable character", text)
		}
		doc := logged(t, "json", string(line))
		if doc == "" {
			return
		}
		var parsed map[string]any
		if err := json.Unmarshal([]byte(doc), &parsed); err != nil {
			t.Fatalf("log %q: %v", doc, err)
		}
		if parsed["@module"] != "p" {
			t.Errorf("log %q hides the plugin's name", doc)
		}
	})
}
