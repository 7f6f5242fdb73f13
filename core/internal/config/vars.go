package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// envPrefix and a variable's name make the environment variable that sets it.
const envPrefix = "FILEWATCH_VAR_"

var variableSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "default"}, {Name: "description"}},
}

// variables gives every variable its value: from the command line, else the environment, else its
// default.
func (r *reader) variables(blocks hcl.Blocks, given map[string]string) {
	vars := r.scope.values["var"]
	first := map[string]hcl.Range{}
	for _, block := range blocks {
		name := block.Labels[0]
		if !hclsyntax.ValidIdentifier(name) {
			r.errorf(block.LabelRanges[0], "Invalid name", "The variable name %q must consist of letters, digits, \"_\" and \"-\", and not begin with a digit.", name)
			continue
		}
		if at, ok := first[name]; ok {
			r.diags = append(r.diags, again(block.LabelRanges[0], at, "The variable %q", name))
			continue
		}
		first[name] = block.LabelRanges[0]
		vars[name] = r.variable(block, given)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := first[name]; !ok {
			r.diags = append(r.diags, problem("Unknown variable", "No variable block declares %q, which -var sets.%s", name, nearest(name, maps.Keys(first))))
		}
	}
}

func (r *reader) variable(block *hcl.Block, given map[string]string) cty.Value {
	content, diags := block.Body.Content(variableSchema)
	r.diags = append(r.diags, diags...)
	ctx := r.scope.constants(block.DefRange.Filename)
	if attr := content.Attributes["description"]; attr != nil {
		v, diags := attr.Expr.Value(ctx)
		r.diags = append(r.diags, diags...)
		if _, err := convert.Convert(v, cty.String); err != nil {
			r.errorf(attr.Expr.Range(), "Wrong type", "The value of \"description\" must be a text in quotes: %s.", err)
		}
	}
	attr, name := content.Attributes["default"], block.Labels[0]
	fallback, ty := cty.DynamicVal, cty.String
	if attr != nil {
		v, diags := attr.Expr.Value(ctx)
		r.diags = append(r.diags, diags...)
		if fallback = v; !diags.HasErrors() && !v.IsNull() {
			ty = v.Type()
		}
	}
	source := "-var " + name + "=…"
	text, ok := given[name]
	if !ok {
		source = "the environment variable " + envPrefix + name
		text, ok = os.LookupEnv(envPrefix + name)
	}
	switch {
	case ok:
		v, err := parseAs(ty, text)
		if err != nil {
			r.errorf(block.DefRange, "Invalid variable", "The value that %s gives to variable %q does not fit the default: %s.", source, name, err)
		}
		return v
	case attr == nil:
		r.errorf(block.DefRange, "Variable not set", "The variable %q has no value. Set it with -var %s=VALUE or the environment variable %s%s, or give it a default.", name, name, envPrefix, name)
	}
	return fallback
}

// parseAs reads text as a value of the type that a variable's default has: a string is taken as it
// is, anything else is an HCL expression.
func parseAs(ty cty.Type, text string) (cty.Value, error) {
	if !utf8.ValidString(text) {
		return cty.DynamicVal, fmt.Errorf("it is not valid UTF-8")
	}
	if ty == cty.String {
		return cty.StringVal(text), nil
	}
	need := ty.FriendlyName()
	switch {
	case ty.IsTupleType():
		need = "list such as [\"a\", \"b\"]"
	case ty.IsObjectType():
		need = "object such as { a = \"b\" }"
	}
	misfit := fmt.Errorf("need a %s, have %q", need, text)
	expr, diags := hclsyntax.ParseExpression([]byte(text), "value", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, misfit
	}
	v, diags := expr.Value(nil)
	switch {
	case diags.HasErrors():
		return cty.DynamicVal, misfit
	case sameShape(ty, v.Type()):
		return v, nil
	}
	v, err := convert.Convert(v, ty)
	if err != nil {
		return cty.DynamicVal, misfit
	}
	return v, nil
}

// sameShape reports whether both are lists or both objects as written in HCL, where the number of
// elements is part of the type.
func sameShape(a, b cty.Type) bool {
	return a.IsTupleType() && b.IsTupleType() || a.IsObjectType() && b.IsObjectType()
}

// locals evaluates local values in the order in which they need each other.
func (r *reader) locals(blocks hcl.Blocks) {
	attrs := hcl.Attributes{}
	for _, block := range blocks {
		own, diags := block.Body.JustAttributes()
		r.diags = append(r.diags, diags...)
		for name, attr := range own {
			if first, ok := attrs[name]; ok {
				r.diags = append(r.diags, again(attr.NameRange, first.NameRange, "The local value %q", name))
				continue
			}
			attrs[name] = attr
		}
	}
	values := r.scope.values["local"]
	for name := range attrs {
		values[name] = cty.DynamicVal // known by name, for the check of references
	}
	var path []string // of names under way
	done := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if i := slices.Index(path, name); i >= 0 {
			cycle := append(slices.Clone(path[i:]), name)
			r.errorf(attrs[name].NameRange, "Circular reference", "The local value %q depends on itself: local.%s.", name, strings.Join(cycle, " → local."))
			return
		}
		attr, ok := attrs[name]
		if !ok || done[name] {
			return
		}
		path = append(path, name)
		for _, ref := range attr.Expr.Variables() {
			if needed, ok := member(ref); ok && ref.RootName() == "local" {
				visit(needed)
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		v, diags := r.scope.eval(attr.Expr)
		r.diags = append(r.diags, diags...)
		if diags.HasErrors() {
			v = cty.DynamicVal
		}
		values[name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		visit(name)
	}
}
