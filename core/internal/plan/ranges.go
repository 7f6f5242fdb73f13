package plan

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/filewatch/filewatch/core/internal/config"
	"github.com/filewatch/filewatch/sdk/schema"
)

// locate returns the place in the files that gave the value at a path below a component's body: of
// several layers, that which holds. Where the path leads nowhere, it is the nearest place around.
func locate(c config.Component, s schema.Schema, path []any) hcl.Range {
	layers, at := c.Layers, c.Range
	for len(path) > 0 {
		name, ok := path[0].(string)
		if !ok {
			return at
		}
		path = path[1:]
		block, ok := blockOf(s, name)
		if !ok {
			return attribute(layers, name, path, at)
		}
		s = block.Schema
		inner := nested(layers, name)
		if len(inner) == 0 {
			return at
		}
		if !block.Repeated {
			layers = layers[:0:0]
			for _, blocks := range inner {
				layers = append(layers, blocks[0])
			}
			at = layers[0].Range
			continue
		}
		at = inner[0][0].Range
		if len(path) == 0 {
			return at
		}
		i, ok := path[0].(int)
		if !ok || i < 0 || i >= len(inner[0]) {
			return at
		}
		layers, path = inner[0][i:i+1], path[1:]
		at = layers[0].Range
	}
	return at
}

func blockOf(s schema.Schema, name string) (schema.Block, bool) {
	for _, b := range s.Blocks {
		if b.Name == name {
			return b, true
		}
	}
	return schema.Block{}, false
}

// nested returns the blocks of a type in each layer that has any.
func nested(layers []config.Layer, name string) (out [][]config.Layer) {
	for _, layer := range layers {
		content, _, _ := layer.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: name}}})
		var blocks []config.Layer
		for _, block := range content.Blocks {
			inner := layer
			inner.Body, inner.Range = block.Body, block.DefRange
			blocks = append(blocks, inner)
		}
		if blocks != nil {
			out = append(out, blocks)
		}
	}
	return out
}

// attribute returns the place of an attribute, or of the element in it that path leads to.
func attribute(layers []config.Layer, name string, path []any, otherwise hcl.Range) hcl.Range {
	for _, layer := range layers {
		content, _, _ := layer.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: name}}})
		attr, ok := content.Attributes[name]
		if !ok {
			continue
		}
		ctx := layer.EvalContext()
		if v, diags := attr.Expr.Value(ctx); !diags.HasErrors() && v.IsNull() {
			continue // the next layer gave the value
		}
		return element(attr.Expr, path, ctx).Range()
	}
	return otherwise
}

// element returns the expression that path leads to inside a list or map that is written out.
func element(expr hcl.Expression, path []any, ctx *hcl.EvalContext) hcl.Expression {
	for _, step := range path {
		inner := hcl.Expression(nil)
		switch step := step.(type) {
		case int:
			if list, diags := hcl.ExprList(expr); !diags.HasErrors() && step >= 0 && step < len(list) {
				inner = list[step]
			}
		case string:
			pairs, _ := hcl.ExprMap(expr)
			for _, pair := range pairs {
				if key, diags := pair.Key.Value(ctx); !diags.HasErrors() && key.Type() == cty.String && key.IsKnown() && !key.IsNull() && key.AsString() == step {
					inner = pair.Value
				}
			}
		}
		if inner == nil {
			break
		}
		expr = inner
	}
	return expr
}
