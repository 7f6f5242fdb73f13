package schema_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"pgregory.net/rapid"

	"github.com/filewatch/filewatch/sdk/schema"
)

// defaults returns a config in which every field holds something.
func defaults() *config {
	return &config{
		Archive: true,
		Small:   1, Count: 2, Port: 3, Big: 4,
		Ratio: 0.5, Rough: 0.25,
		Timeout: time.Minute,
		Level:   "info",
		Args:    []string{"-x"},
		Waits:   []time.Duration{time.Second},
		Env:     map[string]string{"A": "a"},
		Matrix:  map[level][]int{"m": {1}},
		SSH:     &ssh{Port: 22, Key: "/k"},
		Limits:  limits{Rate: 9},
		Filters: []filter{{Exclude: "*.o"}},
		Derived: "kept",
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	everythingNull := `{"name":"n","archive":null,"small":null,"count":null,"port":null,"big":null,"ratio":null,
		"rough":null,"timeout":null,"level":null,"args":null,"waits":null,"env":null,"matrix":null,
		"ssh":null,"limits":null,"filter":null}`
	for _, data := range []string{`{"name":"n"}`, everythingNull, `{"name":"n","filter":[]}`} {
		got := defaults()
		if err := schema.Decode([]byte(data), got); err != nil {
			t.Fatalf("Decode(%s): %v", data, err)
		}
		want := defaults()
		want.Name = "n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Decode(%s) (-want +got):\n%s", data, diff)
		}
	}
	for _, data := range []string{"", "null", "{}"} {
		got := ssh{Port: 22}
		if err := schema.Decode([]byte(data), &got); err != nil || got != (ssh{Port: 22}) {
			t.Errorf("Decode(%q) = %+v, %v, want the defaults", data, got, err)
		}
	}
}

