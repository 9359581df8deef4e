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

// JSON numbers are float64, as encoding/json makes them, so that tests and
// comparisons work as ever; but they print as the text that the JSON has
// ("5432", "1.50", "12345678901234567890"), where Go would print 1e+06.

// number is a JSON number whose plain decimal form is its source text.
type number float64

// exactNumber is any other: one that float64 cannot hold, or that is written
// in another way (1.50, 1e3). It is never zero, because Go's if takes every
// struct for true.
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

// fitsNumber tells whether a JSON number can be printed with the verb.
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

// formatSource prints an integer with %d, so that the flags for numbers work,
// and the source text of what no Go integer holds.
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

// decodeJSON decodes with numbers kept; found is told of every object. Errors
// name no value: they complete the sentence "the secret x ...".
func decodeJSON(source string, found func(map[string]any)) (any, error) {
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
		return nil, fail("is not JSON (there is more after byte %d)", decoder.InputOffset())
	}
	var problem *json.SyntaxError
	if errors.As(err, &problem) {
		return nil, fail("is not JSON (at byte %d)", problem.Offset)
	}
	return nil, failure("is not JSON (it ends too early)")
}

// nesting is the depth of brackets outside strings.
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

// converter makes numbers of json.Number in what was decoded.
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

// check looks for U+FFFD, which the decoder puts in place of half a surrogate
// pair, where the source has none by itself.
func (c *converter) check(text string) {
	if !strings.ContainsRune(text, utf8.RuneError) || strings.ContainsRune(c.source, utf8.RuneError) {
		return
	}
	if !strings.Contains(strings.ToLower(c.source), `\ufffd`) {
		c.err = failure(`is JSON with half a character (a \u escape without its pair)`)
	}
}
