package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// YAML as Helm and other operators write it (sigs.k8s.io/yaml), to the byte: block
// style, plain text where a parser reads it as text, literal blocks for lines, and
// long lines broken at a space.

// lineWidth is the column behind which a line is broken at the next space.
const lineWidth = 80

// toYAML writes a value without the last line break.
func toYAML(value any) (string, error) {
	var out yamlWriter
	if err := out.value(reflect.ValueOf(value), 0, true); err != nil {
		return "", err
	}
	return limited(strings.TrimSuffix(out.String(), "\n"))
}

type yamlWriter struct{ strings.Builder }

// newLine starts a line, unless a literal block has just done so.
func (out *yamlWriter) newLine(depth int) {
	if written := out.String(); written != "" && !strings.HasSuffix(written, "\n") {
		out.WriteByte('\n')
	}
	out.WriteString(strings.Repeat("  ", depth))
}

// column is the number of characters in the current line.
func (out *yamlWriter) column() int {
	written := out.String()
	return utf8.RuneCountInString(written[strings.LastIndexByte(written, '\n')+1:])
}

// value writes what follows "key:" or "-". inline: it begins in the current line,
// after "- " or at the start. A text is continued at the given depth.
func (out *yamlWriter) value(value reflect.Value, depth int, inline bool) error {
	value = solid(value)
	if out.Len() > textLimit {
		return tooLong()
	}
	switch {
	case value.IsValid() && value.Kind() == reflect.Map && value.Len() > 0:
		return out.mapping(value, depth, inline)
	case value.IsValid() && value.Kind() == reflect.Slice && value.Len() > 0:
		return out.sequence(value, depth, inline)
	}
	if !inline {
		out.WriteByte(' ')
	}
	return out.scalar(value, depth)
}

func (out *yamlWriter) mapping(value reflect.Value, depth int, inline bool) error {
	names, err := keys(value.Interface())
	if err != nil {
		return err
	}
	slices.SortStableFunc(names, naturally)
	for i, name := range names {
		if i > 0 || !inline {
			out.newLine(depth)
		}
		if err := out.text(name, 0, true); err != nil {
			return err
		}
		out.WriteByte(':')
		entry := solid(value.MapIndex(reflect.ValueOf(name)))
		below := depth + 1
		if entry.IsValid() && entry.Kind() == reflect.Slice {
			below = depth
		}
		if err := out.value(entry, below, false); err != nil {
			return err
		}
	}
	return nil
}

func (out *yamlWriter) sequence(value reflect.Value, depth int, inline bool) error {
	for i := range value.Len() {
		if i > 0 || !inline {
			out.newLine(depth)
		}
		out.WriteString("- ")
		if err := out.value(value.Index(i), depth+1, true); err != nil {
			return err
		}
	}
	return nil
}

func (out *yamlWriter) scalar(value reflect.Value, depth int) error {
	if !value.IsValid() {
		out.WriteString("null")
		return nil
	}
	switch known := value.Interface().(type) {
	case string:
		return out.text(known, depth, false)
	case bool, int, int64, uint8, float64, number, exactNumber:
		fmt.Fprint(out, known)
		return nil
	case time.Time:
		out.WriteString(known.Format(time.RFC3339Nano))
		return nil
	}
	switch value.Kind() {
	case reflect.Map:
		out.WriteString("{}")
	case reflect.Slice:
		out.WriteString("[]")
	default:
		return fail("%s cannot be written as YAML", kindName(value))
	}
	return nil
}

// text writes a string in the simplest style that keeps it. A key stays in one line.
func (out *yamlWriter) text(s string, depth int, key bool) error {
	if !utf8.ValidString(s) {
		return failure("the string is not valid UTF-8")
	}
	form := formOf(s)
	lines := strings.Contains(s, "\n")
	switch {
	case lines && !key && form.block:
		out.literal(s, depth)
	case lines || !form.printable || isOtherType(s):
		out.quoted(s, depth, key)
	case form.plain:
		out.folded(s, depth, key, "")
	default:
		out.folded(s, depth, key, "'")
	}
	return nil
}

// folded writes plain or single quoted text, and breaks a long line at a single space.
func (out *yamlWriter) folded(s string, depth int, key bool, quote string) {
	out.WriteString(quote)
	column, spaces := out.column(), false
	for i, c := range s {
		space := c == ' '
		inside := quote == "" || (i > 0 && i < len(s)-1)
		if space && !key && !spaces && column > lineWidth && inside && !strings.HasPrefix(s[i+1:], " ") {
			column = out.broken(depth)
		} else {
			if c == '\'' {
				out.WriteString(quote)
				column += len(quote)
			}
			out.WriteRune(c)
			column++
		}
		spaces = space
	}
	out.WriteString(quote)
}

// broken continues a text in the next line, and returns the column.
func (out *yamlWriter) broken(depth int) int {
	out.newLine(max(depth, 1))
	return 2 * max(depth, 1)
}

// literal writes the lines as they are, indented.
func (out *yamlWriter) literal(s string, depth int) {
	out.WriteByte('|')
	if s[0] == ' ' || s[0] == '\n' {
		out.WriteByte('2')
	}
	switch {
	case !strings.HasSuffix(s, "\n"):
		out.WriteByte('-')
	case s == "\n" || strings.HasSuffix(s, "\n\n"):
		out.WriteByte('+')
	}
	for line := range strings.SplitSeq(s, "\n") {
		out.WriteByte('\n')
		if line != "" {
			out.WriteString(strings.Repeat("  ", max(depth, 1)) + line)
		}
	}
}

// quoted writes double quoted text, with an escape for what cannot be printed.
func (out *yamlWriter) quoted(s string, depth int, key bool) {
	out.WriteByte('"')
	column, spaces := out.column(), false
	for i, c := range s {
		switch {
		case c == ' ' && !key && !spaces && column > lineWidth && i > 0 && i < len(s)-1:
			column = out.broken(depth)
			if s[i+1] == ' ' {
				out.WriteByte('\\')
				column++
			}
		case c == '"' || c == '\\' || !isPrintable(c) || c == '\n' || isWideBreak(c):
			escaped := yamlEscape(c)
			out.WriteString(escaped)
			column += len(escaped)
		default:
			out.WriteRune(c)
			column++
		}
		spaces = c == ' '
	}
	out.WriteByte('"')
}

var yamlEscapes = map[rune]string{
	0: `\0`, '\a': `\a`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\v': `\v`, '\f': `\f`, '\r': `\r`, 0x1b: `\e`,
	'"': `\"`, '\\': `\\`, 0x85: `\N`, 0xa0: `\_`, 0x2028: `\L`, 0x2029: `\P`,
}

func yamlEscape(c rune) string {
	switch known := yamlEscapes[c]; {
	case known != "":
		return known
	case c <= 0xff:
		return fmt.Sprintf(`\x%02X`, c)
	case c <= 0xffff:
		return fmt.Sprintf(`\u%04X`, c)
	}
	return fmt.Sprintf(`\U%08X`, c)
}
