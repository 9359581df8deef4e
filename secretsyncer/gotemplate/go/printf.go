package main

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/template"
)

// The print functions, with errors where Go writes markers into the output:
// "%!d(string=hi)" would break the Secret and show a value in it.

func sprint(args ...any) (string, error) {
	if err := present(args); err != nil {
		return "", err
	}
	return limited(fmt.Sprint(args...))
}

func sprintln(args ...any) (string, error) {
	if err := present(args); err != nil {
		return "", err
	}
	return limited(fmt.Sprintln(args...))
}

// escaper wraps html, js and urlquery, which print their arguments first.
func escaper(escape func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		if err := present(args); err != nil {
			return "", err
		}
		return limited(escape(args...))
	}
}

var (
	htmlEscape  = escaper(template.HTMLEscaper)
	jsEscape    = escaper(template.JSEscaper)
	queryEscape = escaper(template.URLQueryEscaper)
)

// present fails if an argument is or contains null, or is an object.
func present(args []any) error {
	for i, arg := range args {
		if hasNull(reflect.ValueOf(arg)) {
			return fail("argument %d has no value (missing or null)", i+1)
		}
		if kind := unprintable(reflect.ValueOf(arg)); kind != "" {
			return fail("argument %d: %s has no text of its own; use toJson", i+1, kind)
		}
	}
	return nil
}

func limited(text string) (string, error) {
	if len(text) > textLimit {
		return "", tooLong()
	}
	return text, nil
}

func tooLong() error { return fail("the string would be longer than %d bytes", textLimit) }

// sprintf formats twice. The first time, every argument is a probe that prints
// nothing and checks whether the verb fits. Each "%!" in that output is then
// Go's marker for an error in the format, because "!" in the format itself is
// replaced. Integers are not replaced, because they may be a width. A plain
// format is formatted only once.
func sprintf(format string, args ...any) (string, error) { return formatted(true, format, args) }

// sprintfComputed is printf with a format that is not written in the template:
// it may be a secret's value, so no error shows a character of it.
func sprintfComputed(format string, args ...any) (string, error) { return formatted(false, format, args) }

func formatted(public bool, format string, args []any) (string, error) {
	if size, ok := plainSize(format, args); ok {
		if size > textLimit {
			return "", tooLong()
		}
		return fmt.Sprintf(format, args...), nil
	}
	first := &probe{public: public}
	probes := make([]any, len(args))
	for i, arg := range args {
		probes[i] = argument{probe: first, index: i + 1, value: reflect.ValueOf(arg)}
		if isInteger(arg) {
			probes[i] = arg
		}
	}
	trial := fmt.Sprintf(strings.ReplaceAll(format, "!", "?"), probes...)
	if first.err != nil {
		return "", first.err
	}
	if complaint := complaints.FindStringSubmatch(trial); complaint != nil {
		return "", explainFormat(first.name(complaint[1]), complaint[2])
	}
	if len(trial) > textLimit {
		return "", tooLong()
	}
	return limited(fmt.Sprintf(format, args...))
}

// plainSize reports whether the format has only text, %s and %v, with a string
// for each. Such a format cannot fail. size is the maximum size of the result.
func plainSize(format string, args []any) (size int, plain bool) {
	size, verbs := len(format), 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		if i++; i == len(format) {
			return 0, false
		}
		switch format[i] {
		case 's', 'v':
			verbs++
		case '%':
		default:
			return 0, false
		}
	}
	for _, arg := range args {
		text, ok := arg.(string)
		if !ok {
			return 0, false
		}
		size += len(text)
	}
	return size, verbs == len(args)
}

func isInteger(arg any) bool {
	switch arg.(type) {
	case int, int64, uint8:
		return true
	}
	return false
}

var complaints = regexp.MustCompile(`(?s)%!(.?)\(([A-Z]*)`)

func explainFormat(verb, word string) error {
	switch word {
	case "EXTRA":
		return failure("the format has fewer verbs than arguments")
	case "MISSING", "BADINDEX":
		return fail("there is no argument for %s", verb)
	case "NOVERB":
		return failure("the format ends in the middle of a verb, or has a width that is too large")
	case "BADWIDTH", "BADPREC":
		return failure("a width or precision given as * is not an integer, or is too large")
	}
	return fail("%s does not fit its argument", verb)
}

// probe records the first problem of a format, and says whether the format may
// be shown.
type probe struct {
	err    error
	public bool
}

// name is what an error calls a verb.
func (p *probe) name(verb string) string {
	if p.public {
		return "%" + verb
	}
	return "a verb of the format"
}

// argument is one argument of the first formatting.
type argument struct {
	probe *probe
	index int
	value reflect.Value
}

// Format checks the verb and prints nothing.
func (a argument) Format(_ fmt.State, verb rune) {
	if a.probe.err != nil {
		return
	}
	if hasNull(a.value) {
		a.probe.err = fail("argument %d has no value (missing or null)", a.index)
		return
	}
	if kind := unprintable(a.value); kind != "" && verb != 'T' {
		a.probe.err = fail("%s has no text of its own (argument %d); use toJson", kind, a.index)
	} else if bad := misfit(a.value, verb); bad != "" {
		a.probe.err = fail("%s does not fit %s (argument %d); %%v fits everything", a.probe.name(string(verb)), bad, a.index)
	}
}

// misfit describes the first value, at any depth, that the verb does not fit.
// The table is that of package fmt.
func misfit(value reflect.Value, verb rune) string {
	value = solid(value)
	if verb == 'v' || verb == 'T' || fits(value, verb) {
		return ""
	}
	switch value.Kind() {
	case reflect.Map:
		for entries := value.MapRange(); entries.Next(); {
			if bad := misfit(entries.Key(), verb); bad != "" {
				return bad
			}
			if bad := misfit(entries.Value(), verb); bad != "" {
				return bad
			}
		}
		return ""
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			if bad := misfit(value.Index(i), verb); bad != "" {
				return bad
			}
		}
		return ""
	}
	return kindName(value)
}

func fits(value reflect.Value, verb rune) bool {
	switch known := value.Interface().(type) {
	case number:
		return fitsNumber(known.float(), verb)
	case exactNumber:
		return fitsNumber(known.value, verb)
	case fmt.Stringer:
		return strings.ContainsRune("sqxX", verb)
	}
	switch value.Kind() {
	case reflect.String:
		return strings.ContainsRune("sqxX", verb)
	case reflect.Bool:
		return verb == 't'
	case reflect.Int, reflect.Int64, reflect.Uint8:
		return strings.ContainsRune("dboOxXcqU", verb)
	case reflect.Float64, reflect.Complex128:
		return strings.ContainsRune("bgGxXfFeE", verb)
	}
	return false
}
