package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is one thing that is wrong with a value.
type Error struct {
	// Path leads to it: names of attributes and blocks and keys of maps as string, elements of lists
	// and repeated blocks as int. It is empty when the whole value is meant.
	Path []any
	// Text is a sentence without the path, such as "70000 is too large: at most 65535".
	Text string
}

func (e *Error) Error() string {
	if len(e.Path) == 0 {
		return e.Text
	}
	var b strings.Builder
	for i, step := range e.Path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			switch {
			case !identifier.MatchString(step):
				fmt.Fprintf(&b, "[%q]", step)
			case i > 0:
				b.WriteString("." + step)
			default:
				b.WriteString(step)
			}
		}
	}
	return b.String() + ": " + e.Text
}

// Errors is all that is wrong with a value, in the order of the struct's fields. Decode returns
// no other error.
type Errors []*Error

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

// Decode fills the struct that into points to from a JSON object with the shape that Of describes.
// What is null or absent, or a repeated block given not even once, keeps what the struct holds: the
// default. What is given replaces it: lists and maps as a whole, blocks attribute by attribute. A
// nil pointer to a block's struct becomes a new struct when the block is given. No data at all is an
// object without members.
//
// A required attribute that is null or absent, a member that the struct does not know, and a value
// that does not fit are collected in Errors; their fields keep the default. Decode panics where Of
// does.
func Decode(data []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("schema: need a pointer to a struct, have %T", into))
	}
	var object any = map[string]any{}
	if len(data) > 0 {
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&object); err != nil {
			return Errors{{Text: "the configuration is not JSON: " + err.Error()}}
		}
		if _, err := dec.Token(); err != io.EOF {
			return Errors{{Text: "the configuration is more than one JSON value"}}
		}
	}
	if object == nil {
		object = map[string]any{}
	}
	var d decoder
	d.block(nil, object, v.Elem())
	if len(d.errs) > 0 {
		return d.errs
	}
	return nil
}

type decoder struct {
	errs Errors
}

func (d *decoder) fail(path []any, format string, args ...any) {
	d.errs = append(d.errs, &Error{slices.Clone(path), fmt.Sprintf(format, args...)})
}

// step returns path with one more step, in memory of its own.
func step(path []any, s any) []any {
	return append(path[:len(path):len(path)], s)
}

