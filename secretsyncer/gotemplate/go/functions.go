package main

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// functions are the functions of templates, in addition to those of
// text/template. Those that print or compare replace them. Names, arguments and
// meaning are those of the Go operator (first group, but for getSecretKey and
// parameters) and of
// sprig. No function
// reads the clock, the environment, the network or random numbers.
//
// They are stricter than sprig on purpose: no value, a string that is not a
// number, and invalid base64 or JSON are errors, not an empty string.
var functions = map[string]any{
	"getSecretValue":    getSecretValue,
	"getSecretValueMap": getSecretValueMap,
	"getSecretKey":      getSecretKey,
	"getParameter":      getParameter,
	"getParameters":     getParameters,
	"filterByTagKey":    filterByTagKey,
	"filterByTag":       filterByTag,
	"filterByName":      filterByName,
	"base64":            text1(encodeBase64),
	"indent":            indent,

	"print":    sprint,
	"printf":   sprintf,
	"println":  sprintln,
	"html":     htmlEscape,
	"js":       jsEscape,
	"urlquery": queryEscape,
	"call":     noCall,

	"eq": equalAny,
	"ne": notEqual,
	"lt": ordered(func(c int) bool { return c < 0 }),
	"le": ordered(func(c int) bool { return c <= 0 }),
	"gt": ordered(func(c int) bool { return c > 0 }),
	"ge": ordered(func(c int) bool { return c >= 0 }),

	"nindent":    nindent,
	"quote":      quote(`%q`),
	"squote":     quote(`'%s'`),
	"trim":       text1(strings.TrimSpace),
	"trimAll":    text2(func(cutset, s string) any { return strings.Trim(s, cutset) }),
	"trimPrefix": text2(func(prefix, s string) any { return strings.TrimPrefix(s, prefix) }),
	"trimSuffix": text2(func(suffix, s string) any { return strings.TrimSuffix(s, suffix) }),
	"upper":      text1(strings.ToUpper),
	"lower":      text1(strings.ToLower),
	"contains":   text2(func(part, s string) any { return strings.Contains(s, part) }),
	"hasPrefix":  text2(func(prefix, s string) any { return strings.HasPrefix(s, prefix) }),
	"hasSuffix":  text2(func(suffix, s string) any { return strings.HasSuffix(s, suffix) }),
	"split":      text2(func(separator, s string) any { return splitMap(separator, s) }),
	"splitList":  text2(func(separator, s string) any { return strings.Split(s, separator) }),
	"replace":    replace,
	"join":       join,
	"toString":   toString,
	"int":        toInt,

	"default":  defaultTo,
	"required": required,
	"empty":    empty,
	"coalesce": coalesce,
	"ternary":  ternary,
	"dict":     dict,
	"list":     list,
	"keys":     keys,
	"values":   values,
	"hasKey":   hasKey,
	"get":      get,

	"b64enc":    text1(encodeBase64),
	"b64dec":    decodeBase64,
	"sha256sum": text1(sha256sum),
	"toJson":    toJSON,
	"fromJson":  fromJSON,
	"toYaml":    toYAML,
}

// noCall replaces Go's call, whose errors quote their argument. Templates have
// no value that could be called.
func noCall(any, ...any) (any, error) {
	return nil, failure("call is not supported")
}

// text returns a scalar as a string: numbers and booleans as they print.
func text(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return value, nil
	case bool, int, int64, uint8, float64, number, exactNumber:
		return fmt.Sprint(value), nil
	}
	return "", fail("must be a string, but is %s", kindName(reflect.ValueOf(value)))
}

func text1(apply func(string) string) func(any) (string, error) {
	return func(value any) (string, error) {
		s, err := text(value)
		if err != nil {
			return "", err
		}
		return limited(apply(s))
	}
}

func text2(apply func(a, b string) any) func(a, b any) (any, error) {
	return func(a, b any) (any, error) {
		first, err := text(a)
		if err != nil {
			return nil, err
		}
		second, err := text(b)
		if err != nil {
			return nil, err
		}
		return apply(first, second), nil
	}
}

// toString prints any value like an action does.
func toString(value any) (string, error) {
	if s, err := text(value); err == nil {
		return s, nil
	}
	return sprint(value)
}

// quote wraps each argument and joins them with spaces.
func quote(format string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		quoted := make([]string, len(args))
		for i, arg := range args {
			s, err := toString(arg)
			if err != nil {
				return "", err
			}
			quoted[i] = fmt.Sprintf(format, s)
		}
		return limited(strings.Join(quoted, " "))
	}
}

func indent(spaces, value any) (string, error) {
	width, err := toInt(spaces)
	if err != nil {
		return "", err
	}
	s, err := text(value)
	if err != nil {
		return "", err
	}
	if width < 0 || width > textLimit || (strings.Count(s, "\n")+1)*width+len(s) > textLimit {
		return "", tooLong()
	}
	padding := strings.Repeat(" ", width)
	return padding + strings.ReplaceAll(s, "\n", "\n"+padding), nil
}

func nindent(spaces, value any) (string, error) {
	indented, err := indent(spaces, value)
	return "\n" + indented, err
}

func replace(old, replacement, value any) (string, error) {
	from, err := text(old)
	if err != nil {
		return "", err
	}
	to, err := text(replacement)
	if err != nil {
		return "", err
	}
	s, err := text(value)
	if err != nil {
		return "", err
	}
	if len(s)+strings.Count(s, from)*max(0, len(to)-len(from)) > textLimit {
		return "", tooLong()
	}
	return strings.ReplaceAll(s, from, to), nil
}

func splitMap(separator, s string) map[string]string {
	parts := map[string]string{}
	for i, part := range strings.Split(s, separator) {
		parts["_"+strconv.Itoa(i)] = part
	}
	return parts
}

// toInt truncates a number. A string must be an integer.
func toInt(value any) (int, error) {
	switch value := value.(type) {
	case int:
		return value, nil
	case int64:
		return int(value), nil
	case uint8:
		return int(value), nil
	case bool:
		if value {
			return 1, nil
		}
		return 0, nil
	case string:
		return parseInt(value)
	case number:
		return cut(float64(value))
	case exactNumber:
		if whole, err := parseInt(value.source); err == nil {
			return whole, nil
		}
		return cut(value.value)
	case float64:
		return cut(value)
	}
	return 0, fail("must be a number, but is %s", kindName(reflect.ValueOf(value)))
}

func parseInt(s string) (int, error) {
	whole, err := strconv.ParseInt(strings.TrimSpace(s), 10, 0)
	if err != nil {
		return 0, failure("the string is not an integer")
	}
	return int(whole), nil
}

func cut(value float64) (int, error) {
	if math.Abs(value) >= 1<<63 {
		return 0, failure("the number is too large for an integer")
	}
	return int(value), nil
}
