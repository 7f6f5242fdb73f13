// Package schema turns the Go struct that a plugin's author writes into a description of an HCL
// block, and the values of such a block into the struct.
//
//	type Config struct {
//		Args    []string      `hcl:"args,optional" doc:"Further arguments."`
//		Timeout time.Duration `hcl:"timeout,optional"`
//		SSH     *SSH          `hcl:"ssh,block"`
//		Filters []Filter      `hcl:"filter,block"`
//	}
//
// A field takes part when it has an `hcl` tag:
//
//	`hcl:"name"`           a required attribute
//	`hcl:"name,optional"`  an optional one; what the field holds before is the default
//	`hcl:"name,block"`     a nested block: a struct or pointer to one, or a slice of structs for a
//	                       block that may be given more than once
//
// Attributes are strings, booleans, integers, floats, time.Duration (written as a string such as
// "100s"), and slices and string-keyed maps of these. A `doc` tag describes the attribute or block.
package schema

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Schema describes the body of an HCL block.
type Schema struct {
	Attributes []Attribute
	Blocks     []Block
}

// Attribute describes one attribute.
type Attribute struct {
	Name        string
	Type        string // HCL type expression: string, number, bool, list(string), map(string), …
	Description string
	Required    bool
}

// Block describes a nested block.
type Block struct {
	Name        string
	Description string
	Repeated    bool // may be given more than once
	Schema      Schema
}

// Of returns the schema of config, a pointer to a struct, of which only the type counts. A type or
// tag that this package does not understand is a bug of the author: Of panics.
func Of(config any) Schema {
	t := reflect.TypeOf(config)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("schema: need a pointer to a struct, have %T", config))
	}
	return ofStruct(t.Elem(), nil)
}

func ofStruct(t reflect.Type, outer []reflect.Type) Schema {
	for _, o := range outer {
		if o == t {
			panic(fmt.Sprintf("schema: %s contains itself", t))
		}
	}
	outer = append(outer[:len(outer):len(outer)], t)
	var s Schema
	for _, f := range fieldsOf(t) {
		if f.block {
			s.Blocks = append(s.Blocks, Block{
				Name:        f.name,
				Description: f.doc,
				Repeated:    f.typ.Kind() == reflect.Slice,
				Schema:      ofStruct(f.blockType(), outer),
			})
			continue
		}
		s.Attributes = append(s.Attributes, Attribute{
			Name:        f.name,
			Type:        typeExpr(f.typ, f.where),
			Description: f.doc,
			Required:    f.required,
		})
	}
	return s
}

// field is a struct field with an hcl tag.
type field struct {
	index    int
	typ      reflect.Type
	where    string // for panics
	name     string
	doc      string
	required bool
	block    bool
}

// identifier is what HCL takes as a name, without the letters beyond ASCII.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

func fieldsOf(t reflect.Type) []field {
	var fields []field
	seen := make(map[string]bool)
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, ok := sf.Tag.Lookup("hcl")
		where := t.String() + "." + sf.Name
		if !ok {
			if strings.Contains(string(sf.Tag), "hcl:") {
				panic(fmt.Sprintf("schema: %s: malformed tag `%s`", where, sf.Tag))
			}
			continue
		}
		name, kind, _ := strings.Cut(tag, ",")
		f := field{
			index: i,
			typ:   sf.Type,
			where: where,
			name:  name,
			doc:   sf.Tag.Get("doc"),
		}
		switch kind {
		case "":
			f.required = true
		case "optional":
		case "block":
			f.block = true
		default:
			panic(fmt.Sprintf("schema: %s: tag %q: want nothing, optional or block after the comma", where, tag))
		}
		switch {
		case !sf.IsExported():
			panic(fmt.Sprintf("schema: %s: a field with an hcl tag must be exported", where))
		case !identifier.MatchString(name):
			panic(fmt.Sprintf("schema: %s: %q is not an HCL name", where, name))
		case seen[name]:
			panic(fmt.Sprintf("schema: %s: %q is the name of two fields", where, name))
		case f.block && f.blockType() == nil:
			panic(fmt.Sprintf("schema: %s: a block needs a struct, a pointer to one or a slice of structs, not %s", where, sf.Type))
		}
		seen[name] = true
		fields = append(fields, f)
	}
	return fields
}

// blockType returns the struct of a block field, or nil if its type cannot hold a block.
func (f field) blockType() reflect.Type {
	t := f.typ
	if k := t.Kind(); k == reflect.Pointer || k == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

var durationType = reflect.TypeFor[time.Duration]()

func typeExpr(t reflect.Type, where string) string {
	if t == durationType {
		return "string"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list(" + typeExpr(t.Elem(), where) + ")"
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return "map(" + typeExpr(t.Elem(), where) + ")"
		}
	case reflect.Struct:
		panic(fmt.Sprintf("schema: %s: a struct is a block: write `hcl:\"…,block\"`", where))
	}
	panic(fmt.Sprintf("schema: %s: %s cannot be an attribute", where, t))
}
