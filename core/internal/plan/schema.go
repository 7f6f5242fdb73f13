package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/filewatch/filewatch/sdk/schema"
)

// specOf returns what hcldec needs to decode a body with schema s. Nothing is required here: what
// one layer lacks another may give.
func specOf(s schema.Schema) (hcldec.ObjectSpec, error) {
	spec := hcldec.ObjectSpec{}
	for _, a := range s.Attributes {
		expr, diags := hclsyntax.ParseExpression([]byte(a.Type), "type", hcl.InitialPos)
		if diags.HasErrors() {
			return nil, fmt.Errorf("attribute %q has the type %q, which is no type expression", a.Name, a.Type)
		}
		ty, diags := typeexpr.TypeConstraint(expr)
		if diags.HasErrors() {
			return nil, fmt.Errorf("attribute %q has the type %q, which is no type expression", a.Name, a.Type)
		}
		spec[a.Name] = &hcldec.AttrSpec{Name: a.Name, Type: ty}
	}
	for _, b := range s.Blocks {
		nested, err := specOf(b.Schema)
		switch {
		case err != nil:
			return nil, fmt.Errorf("in block %q: %w", b.Name, err)
		case b.Repeated:
			spec[b.Name] = &hcldec.BlockTupleSpec{TypeName: b.Name, Nested: nested}
		default:
			spec[b.Name] = &hcldec.BlockSpec{TypeName: b.Name, Nested: nested}
		}
	}
	return spec, nil
}

// overlay returns own with what it lacks taken from under: attribute by attribute, single blocks
// likewise, repeated blocks all or none.
func overlay(s schema.Schema, own, under cty.Value) cty.Value {
	switch {
	case !own.IsKnown() || !under.IsKnown() || under.IsNull():
		return own
	case own.IsNull():
		return under
	}
	merged := map[string]cty.Value{}
	for _, a := range s.Attributes {
		merged[a.Name] = own.GetAttr(a.Name)
		if merged[a.Name].IsNull() {
			merged[a.Name] = under.GetAttr(a.Name)
		}
	}
	for _, b := range s.Blocks {
		mine, its := own.GetAttr(b.Name), under.GetAttr(b.Name)
		switch {
		case !b.Repeated:
			mine = overlay(b.Schema, mine, its)
		case mine.IsKnown() && mine.LengthInt() == 0:
			mine = its
		}
		merged[b.Name] = mine
	}
	return cty.ObjectVal(merged)
}

// missing returns the paths of required attributes that a value of schema s does not have.
func missing(s schema.Schema, v cty.Value, at []any) (paths [][]any) {
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	for _, a := range s.Attributes {
		if a.Required && v.GetAttr(a.Name).IsNull() {
			paths = append(paths, below(at, a.Name))
		}
	}
	for _, b := range s.Blocks {
		nested, at := v.GetAttr(b.Name), below(at, b.Name)
		if !b.Repeated {
			paths = append(paths, missing(b.Schema, nested, at)...)
			continue
		}
		if !nested.IsKnown() {
			continue
		}
		for i, element := range nested.AsValueSlice() {
			paths = append(paths, missing(b.Schema, element, below(at, i))...)
		}
	}
	return paths
}

// nulls returns the paths of elements of lists and maps that are null: unlike an attribute, an
// element cannot be left out.
func nulls(v cty.Value) (paths [][]any) {
	// The callback returns no error, so neither does Walk.
	_ = cty.Walk(v, func(path cty.Path, v cty.Value) (bool, error) {
		if len(path) > 0 && v.IsNull() {
			if _, ok := path[len(path)-1].(cty.IndexStep); ok {
				paths = append(paths, steps(path))
			}
		}
		return v.IsKnown(), nil
	})
	return paths
}

// steps writes a path of cty as plugins write theirs.
func steps(path cty.Path) (out []any) {
	for _, step := range path {
		switch step := step.(type) {
		case cty.GetAttrStep:
			out = append(out, step.Name)
		case cty.IndexStep:
			if step.Key.Type() == cty.Number {
				i, _ := step.Key.AsBigFloat().Int64()
				out = append(out, int(i))
			} else if step.Key.Type() == cty.String {
				out = append(out, step.Key.AsString())
			}
		}
	}
	return out
}

// below returns path with one more step, in memory of its own.
func below(path []any, step any) []any {
	return append(path[:len(path):len(path)], step)
}

// dotted writes a path for people, such as ssh.options["Port"].
func dotted(path []any) string {
	var b strings.Builder
	for i, step := range path {
		switch step := step.(type) {
		case string:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		default:
			fmt.Fprintf(&b, "[%v]", step)
		}
	}
	return b.String()
}

func marshal(v cty.Value) (json.RawMessage, error) { return ctyjson.Marshal(v, v.Type()) }
