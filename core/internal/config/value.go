package config

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// reader turns attributes of one block into Go values and collects what is wrong with them. An
// attribute that is null counts as not given.
type reader struct {
	scope  *scope
	origin Origin
	diags  hcl.Diagnostics
}

func (r *reader) errorf(at hcl.Range, summary, format string, args ...any) {
	r.diags = append(r.diags, errorf(at, summary, format, args...))
}

func errorf(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at}
}

// eval returns the value of an attribute, and false when there is none to work with.
func (r *reader) eval(attr *hcl.Attribute) (cty.Value, bool) {
	if attr == nil {
		return cty.NilVal, false
	}
	v, diags := r.scope.eval(attr.Expr)
	r.diags = append(r.diags, diags...)
	// Unknown is what became of a mistake that has been reported where it was made.
	return v, !diags.HasErrors() && v.IsWhollyKnown() && !v.IsNull()
}

// text converts a value to a string.
func (r *reader) text(name string, v cty.Value, at hcl.Range) (string, bool) {
	if v.IsNull() {
		r.errorf(at, "Value missing", "This part of %q is null. Give it a value or remove it.", name)
		return "", false
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil {
		r.errorf(at, "Wrong type", "The value of %q must be a text in quotes: %s.", name, err)
		return "", false
	}
	return s.AsString(), true
}

func (r *reader) string(attr *hcl.Attribute) (out Value[string]) {
	v, ok := r.eval(attr)
	if !ok {
		return out
	}
	if s, ok := r.text(attr.Name, v, attr.Expr.Range()); ok {
		out = Value[string]{s, r.origin, attr.Expr.Range()}
	}
	return out
}

func (r *reader) bool(attr *hcl.Attribute) (out Value[bool]) {
	v, ok := r.eval(attr)
	if !ok {
		return out
	}
	b, err := convert.Convert(v, cty.Bool)
	if err != nil {
		r.errorf(attr.Expr.Range(), "Wrong type", "The value of %q must be true or false: %s.", attr.Name, err)
		return out
	}
	return Value[bool]{b.True(), r.origin, attr.Expr.Range()}
}

func (r *reader) duration(attr *hcl.Attribute) (out Value[time.Duration]) {
	s := r.string(attr)
	if s.Origin == Unset {
		return out
	}
	d, err := time.ParseDuration(s.V)
	switch {
	case err != nil:
		r.errorf(s.Range, "Invalid duration", "%q is no duration. Write a number and its unit, such as \"20ms\", \"1.5s\" or \"1h\".", s.V)
		return out
	case d < 0:
		r.errorf(s.Range, "Invalid duration", "The value of %q cannot be negative.", attr.Name)
		return out
	}
	return Value[time.Duration]{d, r.origin, s.Range}
}

// strings reads a list of strings.
func (r *reader) strings(attr *hcl.Attribute) (out Value[[]Value[string]]) {
	v, ok := r.eval(attr)
	if !ok {
		return out
	}
	return r.list(attr, v)
}

// stringOrStrings reads what may be one string or a list of them.
func (r *reader) stringOrStrings(attr *hcl.Attribute) []Value[string] {
	v, ok := r.eval(attr)
	if !ok {
		return nil
	}
	if !v.Type().IsPrimitiveType() {
		return r.list(attr, v).V
	}
	s, ok := r.text(attr.Name, v, attr.Expr.Range())
	if !ok {
		return nil
	}
	return []Value[string]{{s, r.origin, attr.Expr.Range()}}
}

// list converts a value to a list of strings. The elements have ranges of their own where the list
// is written out.
func (r *reader) list(attr *hcl.Attribute, v cty.Value) (out Value[[]Value[string]]) {
	at := attr.Expr.Range()
	if ty := v.Type(); !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		r.errorf(at, "Wrong type", "The value of %q must be a list of texts, such as [\"a\", \"b\"].", attr.Name)
		return out
	}
	out = Value[[]Value[string]]{[]Value[string]{}, r.origin, at}
	exprs, diags := hcl.ExprList(attr.Expr)
	written := !diags.HasErrors() && len(exprs) == v.LengthInt()
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		_, element := it.Element()
		if written {
			at = exprs[i].Range()
		}
		if s, ok := r.text(attr.Name, element, at); ok {
			out.V = append(out.V, Value[string]{s, r.origin, at})
		}
	}
	return out
}
