package config

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// scope is what expressions can refer to.
type scope struct {
	values    map[string]map[string]cty.Value // by "var" or "local", then name; unknown after a mistake
	functions map[string]map[string]function.Function
}

func newScope() *scope {
	return &scope{
		values:    map[string]map[string]cty.Value{"var": {}, "local": {}},
		functions: map[string]map[string]function.Function{},
	}
}

// eval returns the value of expr, unknown after a mistake.
func (s *scope) eval(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	if _, diags := s.check(expr.Variables()); diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return expr.Value(s.context(expr.Range().Filename))
}

// context is what the expressions in a file can use.
func (s *scope) context(file string) *hcl.EvalContext {
	ctx := s.constants(file)
	ctx.Variables = make(map[string]cty.Value, len(s.values))
	for root, values := range s.values {
		ctx.Variables[root] = cty.ObjectVal(values)
	}
	return ctx
}

// constants is what expressions can use that refer to nothing: `file` is relative to their file.
func (s *scope) constants(file string) *hcl.EvalContext {
	dir := filepath.Dir(file)
	if s.functions[dir] == nil {
		s.functions[dir] = functions(dir)
	}
	return &hcl.EvalContext{Functions: s.functions[dir]}
}

// check reports references that lead nowhere, better than the evaluation would, and returns the
// roots that they start from.
func (s *scope) check(refs []hcl.Traversal) (roots []string, diags hcl.Diagnostics) {
	for _, ref := range refs {
		root, at := ref.RootName(), ref.SourceRange()
		names, ok := s.values[root]
		if !ok {
			diags = append(diags, errorf(at, "Unknown reference", "There is nothing named %q here. Write a text in quotes, a variable as var.NAME and a local value as local.NAME.", root))
			roots = append(roots, root)
			continue
		}
		name, ok := member(ref)
		if !ok {
			diags = append(diags, errorf(at, "Incomplete reference", "%q must be followed by a name, as in %s.NAME.", root, root))
			roots = append(roots, root)
			continue
		}
		if _, ok := names[name]; !ok {
			what, remedy := "variable", fmt.Sprintf(" Declare it: variable %q {}.", name)
			if root == "local" {
				what, remedy = "local value", " Add it to a locals block."
			}
			diags = append(diags, errorf(at, "Unknown "+what, "There is no %s %q.%s", what, name, cmp.Or(nearest(name, maps.Keys(names)), remedy)))
			roots = append(roots, root)
		}
	}
	return roots, diags
}

// member returns NAME of a reference such as local.NAME or local["NAME"].
func member(ref hcl.Traversal) (string, bool) {
	if len(ref) < 2 {
		return "", false
	}
	switch step := ref[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// nearest returns ` Did you mean "NAME"?` for the name that given is most likely a slip of, or "".
func nearest(given string, names iter.Seq[string]) string {
	best, limit := "", 3 // as hcl does for attributes
	for _, name := range slices.Sorted(names) {
		if d := levenshtein.Distance(given, name, nil); d < limit {
			best, limit = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

// Layer is a body with all that its expressions can refer to.
type Layer struct {
	Body  hcl.Body
	Range hcl.Range // of the block's header
	scope *scope
}

// Decode decodes the body. The value is as complete as the body allows: what is wrong is reported
// and unknown in the value.
func (l Layer) Decode(spec hcldec.Spec) (cty.Value, hcl.Diagnostics) {
	roots, diags := l.scope.check(hcldec.Variables(l.Body, spec))
	ctx := l.EvalContext()
	for _, root := range roots {
		ctx.Variables[root] = cty.DynamicVal // reported already
	}
	v, more := hcldec.Decode(l.Body, spec, ctx)
	return v, append(diags, more...)
}

// EvalContext returns what the expressions in the body can use. The caller may change it.
func (l Layer) EvalContext() *hcl.EvalContext { return l.scope.context(l.Range.Filename) }
