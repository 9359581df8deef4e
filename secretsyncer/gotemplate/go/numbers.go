package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// JSON numbers are float64, as in encoding/json, so that tests and comparisons
// work as in Go. But they print as they are written in the JSON ("5432", "1.50",
// "12345678901234567890"), where Go would print 1e+06.

// number is a JSON number whose plain decimal form is its source text.
type number float64

// exactNumber is any other number: one that float64 cannot represent, or that is
// written in another form (1.50, 1e3). It is never zero, because every struct is
// true for Go's if.
type exactNumber struct {
	source string
	value  float64
}

func parseNumber(source string) any {
	value, err := strconv.ParseFloat(source, 64)
	if err == nil && (value == 0 || plain(value) == source) {
		return number(value)
	}
	return exactNumber{source: source, value: value}
}

func plain(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

func (n number) float() float64               { return float64(n) }
func (n number) text() string                 { return plain(float64(n)) }
func (n number) MarshalJSON() ([]byte, error) { return []byte(n.text()), nil }

func (n number) Format(state fmt.State, verb rune) {
	formatNumber(state, verb, n.text(), float64(n))
}

func (n exactNumber) MarshalJSON() ([]byte, error) { return []byte(n.source), nil }

func (n exactNumber) Format(state fmt.State, verb rune) {
	formatNumber(state, verb, n.source, n.value)
}

// fitsNumber reports whether a JSON number can be printed with the verb.
func fitsNumber(value float64, verb rune) bool {
	if verb == 'd' {
		return value == math.Trunc(value)
	}
	return strings.ContainsRune("sbgGxXfFeE", verb)
}

func formatNumber(state fmt.State, verb rune, source string, value float64) {
	_, precise := state.Precision()
	switch {
	case verb == 'd', (verb == 'v' || verb == 's') && !precise:
		formatSource(state, verb, source, value)
	case verb == 's':
		fmt.Fprintf(state, fmt.FormatString(state, verb), source)
	default:
		fmt.Fprintf(state, fmt.FormatString(state, verb), value)
	}
}

// formatSource prints an integer with %d, so that the flags for numbers work. It
// prints the source text of numbers that no Go integer can hold.
func formatSource(state fmt.State, verb rune, source string, value float64) {
	digits := source
	if verb == 'd' && strings.ContainsAny(source, ".eE") {
		digits = strconv.FormatFloat(value, 'f', 0, 64)
	}
	if signed, err := strconv.ParseInt(digits, 10, 64); err == nil && digits != "-0" {
		fmt.Fprintf(state, fmt.FormatString(state, 'd'), signed)
		return
	}
	width, _ := state.Width()
	padding := strings.Repeat(" ", max(0, width-len(digits)))
	if state.Flag('-') {
		digits, padding = digits+padding, ""
	}
	_, _ = io.WriteString(state, padding+digits)
}

// nestingLimit bounds the depth of JSON, whose decoder is recursive.
const nestingLimit = 500

// decodeJSON keeps the text of numbers, and calls found for every object. Errors
// contain no value. They complete the sentence "the secret x ...".
func decodeJSON(source string, found func(map[string]any)) (any, error) {
	if strings.HasPrefix(source, mark) {
		return nil, failure("is not JSON: it begins with a byte order mark (U+FEFF)")
	}
	if nesting(source) > nestingLimit {
		return nil, failure("is JSON nested too deeply")
	}
	decoder := json.NewDecoder(strings.NewReader(source))
	decoder.UseNumber()
	var decoded any
	err := decoder.Decode(&decoded)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			converter := converter{source: source, found: found}
			return converter.convert(decoded), converter.err
		}
		return nil, fail("is not JSON (unexpected data at %s)", place(source, decoder.InputOffset()))
	}
	var problem *json.SyntaxError
	if errors.As(err, &problem) {
		at := max(0, problem.Offset-1)
		if strings.Contains(problem.Error(), "in string literal") && (source[at] == '\n' || source[at] == '\r') {
			return nil, fail(`is not JSON (%s): there is a raw line break in a text, which JSON writes as an escape like \n`, place(source, at))
		}
		return nil, fail("is not JSON (%s)", place(source, at))
	}
	return nil, failure("is not JSON (unexpected end)")
}

// place is the line and the column of an offset, both from 1.
func place(source string, offset int64) string {
	before := source[:min(int(offset), len(source))]
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndex(before, "\n")+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// mark is U+FEFF as UTF-8.
const mark = "\uFEFF"

// nesting is the depth of brackets outside of strings.
func nesting(source string) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(source); i++ {
		switch c := source[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// converter replaces json.Number in decoded JSON.
type converter struct {
	source string
	found  func(map[string]any)
	err    error
}

func (c *converter) convert(decoded any) any {
	switch decoded := decoded.(type) {
	case string:
		c.check(decoded)
	case json.Number:
		return parseNumber(decoded.String())
	case map[string]any:
		for key, value := range decoded {
			c.check(key)
			decoded[key] = c.convert(value)
		}
		c.found(decoded)
	case []any:
		for i, value := range decoded {
			decoded[i] = c.convert(value)
		}
	}
	return decoded
}

// check looks for U+FFFD that is not in the source: the decoder puts it in place
// of half a surrogate pair.
func (c *converter) check(text string) {
	if !strings.ContainsRune(text, utf8.RuneError) || strings.ContainsRune(c.source, utf8.RuneError) {
		return
	}
	if !strings.Contains(strings.ToLower(c.source), `\ufffd`) {
		c.err = failure(`is JSON with an invalid \u escape (half of a surrogate pair)`)
	}
}
