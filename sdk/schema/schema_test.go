package schema_test

import (
	"go/build"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk/schema"
)

type level string

type config struct {
	Name    string            `hcl:"name" doc:"What it is called."`
	Archive bool              `hcl:"archive,optional"`
	Small   int8              `hcl:"small,optional"`
	Count   int64             `hcl:"count,optional"`
	Port    uint16            `hcl:"port,optional"`
	Big     uint64            `hcl:"big,optional"`
	Ratio   float64           `hcl:"ratio,optional"`
	Rough   float32           `hcl:"rough,optional"`
	Timeout time.Duration     `hcl:"timeout,optional"`
	Level   level             `hcl:"level,optional"`
	Args    []string          `hcl:"args,optional"`
	Waits   []time.Duration   `hcl:"waits,optional"`
	Env     map[string]string `hcl:"env,optional"`
	Matrix  map[level][]int   `hcl:"matrix,optional"`
	SSH     *ssh              `hcl:"ssh,block" doc:"How to connect."`
	Limits  limits            `hcl:"limits,block"`
	Filters []filter          `hcl:"filter,block"`

	Derived string // no tag: not part of the configuration
}

type ssh struct {
	Port int    `hcl:"port,optional"`
	Key  string `hcl:"key,optional"`
	Jump *jump  `hcl:"jump,block"`
}

type jump struct {
	Host string `hcl:"host"`
}

type limits struct {
	Rate int `hcl:"rate,optional"`
}

type filter struct {
	Exclude string        `hcl:"exclude"`
	After   time.Duration `hcl:"after,optional"`
}

func TestOf(t *testing.T) {
	want := schema.Schema{
		Attributes: []schema.Attribute{
			{Name: "name", Type: "string", Description: "What it is called.", Required: true},
			{Name: "archive", Type: "bool"},
			{Name: "small", Type: "number"},
			{Name: "count", Type: "number"},
			{Name: "port", Type: "number"},
			{Name: "big", Type: "number"},
			{Name: "ratio", Type: "number"},
			{Name: "rough", Type: "number"},
			{Name: "timeout", Type: "string"},
			{Name: "level", Type: "string"},
			{Name: "args", Type: "list(string)"},
			{Name: "waits", Type: "list(string)"},
			{Name: "env", Type: "map(string)"},
			{Name: "matrix", Type: "map(list(number))"},
		},
		Blocks: []schema.Block{
			{Name: "ssh", Description: "How to connect.", Schema: schema.Schema{
				Attributes: []schema.Attribute{
					{Name: "port", Type: "number"},
					{Name: "key", Type: "string"},
				},
				Blocks: []schema.Block{
					{Name: "jump", Schema: schema.Schema{
						Attributes: []schema.Attribute{{Name: "host", Type: "string", Required: true}},
					}},
				},
			}},
			{Name: "limits", Schema: schema.Schema{
				Attributes: []schema.Attribute{{Name: "rate", Type: "number"}},
			}},
			{Name: "filter", Repeated: true, Schema: schema.Schema{
				Attributes: []schema.Attribute{
					{Name: "exclude", Type: "string", Required: true},
					{Name: "after", Type: "string"},
				},
			}},
		},
	}
	if diff := cmp.Diff(want, schema.Of(&config{})); diff != "" {
		t.Errorf("Of (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, schema.Of((*config)(nil))); diff != "" {
		t.Errorf("Of a nil pointer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(schema.Schema{}, schema.Of(&struct{}{})); diff != "" {
		t.Errorf("Of an empty struct (-want +got):\n%s", diff)
	}
}

type selfish struct {
	Name  string    `hcl:"name"`
	Inner []selfish `hcl:"inner,block"`
}

func TestOfPanicsOnAuthorBugs(t *testing.T) {
	tests := []struct {
		name   string
		config any
		want   string
	}{
		{"nil", nil, "need a pointer to a struct"},
		{"struct", config{}, "need a pointer to a struct"},
		{"pointer to string", new(string), "need a pointer to a struct"},
		{"unexported", &struct {
			name string `hcl:"name"` //nolint:unused // read by reflection
		}{}, "must be exported"},
		{"no name", &struct {
			A string `hcl:",optional"`
		}{}, `"" is not an HCL name`},
		{"bad name", &struct {
			A string `hcl:"a b"`
		}{}, `"a b" is not an HCL name`},
		{"number first", &struct {
			A string `hcl:"1a"`
		}{}, "is not an HCL name"},
		{"unknown kind", &struct {
			A string `hcl:"a,label"`
		}{}, `tag "a,label"`},
		{"remain", &struct {
			A string `hcl:",remain"`
		}{}, `tag ",remain"`},
		{"twice", &struct {
			A string `hcl:"a"`
			B string `hcl:"a,optional"`
		}{}, `"a" is the name of two fields`},
		{"block of strings", &struct {
			A []string `hcl:"a,block"`
		}{}, "a block needs"},
		{"block of pointers", &struct {
			A []*ssh `hcl:"a,block"`
		}{}, "a block needs"},
		{"struct attribute", &struct {
			A ssh `hcl:"a,optional"`
		}{}, "a struct is a block"},
		{"pointer attribute", &struct {
			A *string `hcl:"a,optional"`
		}{}, "*string cannot be an attribute"},
		{"any", &struct {
			A any `hcl:"a,optional"`
		}{}, "cannot be an attribute"},
		{"map keys", &struct {
			A map[int]string `hcl:"a,optional"`
		}{}, "cannot be an attribute"},
		{"channel in a list", &struct {
			A []chan int `hcl:"a,optional"`
		}{}, "chan int cannot be an attribute"},
		{"in itself", &selfish{}, "contains itself"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				if !strings.Contains(text, test.want) {
					t.Errorf("panic %q, want %q in it", text, test.want)
				}
			}()
			schema.Of(test.config)
		})
	}
}

// Whoever writes a plugin should not have to build HCL into it.
func TestNoImportsButStd(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pkg.Imports {
		if strings.Contains(path, ".") {
			t.Errorf("package schema imports %s", path)
		}
	}
}
