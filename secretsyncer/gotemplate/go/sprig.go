package main

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// sprigFunctions are those that converted templates need beside the functions of
// the cookbook. Their results are sprig's. Numbers are integers, as in sprig.
var sprigFunctions = map[string]any{
	"title":   text1(strings.Title),
	"nospace": text1(func(s string) string { return strings.Join(strings.Fields(s), "") }),
	"cat":     cat,
	"repeat":  repeat,
	"substr":  substr,
	"trunc":   trunc,

	"sha1sum":      text1(func(s string) string { sum := sha1.Sum([]byte(s)); return hex.EncodeToString(sum[:]) }),
	"sha512sum":    text1(func(s string) string { sum := sha512.Sum512([]byte(s)); return hex.EncodeToString(sum[:]) }),
	"b32enc":       text1(func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) }),
	"mustToJson":   toJSON,
	"mustFromJson": fromJSON,
	"toPrettyJson": func(value any) (string, error) { return encodeJSON(value, "  ", true) },
	"toRawJson":    func(value any) (string, error) { return encodeJSON(value, "", false) },

	"regexMatch":      withPattern(func(re *regexp.Regexp, s string) (any, error) { return re.MatchString(s), nil }),
	"regexFind":       withPattern(func(re *regexp.Regexp, s string) (any, error) { return re.FindString(s), nil }),
	"regexReplaceAll": regexReplaceAll,

	"add":   folded(func(a, b int) int { return a + b }),
	"mul":   folded(func(a, b int) int { return a * b }),
	"max":   folded(func(a, b int) int { return max(a, b) }),
	"min":   folded(func(a, b int) int { return min(a, b) }),
	"sub":   whole2(func(a, b int) (int, error) { return a - b, nil }),
	"div":   whole2(func(a, b int) (int, error) { return divided(b, a/nonZero(b)) }),
	"mod":   whole2(func(a, b int) (int, error) { return divided(b, a%nonZero(b)) }),
	"atoi":  toInt,
	"int64": toInt,

	"first":   func(items any) (any, error) { return element(items, 0) },
	"last":    func(items any) (any, error) { return element(items, -1) },
	"rest":    func(items any) (any, error) { return sliced(items, 1, math.MaxInt) },
	"initial": func(items any) (any, error) { return sliced(items, 0, -1) },
	"append": func(items, more any) (any, error) {
		return edited(items, func(all []any) []any { return append(all, more) })
	},
	"prepend": func(items, more any) (any, error) {
		return edited(items, func(all []any) []any { return append([]any{more}, all...) })
	},
	"uniq":      func(items any) (any, error) { return edited(items, unique) },
	"has":       has,
	"sortAlpha": sortAlpha,

	"pick": func(object any, names ...any) (any, error) { return selected(object, names, true) },
	"omit": func(object any, names ...any) (any, error) { return selected(object, names, false) },
}

func init() {
	for name, function := range sprigFunctions {
		functions[name] = function
	}
}

func cat(items ...any) (string, error) {
	var texts []string
	for _, item := range items {
		if item == nil {
			continue
		}
		s, err := toString(item)
		if err != nil {
			return "", err
		}
		texts = append(texts, s)
	}
	return limited(strings.Join(texts, " "))
}

func repeat(count, value any) (string, error) {
	times, err := toInt(count)
	if err != nil {
		return "", err
	}
	s, err := text(value)
	if err != nil {
		return "", err
	}
	if times < 0 || times > textLimit || times*len(s) > textLimit {
		return "", tooLong()
	}
	return strings.Repeat(s, times), nil
}

// substr counts bytes, as sprig does. A negative start means from the beginning,
// and a negative end means to the end.
func substr(start, end, value any) (string, error) {
	from, err := toInt(start)
	if err != nil {
		return "", err
	}
	to, err := toInt(end)
	if err != nil {
		return "", err
	}
	s, err := text(value)
	if err != nil {
		return "", err
	}
	from = max(from, 0)
	if to < 0 || to > len(s) {
		to = len(s)
	}
	if from > to {
		return "", failure("the start is behind the end")
	}
	return s[from:to], nil
}

func trunc(count, value any) (string, error) {
	length, err := toInt(count)
	if err != nil {
		return "", err
	}
	s, err := text(value)
	switch {
	case err != nil:
		return "", err
	case length < 0 && len(s)+length > 0:
		return s[len(s)+length:], nil
	case length >= 0 && len(s) > length:
		return s[:length], nil
	}
	return s, nil
}

