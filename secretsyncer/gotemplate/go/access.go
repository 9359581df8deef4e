package main

import (
	"fmt"
	"reflect"
)

// hidden functions are called by the nodes that rewrite adds to a parse tree.
var hidden = map[string]any{"_field": field, "_print": printed, "_range": ranged, "_printf": sprintfComputed}

// field follows the names of an access from base, as Go's own evaluation does.
// A missing key gives nothing if lenient, and otherwise an error that names it.
// A field of null is always an error.
func field(index int, base reflect.Value) (reflect.Value, error) {
	expression, names, lenient := run.accesses[index].expression, run.accesses[index].names, run.accesses[index].lenient
	key := run.accesses[index].key
	current := solid(base)
	for i, name := range names {
		if !current.IsValid() {
			if lenient && i == 0 {
				return reflect.Value{}, nil
			}
			return reflect.Value{}, fail("%s: the value before .%s is missing or null", expression, name)
		}
		if name == "Tags" && current.Type() == metaType {
			if i+1 < len(names) {
				key = names[i+1]
			}
			if err := run.needTags(current.Interface().(secretMeta), key); err != nil {
				return reflect.Value{}, err
			}
		}
		next, err := step(expression, current, name)
		if err != nil {
			return reflect.Value{}, err
		}
		if !next.IsValid() && current.Kind() == reflect.Map {
			if lenient {
				return reflect.Value{}, nil
			}
			if current.Type() == tagsType {
				return reflect.ValueOf(""), nil
			}
			return reflect.Value{}, fail("%s: %s has no key %q", expression, owner(current), name)
		}
		current = solid(next)
	}
	return current, nil
}

// step returns one field, or the zero Value for a missing key of a map.
func step(expression string, from reflect.Value, name string) (reflect.Value, error) {
	if method := from.MethodByName(name); method.IsValid() {
		if method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
			return reflect.Value{}, fail("%s: %s cannot be used without arguments", expression, name)
		}
		return method.Call(nil)[0], nil
	}
	switch from.Kind() {
	case reflect.Map:
		if from.Type().Key().Kind() == reflect.String {
			return from.MapIndex(reflect.ValueOf(name)), nil
		}
	case reflect.Struct:
		if found, ok := from.Type().FieldByName(name); ok && found.IsExported() {
			return from.FieldByIndex(found.Index), nil
		}
	}
	return reflect.Value{}, fail("%s: %s has no field %q", expression, kindName(from), name)
}

// owner describes a map in errors.
func owner(object reflect.Value) string {
	switch object.Interface().(type) {
	case secrets:
		return "the catalogue"
	case map[string]string:
		if object.Pointer() == reflect.ValueOf(run.data).Pointer() {
			return ".Data"
		}
	case map[string]any:
		if id, known := run.owners[object.Pointer()]; known {
			return run.name(id)
		}
	}
	return "the object"
}

func mapID(object map[string]any) uintptr { return reflect.ValueOf(object).Pointer() }

// solid unwraps an interface; nil gives the zero Value.
func solid(value reflect.Value) reflect.Value {
	if value.IsValid() && value.Kind() == reflect.Interface {
		return value.Elem()
	}
	return value
}

// printed returns the text of a value as an action prints it. The expression is
// for the error.
func printed(expression string, value reflect.Value) (string, error) {
	value = solid(value)
	if !value.IsValid() {
		return "", fail("%s: no value (missing or null)", expression)
	}
	if value.Type() == stringType {
		return value.String(), nil
	}
	if hasNull(value) {
		return "", fail("%s: the value contains null", expression)
	}
	if kind := unprintable(value); kind != "" {
		return "", fail("%s: %s has no text of its own; use toJson", expression, kind)
	}
	return fmt.Sprint(value.Interface()), nil
}

var (
	stringType   = reflect.TypeFor[string]()
	tagsType     = reflect.TypeFor[tags]()
	metaType     = reflect.TypeFor[secretMeta]()
	stringerType = reflect.TypeFor[fmt.Stringer]()
)

// unprintable names what Go would print in a notation that nobody reads, like
// map[k:v]: an object, at any depth. Empty: the value can be printed.
func unprintable(value reflect.Value) string {
	value = solid(value)
	if !value.IsValid() || value.Type().Implements(stringerType) {
		return ""
	}
	switch value.Kind() {
	case reflect.Map:
		return kindName(value)
	case reflect.Struct:
		if value.Type() == metaType || value.Type() == reflect.TypeFor[root]() {
			return kindName(value)
		}
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			if kind := unprintable(value.Index(i)); kind != "" {
				return kind + " in the list"
			}
		}
	}
	return ""
}

// hasNull reports whether printing the value would print Go's "<nil>".
func hasNull(value reflect.Value) bool {
	value = solid(value)
	if !value.IsValid() {
		return true
	}
	switch value.Kind() {
	case reflect.Map:
		for entries := value.MapRange(); entries.Next(); {
			if hasNull(entries.Value()) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			if hasNull(value.Index(i)) {
				return true
			}
		}
	}
	return false
}

// ranged rejects values that Go cannot range over. Go's own error would quote the value.
func ranged(expression string, value reflect.Value) (reflect.Value, error) {
	value = solid(value)
	switch value.Kind() {
	case reflect.Invalid, reflect.Map, reflect.Slice, reflect.Array,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return value, nil
	}
	return reflect.Value{}, fail("%s: cannot range over %s", expression, kindName(value))
}

// kindName describes the type of a value, never its content.
func kindName(value reflect.Value) string {
	value = solid(value)
	if !value.IsValid() {
		return "nothing (missing or null)"
	}
	switch value.Interface().(type) {
	case number, exactNumber:
		return "a number"
	case secrets:
		return "a map of secrets"
	case secretMeta:
		return "an entry of .Secrets"
	case root:
		return "the template's data"
	}
	switch value.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Int, reflect.Int64, reflect.Uint8, reflect.Float64:
		return "a number"
	}
	return "a value of type " + value.Type().Name()
}
