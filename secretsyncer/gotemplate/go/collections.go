package main

import (
	"reflect"
	"slices"
	"strings"
)

// empty is that of sprig: zero, false, "", and collections without elements.
func empty(value any) bool {
	reflected := reflect.ValueOf(value)
	if !reflected.IsValid() {
		return true
	}
	switch reflected.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.String:
		return reflected.Len() == 0
	case reflect.Struct:
		return false
	}
	return reflected.IsZero()
}

func defaultTo(fallback any, given ...any) any {
	if len(given) == 0 || empty(given[0]) {
		return fallback
	}
	return given[0]
}

// required fails with its message, a string literal (see rewrite.go), if the
// value is missing, null or "".
func required(message string, value any) (any, error) {
	if value == nil || value == "" {
		return nil, failure(message)
	}
	return value, nil
}

func coalesce(candidates ...any) any {
	for _, candidate := range candidates {
		if !empty(candidate) {
			return candidate
		}
	}
	return nil
}

func ternary(yes, no any, condition bool) any {
	if condition {
		return yes
	}
	return no
}

func list(items ...any) []any { return items }

// dict takes keys and values alternately. A last key without a value gets "".
func dict(pairs ...any) (map[string]any, error) {
	made := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		key, err := text(pairs[i])
		if err != nil {
			return nil, err
		}
		made[key] = ""
		if i+1 < len(pairs) {
			made[key] = pairs[i+1]
		}
	}
	return made, nil
}

// keys are those of all objects, sorted. sprig's order is random and would change
// the Secret at each render.
func keys(objects ...any) ([]string, error) {
	found := []string{}
	for _, object := range objects {
		entries, err := mapping(object)
		if err != nil {
			return nil, err
		}
		for _, key := range entries.MapKeys() {
			found = append(found, key.String())
		}
	}
	slices.Sort(found)
	return found, nil
}

// values are those of an object, in the order of its keys.
func values(object any) ([]any, error) {
	names, err := keys(object)
	if err != nil {
		return nil, err
	}
	found := make([]any, len(names))
	for i, name := range names {
		found[i] = reflect.ValueOf(object).MapIndex(reflect.ValueOf(name)).Interface()
	}
	return found, nil
}

func hasKey(object, key any) (bool, error) {
	found, err := lookUp(object, key)
	return found.IsValid(), err
}

// get returns "" for a missing key.
func get(object, key any) (any, error) {
	found, err := lookUp(object, key)
	if err != nil || !found.IsValid() {
		return "", err
	}
	return found.Interface(), nil
}

func lookUp(object, key any) (reflect.Value, error) {
	entries, err := mapping(object)
	if err != nil {
		return reflect.Value{}, err
	}
	name, err := text(key)
	if err != nil {
		return reflect.Value{}, err
	}
	return entries.MapIndex(reflect.ValueOf(name)), nil
}

func mapping(object any) (reflect.Value, error) {
	value := reflect.ValueOf(object)
	if value.Kind() != reflect.Map {
		return reflect.Value{}, fail("must be an object, but is %s", kindName(value))
	}
	return value, nil
}

func join(separator, items any) (string, error) {
	glue, err := text(separator)
	if err != nil {
		return "", err
	}
	value := reflect.ValueOf(items)
	if value.Kind() != reflect.Slice {
		return toString(items)
	}
	texts, size := make([]string, value.Len()), 0
	for i := range texts {
		if texts[i], err = toString(value.Index(i).Interface()); err != nil {
			return "", err
		}
		if size += len(texts[i]) + len(glue); size > textLimit {
			return "", tooLong()
		}
	}
	return strings.Join(texts, glue), nil
}
