package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"
)

const (
	// outputLimit leaves a margin over the 1 MiB that a Kubernetes Secret may hold.
	outputLimit = 3 << 19
	// textLimit bounds every text that a function makes on the way.
	textLimit = 4 << 20
	// rootName is the name of the template itself in Go's error texts.
	rootName = "(template)"
)

// failure is an error text that is safe to show: it names places, fields,
// functions and ids, never a value.
type failure string

func (f failure) Error() string { return string(f) }

func fail(format string, args ...any) error { return failure(fmt.Sprintf(format, args...)) }

// prepared is a template after parsing, analysis and rewriting.
type prepared struct {
	template *template.Template
	facts    facts
	err      error
}

// parsed keeps templates between calls: an operator renders the same few again and again.
var (
	parsed      = map[string]*prepared{}
	parsedBytes int
)

const parsedLimit = 2 << 20

func prepare(text string) *prepared {
	if known, ok := parsed[text]; ok {
		return known
	}
	result := compile(text)
	if parsedBytes += len(text); parsedBytes > parsedLimit || len(parsed) >= 500 {
		clear(parsed)
		parsedBytes = len(text)
	}
	parsed[text] = result
	return result
}

func compile(text string) *prepared {
	root, err := template.New(rootName).Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return &prepared{err: failure(explainParse(err))}
	}
	known := analyse(root)
	if err := rewrite(root, text); err != nil {
		return &prepared{err: err}
	}
	return &prepared{template: root.Funcs(hidden), facts: known}
}

// execute answers one request. Whatever the template does short of exhausting
// memory, stack or time ends here as a reply.
func execute(call request) (message reply) {
	ready := prepare(call.Template)
	if ready.err != nil {
		return reply{Status: "error", Message: ready.err.Error()}
	}
	if ready.facts.catalogue && !call.Listed {
		return reply{Status: "catalogue"}
	}
	run = newExecution(call.Values, ready.facts)
	defer func() {
		if recover() != nil {
			message = run.reply("error")
			message.Message = "the engine failed on this template"
		}
		run = nil
	}()
	output := &limitedWriter{}
	err := ready.template.Execute(output, root{Secrets: listed})
	if err == nil && !utf8.Valid(output.data) {
		err = failure("the output is not valid UTF-8 text")
	}
	if err == nil {
		message = run.reply("ok")
		message.Output = string(output.data)
		return message
	}
	if run.needs != nil && errors.Is(err, errNeeds) {
		return run.needsReply()
	}
	message = run.reply("error")
	message.Message = explain(err, call.Template)
	return message
}

// limitedWriter collects the output and stops the template that writes too much.
type limitedWriter struct{ data []byte }

func (w *limitedWriter) Write(chunk []byte) (int, error) {
	if len(w.data)+len(chunk) > outputLimit {
		return 0, fail("the output is larger than %d bytes", outputLimit)
	}
	w.data = append(w.data, chunk...)
	return len(chunk), nil
}

var (
	execError  = regexp.MustCompile(`(?s)^template: \(template\):(\d+):(\d+): executing ("(?:[^"\\]|\\.)*") at <`)
	parseError = regexp.MustCompile(`(?s)^template: \(template\):(\d+):(?:(\d+):)? (.*)$`)
	callError  = regexp.MustCompile(`(?s)>: error calling (\S+): `)
	typeNames  = strings.NewReplacer(
		"map[string]interface {}", "object", "[]interface {}", "list", "interface {}", "any",
		"main.exactNumber", "number", "main.number", "number",
		"map[string]main.secretMeta", "secrets", "main.secretMeta", "secret", "main.root", "the template's data")
)

// messageLimit bounds an error text, which may quote the template.
const messageLimit = 600

func explainParse(err error) string {
	parts := parseError.FindStringSubmatch(err.Error())
	if parts == nil {
		return clip(err.Error(), messageLimit)
	}
	return clip("line "+parts[1]+": "+parts[3], messageLimit)
}

// explain turns an error of text/template into "line:column: what is wrong".
// Lines and columns count from 1, columns in characters.
func explain(err error, text string) string {
	whole := err.Error()
	parts := execError.FindStringSubmatch(whole)
	if parts == nil {
		var safe failure
		if errors.As(err, &safe) {
			return clip(safe.Error(), messageLimit)
		}
		return "the template failed"
	}
	where := position(text, parts[1], parts[2])
	if name, unquoteErr := strconv.Unquote(parts[3]); unquoteErr == nil && name != rootName {
		where += "in template " + strconv.Quote(clip(name, 60)) + ": "
	}
	return clip(where+reason(err, whole[len(parts[0])-1:]), messageLimit)
}

// position turns the byte offset that Go counts from 0 into a column.
func position(text, line, offset string) string {
	number, _ := strconv.Atoi(line)
	column, _ := strconv.Atoi(offset)
	for range number - 1 {
		_, text, _ = strings.Cut(text, "\n")
	}
	column = utf8.RuneCountInString(text[:min(column, len(text))]) + 1
	return fmt.Sprintf("%s:%d: ", line, column)
}

// reason picks what may be shown of Go's text, which begins with "<context>: ".
// A function's own error text is shown only if it is one of ours or of a
// builtin that is known not to quote values.
func reason(err error, text string) string {
	var safe failure
	known := errors.As(err, &safe)
	if call := callError.FindStringSubmatchIndex(text); call != nil {
		name := text[call[2]:call[3]]
		context := text[:call[0]+1]
		switch {
		case strings.HasPrefix(name, "_") && known:
			return safe.Error()
		case known:
			return context + ": " + name + ": " + safe.Error()
		case name == "index" || name == "slice" || name == "len":
			return context + ": " + name + ": " + typeNames.Replace(text[call[1]:])
		}
		return context + ": " + name + " failed"
	}
	for _, quoting := range []string{"can't iterate over", "to iterate over more than one", "if/with can't use"} {
		if at := strings.Index(text, quoting); at >= 0 {
			return text[:strings.Index(text, ">")+1] + ": " + quoting + " this value"
		}
	}
	return typeNames.Replace(text)
}

func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit]) + "…"
}