func encodeJSON(value any, indentation string, escape bool) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escape)
	encoder.SetIndent("", indentation)
	if encoder.Encode(value) != nil {
		return "", failure("the value cannot be written as JSON")
	}
	return limited(strings.TrimSuffix(out.String(), "\n"))
}

func withPattern(apply func(*regexp.Regexp, string) (any, error)) func(pattern, value any) (any, error) {
	return func(pattern, value any) (any, error) {
		expression, err := text(pattern)
		if err != nil {
			return nil, err
		}
		s, err := text(value)
		if err != nil {
			return nil, err
		}
		re, err := run.pattern(expression)
		if err != nil {
			return nil, err
		}
		return apply(re, s)
	}
}

func regexReplaceAll(pattern, value, replacement any) (any, error) {
	with, err := text(replacement)
	if err != nil {
		return nil, err
	}
	return withPattern(func(re *regexp.Regexp, s string) (any, error) {
		// A match may be empty, and the replacement may repeat what was found for each $.
		if (len(s)+1)*(len(with)+len(s)*strings.Count(with, "$")+1) > textLimit {
			return nil, tooLong()
		}
		return re.ReplaceAllString(s, with), nil
	})(pattern, value)
}

// folded combines any number of integers.
func folded(combine func(a, b int) int) func(...any) (int64, error) {
	return func(items ...any) (int64, error) {
		total := 0
		for i, item := range items {
			number, err := toInt(item)
			if err != nil {
				return 0, err
			}
			if total = combine(total, number); i == 0 {
				total = number
			}
		}
		return int64(total), nil
	}
}

func whole2(combine func(a, b int) (int, error)) func(a, b any) (int64, error) {
	return func(a, b any) (int64, error) {
		first, err := toInt(a)
		if err != nil {
			return 0, err
		}
		second, err := toInt(b)
		if err != nil {
			return 0, err
		}
		result, err := combine(first, second)
		return int64(result), err
	}
}

func nonZero(divisor int) int {
	if divisor == 0 {
		return 1
	}
	return divisor
}

func divided(divisor, result int) (int, error) {
	if divisor == 0 {
		return 0, failure("division by zero")
	}
	return result, nil
}

// elements are those of a list, each as it is.
func elements(items any) ([]any, error) {
	value := reflect.ValueOf(items)
	if value.Kind() != reflect.Slice {
		return nil, fail("must be a list, but is %s", kindName(value))
	}
	all := make([]any, value.Len())
	for i := range all {
		all[i] = value.Index(i).Interface()
	}
	return all, nil
}

func element(items any, index int) (any, error) {
	all, err := elements(items)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[(index+len(all))%len(all)], nil
}

func sliced(items any, from, to int) (any, error) {
	all, err := elements(items)
	if err != nil || len(all) == 0 {
		return all, err
	}
	if to < 0 {
		to += len(all)
	}
	return all[from:min(to, len(all))], nil
}

func edited(items any, edit func([]any) []any) (any, error) {
	all, err := elements(items)
	if err != nil {
		return nil, err
	}
	return edit(all), nil
}

func unique(all []any) []any {
	kept := []any{}
	for _, item := range all {
		if !slices.ContainsFunc(kept, func(other any) bool { return reflect.DeepEqual(item, other) }) {
			kept = append(kept, item)
		}
	}
	return kept
}

func has(wanted, items any) (bool, error) {
	all, err := elements(items)
	return slices.ContainsFunc(all, func(item any) bool { return reflect.DeepEqual(item, wanted) }), err
}

func sortAlpha(items any) ([]string, error) {
	all, err := elements(items)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(all))
	for i, item := range all {
		if texts[i], err = toString(item); err != nil {
			return nil, err
		}
	}
	slices.Sort(texts)
	return texts, nil
}

// selected is the object with only these keys, or without them.
func selected(object any, names []any, keep bool) (any, error) {
	entries, err := mapping(object)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, name := range names {
		key, err := text(name)
		if err != nil {
			return nil, err
		}
		wanted[key] = true
	}
	made := map[string]any{}
	for _, key := range entries.MapKeys() {
		if wanted[key.String()] == keep {
			made[key.String()] = entries.MapIndex(key).Interface()
		}
	}
	return made, nil
}
