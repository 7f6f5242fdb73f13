package pluginhost

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/hashicorp/go-hclog"
)

// output turns what one plugin process prints into lines of the log. go-plugin would do so too, but
// panics on JSON of unexpected types (parseJSON in v1.8.0) and drops what is printed at the wrong
// time.
type output struct {
	log hclog.Logger // named after the plugin

	mu      sync.Mutex // guards the fields below
	last    string     // last plain line on standard error
	panicky string     // first line of a panic
}

// stderr takes a line from the process's standard error: a line of hclog's JSON, or plain text.
func (o *output) stderr(line []byte, cut bool) {
	if e, ok := parseEntry(line); ok && !cut {
		o.log.Log(e.level, e.message, e.args...)
		return
	}
	text := plain(line, cut)
	if text == "" {
		return
	}
	o.mu.Lock()
	if o.panicky == "" && (strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")) {
		o.panicky = text
	}
	o.last = text
	level := hclog.Info
	if o.panicky != "" {
		// What follows is the stack, up to the end of the process.
		level = hclog.Error
	}
	o.mu.Unlock()
	o.log.Log(level, text)
}

// stdout takes a line from the process's standard output, which belongs to the handshake.
func (o *output) stdout(line []byte, cut bool) {
	if text := plain(line, cut); text != "" {
		o.log.Warn(text, "printed_to", "stdout")
	}
}

// lastWords returns what the process said before it died: its panic, or its last plain line.
func (o *output) lastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.panicky != "" {
		return o.panicky
	}
	return o.last
}

// entry is a log line of a plugin.
type entry struct {
	level   hclog.Level
	message string
	args    []any
}

// parseEntry reads a line of hclog's JSON. It takes nothing for granted: plugins in other languages
// write these lines by hand.
func parseEntry(line []byte) (entry, bool) {
	if !bytes.HasPrefix(line, []byte{'{'}) {
		return entry{}, false
	}
	var raw map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil || d.More() {
		return entry{}, false
	}
	message, ok := raw["@message"].(string)
	if !ok {
		return entry{}, false
	}
	name, ok := raw["@level"].(string)
	if !ok {
		return entry{}, false
	}
	e := entry{level: hclog.LevelFromString(name), message: printable(message)}
	if e.level == hclog.NoLevel || e.level == hclog.Off {
		e.level = hclog.Info
	}
	if sync, ok := raw["sync"]; ok {
		e.args = append(e.args, "sync", value(sync))
		delete(raw, "sync")
	}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		// The host's log has its own time, and its own meaning for keys with an @.
		if logKey.MatchString(key) {
			e.args = append(e.args, key, value(raw[key]))
		}
	}
	return e, true
}

// logKey is a key that no format of the log has to escape.
var logKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`)

// value returns v, from JSON, as something that hclog can print on one line.
func value(v any) any {
	switch v := v.(type) {
	case string:
		return printable(v)
	case bool, json.Number:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// maxText is how much of a plain line goes to the log.
const maxText = 4 << 10

// plain returns a line that is no log entry as text for the log.
func plain(line []byte, cut bool) string {
	if len(line) > maxText {
		line, cut = line[:maxText], true
	}
	text := printable(string(line))
	if cut {
		text += " … (line cut)"
	}
	return text
}

// printable escapes what could forge a line of the log or command a terminal.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