// block fills the struct v from a JSON object.
func (d *decoder) block(path []any, value any, v reflect.Value) {
	object, ok := value.(map[string]any)
	if !ok {
		d.fail(path, "need a block, have %s", describe(value))
		return
	}
	known := make(map[string]bool)
	for _, f := range fieldsOf(v.Type()) {
		known[f.name] = true
		path, value, target := step(path, f.name), object[f.name], v.Field(f.index)
		switch {
		case value == nil && f.required:
			d.fail(path, "this attribute is required")
		case value == nil:
		case !f.block:
			d.attribute(path, value, target)
		case f.typ.Kind() == reflect.Slice:
			d.blocks(path, value, target)
		case f.typ.Kind() == reflect.Pointer:
			// A copy: the default may be shared with other configurations.
			filled := reflect.New(f.typ.Elem())
			if !target.IsNil() {
				filled.Elem().Set(target.Elem())
			}
			d.block(path, value, filled.Elem())
			target.Set(filled)
		default:
			d.block(path, value, target)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !known[name] {
			d.fail(step(path, name), "there is no attribute or block of this name")
		}
	}
}

// blocks fills a slice of structs from a JSON array of objects.
func (d *decoder) blocks(path []any, value any, v reflect.Value) {
	list, ok := value.([]any)
	if !ok {
		d.fail(path, "need a list of blocks, have %s", describe(value))
		return
	}
	if len(list) == 0 {
		return
	}
	filled := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, value := range list {
		d.block(step(path, i), value, filled.Index(i))
	}
	v.Set(filled)
}

// attribute sets v, unless the value does not fit.
func (d *decoder) attribute(path []any, value any, v reflect.Value) {
	switch t := v.Type(); {
	case value == nil:
		d.fail(path, "null is not allowed here")
	case t == durationType:
		d.duration(path, value, v)
	case t.Kind() == reflect.String:
		if s, ok := value.(string); ok {
			v.SetString(s)
			return
		}
		d.fail(path, "need a string, have %s", describe(value))
	case t.Kind() == reflect.Bool:
		if b, ok := value.(bool); ok {
			v.SetBool(b)
			return
		}
		d.fail(path, "need true or false, have %s", describe(value))
	case t.Kind() == reflect.Slice:
		d.list(path, value, v)
	case t.Kind() == reflect.Map:
		d.mapping(path, value, v)
	default:
		n, ok := value.(json.Number)
		if !ok {
			typeExpr(t, "attribute") // panics unless t is a number
			d.fail(path, "need a number, have %s", describe(value))
			return
		}
		d.number(path, n.String(), v)
	}
}

func (d *decoder) duration(path []any, value any, v reflect.Value) {
	s, ok := value.(string)
	if !ok {
		d.fail(path, `need a duration such as "1.5s", "2m" or "1h30m", have %s`, describe(value))
		return
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		d.fail(path, `%q is not a duration such as "1.5s", "2m" or "1h30m"`, s)
		return
	}
	v.SetInt(int64(parsed))
}

func (d *decoder) list(path []any, value any, v reflect.Value) {
	list, ok := value.([]any)
	if !ok {
		d.fail(path, "need a list, have %s", describe(value))
		return
	}
	before := len(d.errs)
	filled := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, value := range list {
		d.attribute(step(path, i), value, filled.Index(i))
	}
	if len(d.errs) == before {
		v.Set(filled)
	}
}

func (d *decoder) mapping(path []any, value any, v reflect.Value) {
	object, ok := value.(map[string]any)
	if !ok {
		d.fail(path, "need a map, have %s", describe(value))
		return
	}
	before := len(d.errs)
	filled := reflect.MakeMapWithSize(v.Type(), len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.attribute(step(path, key), object[key], element)
		filled.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), element)
	}
	if len(d.errs) == before {
		v.Set(filled)
	}
}

// number sets v, of an integer or float type, from a JSON number.
func (d *decoder) number(path []any, text string, v reflect.Value) {
	bits := v.Type().Bits()
	if v.CanFloat() {
		f, err := strconv.ParseFloat(text, bits)
		if err != nil {
			d.fail(path, "%s is too large", text)
			return
		}
		v.SetFloat(f)
		return
	}
	// 512 bits are the precision of numbers in HCL.
	f, _, err := big.ParseFloat(text, 10, 512, big.ToNearestEven)
	var n *big.Int
	switch {
	case err != nil || f.IsInf():
		d.fail(path, "%s is too large", text)
		return
	case !f.IsInt():
		d.fail(path, "%s is not a whole number", text)
		return
	case f.MantExp(nil) > 64:
		// Beyond every type; as a big.Int it could take gigabytes.
		n = new(big.Int).Lsh(big.NewInt(int64(f.Sign())), 64)
	default:
		n, _ = f.Int(nil)
	}
	least, most := limits(v)
	switch {
	case n.Cmp(least) < 0:
		d.fail(path, "%s is too small: at least %s", text, least)
	case n.Cmp(most) > 0:
		d.fail(path, "%s is too large: at most %s", text, most)
	case v.CanInt():
		v.SetInt(n.Int64())
	default:
		v.SetUint(n.Uint64())
	}
}

// limits returns the least and the largest value that v, an integer, can hold.
func limits(v reflect.Value) (least, most *big.Int) {
	bits := v.Type().Bits()
	if v.CanInt() {
		return big.NewInt(math.MinInt64 >> (64 - bits)), big.NewInt(math.MaxInt64 >> (64 - bits))
	}
	return new(big.Int), new(big.Int).SetUint64(math.MaxUint64 >> (64 - bits))
}

// describe names a JSON value for a message.
func describe(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(value)
	case json.Number:
		return value.String()
	case bool:
		return strconv.FormatBool(value)
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