func TestDecodeReplacesDefaults(t *testing.T) {
	got := defaults()
	shared := got.SSH
	data := `{"name":"n","archive":false,"small":-128,"count":-9223372036854775808,"port":65535,
		"big":18446744073709551615,"ratio":1e300,"rough":-1.5,"timeout":"100s","level":"debug","args":[],
		"waits":["1h30m","0"],"env":{"B":"b"},"matrix":{"x":[1,2]},"ssh":{"port":2222,"jump":{"host":"j"}},
		"limits":{"rate":1},"filter":[{"exclude":"a","after":"2s"},{"exclude":"b"}]}`
	if err := schema.Decode([]byte(data), got); err != nil {
		t.Fatal(err)
	}
	want := &config{
		Name:  "n",
		Small: -128, Count: math.MinInt64, Port: math.MaxUint16, Big: math.MaxUint64,
		Ratio: 1e300, Rough: -1.5,
		Timeout: 100 * time.Second,
		Level:   "debug",
		Args:    []string{},
		Waits:   []time.Duration{90 * time.Minute, 0},
		Env:     map[string]string{"B": "b"},
		Matrix:  map[level][]int{"x": {1, 2}},
		SSH:     &ssh{Port: 2222, Key: "/k", Jump: &jump{Host: "j"}}, // key: the default
		Limits:  limits{Rate: 1},
		Filters: []filter{{"a", 2 * time.Second}, {"b", 0}},
		Derived: "kept",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
	if shared.Port != 22 {
		t.Errorf("Decode wrote to the struct that held the defaults of a block")
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct {
		data string // without the required name
		want []string
	}{
		{`"archive":1`, []string{`archive: need true or false, have 1`}},
		{`"level":true`, []string{`level: need a string, have true`}},
		{`"level":{}`, []string{`level: need a string, have an object`}},
		{`"port":"22"`, []string{`port: need a number, have "22"`}},
		{`"port":65536`, []string{`port: 65536 is too large: at most 65535`}},
		{`"port":-1`, []string{`port: -1 is too small: at least 0`}},
		{`"port":22.5`, []string{`port: 22.5 is not a whole number`}},
		{`"port":2.2e1`, nil},
		{`"port":22.0`, nil},
		{`"small":128`, []string{`small: 128 is too large: at most 127`}},
		{`"small":-129`, []string{`small: -129 is too small: at least -128`}},
		{`"count":9223372036854775808`, []string{`count: 9223372036854775808 is too large: at most 9223372036854775807`}},
		{`"big":18446744073709551616`, []string{`big: 18446744073709551616 is too large: at most 18446744073709551615`}},
		{`"big":-1e400`, []string{`big: -1e400 is too small: at least 0`}},
		{`"count":1e99999`, []string{`count: 1e99999 is too large: at most 9223372036854775807`}},
		{`"count":1e999999999`, []string{`count: 1e999999999 is too large`}},
		{`"count":1e99999999999`, []string{`count: 1e99999999999 is too large`}},
		{`"count":1e-5`, []string{`count: 1e-5 is not a whole number`}},
		{`"ratio":1e309`, []string{`ratio: 1e309 is too large`}},
		{`"rough":1e39`, []string{`rough: 1e39 is too large`}},
		{`"timeout":"soon"`, []string{`timeout: "soon" is not a duration such as "1.5s", "2m" or "1h30m"`}},
		{`"timeout":100`, []string{`timeout: need a duration such as "1.5s", "2m" or "1h30m", have 100`}},
		{`"args":"-x"`, []string{`args: need a list, have "-x"`}},
		{`"args":["-x",null,3]`, []string{`args[1]: null is not allowed here`, `args[2]: need a string, have 3`}},
		{`"env":[]`, []string{`env: need a map, have a list`}},
		{`"env":{"A":"a","b c":1}`, []string{`env["b c"]: need a string, have 1`}},
		{`"matrix":{"x":[1,"2"]}`, []string{`matrix.x[1]: need a number, have "2"`}},
		{`"ssh":[]`, []string{`ssh: need a block, have a list`}},
		{`"ssh":{"port":"a","jump":{}}`, []string{`ssh.port: need a number, have "a"`, `ssh.jump.host: this attribute is required`}},
		{`"filter":{}`, []string{`filter: need a list of blocks, have an object`}},
		{`"filter":[null]`, []string{`filter[0]: need a block, have null`}},
		{`"filter":[{"exclude":"a"},{"exclude":null,"after":"x"}]`, []string{
			`filter[1].exclude: this attribute is required`,
			`filter[1].after: "x" is not a duration such as "1.5s", "2m" or "1h30m"`,
		}},
		{`"Derived":"x","derived":"y"`, []string{
			`Derived: there is no attribute or block of this name`,
			`derived: there is no attribute or block of this name`,
		}},
	}
	for _, test := range tests {
		err := schema.Decode([]byte(`{"name":"n",`+test.data+`}`), defaults())
		if diff := cmp.Diff(strings.Join(test.want, "\n"), text(err)); diff != "" {
			t.Errorf("Decode(%s) (-want +got):\n%s", test.data, diff)
		}
	}
	whole := []struct{ data, want string }{
		{`{`, `the configuration is not JSON: unexpected EOF`},
		{`{"name":"n"} {}`, `the configuration is more than one JSON value`},
		{`[]`, `need a block, have a list`},
		{`{}`, `name: this attribute is required`},
		{`{"name":null}`, `name: this attribute is required`},
		{``, `name: this attribute is required`},
	}
	for _, test := range whole {
		if got := text(schema.Decode([]byte(test.data), defaults())); got != test.want {
			t.Errorf("Decode(%q): %q, want %q", test.data, got, test.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDecodeErrorPath(t *testing.T) {
	err := schema.Decode([]byte(`{"name":"n","filter":[{"exclude":"a"},{"exclude":1}]}`), &config{})
	errs, ok := errors.AsType[schema.Errors](err)
	if !ok || len(errs) != 1 {
		t.Fatalf("Decode: %v, want one error", err)
	}
	if diff := cmp.Diff([]any{"filter", 1, "exclude"}, errs[0].Path); diff != "" {
		t.Errorf("path (-want +got):\n%s", diff)
	}
}

func TestDecodeLeavesRefusedFieldsAlone(t *testing.T) {
	got := defaults()
	if err := schema.Decode([]byte(`{"name":1,"args":["a",1],"env":{"a":1},"port":-1,"timeout":"x"}`), got); err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(defaults(), got); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
}

// The way that a block really goes: HCL, decoded with the schema, as JSON into the struct.
func TestDecodeFromHCL(t *testing.T) {
	src := `
		name    = "n"
		count   = 9007199254740993
		timeout = "100s"
		args    = ["-x", 3]
		env     = { A = "a" }
		matrix  = { x = [1, 2] }
		ssh {
			port = "2222"
			jump { host = "j" }
		}
		filter { exclude = "*.o" }
		filter {
			exclude = "*.a"
			after   = "1m"
		}`
	file, diags := hclsyntax.ParseConfig([]byte(src), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	value, diags := hcldec.Decode(file.Body, spec(t, schema.Of(&config{})), nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	data, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		t.Fatal(err)
	}
	got := &config{Archive: true, SSH: &ssh{Key: "/k"}}
	if err := schema.Decode(data, got); err != nil {
		t.Fatalf("Decode(%s): %v", data, err)
	}
	want := &config{
		Name:    "n",
		Archive: true,
		Count:   9007199254740993, // not a float64
		Timeout: 100 * time.Second,
		Args:    []string{"-x", "3"},
		Env:     map[string]string{"A": "a"},
		Matrix:  map[level][]int{"x": {1, 2}},
		SSH:     &ssh{Port: 2222, Key: "/k", Jump: &jump{Host: "j"}},
		Filters: []filter{{"*.o", 0}, {"*.a", time.Minute}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decode(%s) (-want +got):\n%s", data, diff)
	}
}

// spec converts a schema the way the core does.
func spec(t *testing.T, s schema.Schema) hcldec.ObjectSpec {
	t.Helper()
	object := hcldec.ObjectSpec{}
	for _, a := range s.Attributes {
		expr, diags := hclsyntax.ParseExpression([]byte(a.Type), "type", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatalf("type of %s: %v", a.Name, diags)
		}
		typ, diags := typeexpr.Type(expr)
		if diags.HasErrors() {
			t.Fatalf("type of %s: %v", a.Name, diags)
		}
		object[a.Name] = &hcldec.AttrSpec{Name: a.Name, Type: typ, Required: a.Required}
	}
	for _, b := range s.Blocks {
		nested := spec(t, b.Schema)
		if b.Repeated {
			object[b.Name] = &hcldec.BlockTupleSpec{TypeName: b.Name, Nested: nested}
		} else {
			object[b.Name] = &hcldec.BlockSpec{TypeName: b.Name, Nested: nested}
		}
	}
	return object
}

// Whatever a struct holds arrives in another one.
func TestDecodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// JSON holds UTF-8 only, and so does HCL.
		str := rapid.String()
		duration := rapid.Map(rapid.Int64(), func(n int64) time.Duration { return time.Duration(n) })
		want := config{
			Name:    str.Draw(t, "name"),
			Archive: rapid.Bool().Draw(t, "archive"),
			Small:   rapid.Int8().Draw(t, "small"),
			Count:   rapid.Int64().Draw(t, "count"),
			Port:    rapid.Uint16().Draw(t, "port"),
			Big:     rapid.Uint64().Draw(t, "big"),
			Ratio:   rapid.Float64().Draw(t, "ratio"),
			Rough:   rapid.Float32().Draw(t, "rough"),
			Timeout: duration.Draw(t, "timeout"),
			Level:   level(str.Draw(t, "level")),
			Args:    rapid.SliceOf(str).Draw(t, "args"),
			Waits:   rapid.SliceOf(duration).Draw(t, "waits"),
			Env:     rapid.MapOf(str, str).Draw(t, "env"),
			SSH:     &ssh{Port: rapid.Int().Draw(t, "ssh port"), Key: str.Draw(t, "ssh key")},
			Limits:  limits{Rate: rapid.Int().Draw(t, "rate")},
			Filters: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) filter {
				return filter{str.Draw(t, "exclude"), duration.Draw(t, "after")}
			}), 1, 3).Draw(t, "filters"),
		}
		waits := make([]string, len(want.Waits))
		for i, d := range want.Waits {
			waits[i] = d.String()
		}
		var filters []map[string]any
		for _, f := range want.Filters {
			filters = append(filters, map[string]any{"exclude": f.Exclude, "after": f.After.String()})
		}
		data, err := json.Marshal(map[string]any{
			"name": want.Name, "archive": want.Archive, "small": want.Small, "count": want.Count,
			"port": want.Port, "big": want.Big, "ratio": want.Ratio, "rough": want.Rough,
			"timeout": want.Timeout.String(), "level": want.Level, "args": want.Args, "waits": waits,
			"env": want.Env, "ssh": map[string]any{"port": want.SSH.Port, "key": want.SSH.Key},
			"limits": map[string]any{"rate": want.Limits.Rate}, "filter": filters,
		})
		if err != nil {
			t.Fatal(err)
		}
		var got config
		if err := schema.Decode(data, &got); err != nil {
			t.Fatalf("Decode(%s): %v", data, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("Decode(%s) (-want +got):\n%s", data, diff)
		}
	})
}

// Whatever comes, Decode does not panic, and its errors say where.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"n","count":1e3,"args":["a"],"ssh":{"jump":{"host":"h"}},"filter":[{"exclude":"a","after":"1s"}]}`))
	f.Add([]byte(`{"name":null,"count":1e999999999,"args":[null],"ssh":[],"filter":[1],"x":{}}`))
	f.Add([]byte(`{"big":1e-999999999,"ratio":1e999,"matrix":{"a":[1.5]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := defaults()
		err := schema.Decode(data, got)
		if err == nil {
			again := defaults()
			if err := schema.Decode(data, again); err != nil || !cmp.Equal(got, again) {
				t.Fatalf("a second Decode differs: %v", err)
			}
			return
		}
		errs, ok := errors.AsType[schema.Errors](err)
		if !ok || len(errs) == 0 {
			t.Fatalf("error %T: %v", err, err)
		}
		for _, e := range errs {
			if e.Text == "" {
				t.Fatalf("an error without text at %v", e.Path)
			}
			for _, step := range e.Path {
				switch step.(type) {
				case string, int:
				default:
					t.Fatalf("step %v of type %T", step, step)
				}
			}
		}
	})
}
