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
	// textLimit bounds every intermediate string.
	textLimit = 4 << 20
	// rootName is the name of the template itself in Go's error texts.
	rootName = "(template)"
)

// failure is an error text that is safe to show: it names positions, fields,
// functions and ids, never a value.
type failure string

func (f failure) Error() string { return string(f) }

func fail(format string, args ...any) error { return failure(fmt.Sprintf(format, args...)) }

// prepared is a template after parsing, analysis and rewriting.
type prepared struct {
	quick   *program
	careful *program // nil until quick has failed
	facts   facts
	err     error
}

// parsed caches templates between calls, because an operator renders the same few repeatedly.
var (
	parsed      = map[string]*prepared{}
	parsedBytes int
)

// parsedLimit bounds the bytes of source in the cache. A parse tree can take a
// hundred times as much memory.
const parsedLimit = 256 << 10

func prepare(text string) *prepared {
	if known, ok := parsed[text]; ok {
		return known
	}
	result := compile(text)
	if len(text) > parsedLimit/4 {
		return result
	}
	if parsedBytes += len(text); parsedBytes > parsedLimit {
		clear(parsed)
		parsedBytes = len(text)
	}
	parsed[text] = result
	return result
}

func compile(text string) *prepared {
	root, err := parseText(text)
	if err != nil {
		return &prepared{err: failure(explainParse(err))}
	}
	known := analyse(root)
	quick, err := rewrite(root, text, true)
	return &prepared{quick: quick, facts: known, err: err}
}

func parseText(text string) (*template.Template, error) {
	return template.New(rootName).Option("missingkey=error").Funcs(functions).Parse(text)
}

// withWords is the program whose errors say what is missing and where.
func (p *prepared) withWords(text string) *program {
	if p.careful == nil {
		root, _ := parseText(text) // succeeded before
		p.careful, _ = rewrite(root, text, false)
		parsedBytes += len(text)
	}
	return p.careful
}

// execute answers one request. Whatever the template does, except exhausting
// memory, stack or time, results in a reply.
func execute(call request) (message reply) {
	run = newExecution(call)
	defer func() {
		if recover() != nil {
			message = run.reply("error")
			message.Message = "the template crashed the engine"
		}
		run = nil
	}()
	ready := prepare(call.Template)
	if ready.err != nil {
		return reply{Status: "error", Message: ready.err.Error(), Static: true}
	}
	if ready.facts.catalogue && !(call.Listed && hasTags(ready.facts.tagKeys)) {
		return reply{Status: "catalogue", Keys: ready.facts.tagKeys}
	}
	run.facts = ready.facts
	output, err := run.execute(ready.quick)
	if err != nil && !run.stopped() && ready.quick.native {
		run = newExecution(call)
		run.facts = ready.facts
		output, err = run.execute(ready.withWords(call.Template))
	}
	if err == nil && !utf8.Valid(output.data) {
		err = failure("the output is not valid UTF-8")
	}
	switch {
	case run.missing != nil:
		message = *run.missing
	case err == nil:
		message = run.reply("ok")
		message.output = output.data
	case errors.Is(err, errNeeds):
		message = run.needsReply()
	default:
		message = run.reply("error")
		message.Message = explain(err, call.Template)
	}
	return message
}

func (e *execution) execute(program *program) (*limitedWriter, error) {
	e.accesses = program.accesses
	output := &limitedWriter{}
	return output, program.template.Execute(output, root{Secrets: listed, Data: e.data})
}

// limitedWriter collects the output and stops a template that writes too much.
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
	// indexes matches the end of errors of index and slice: a number that may be a secret value.
	indexes   = regexp.MustCompile(`: -?[\d >-]+$`)
	typeNames = strings.NewReplacer(
		"map[string]interface {}", "object", "[]interface {}", "list", "interface {}", "any",
		"main.exactNumber", "number", "main.number", "number",
		"map[string]main.secretMeta", "secrets", "main.tags", "tags", "main.secretMeta", "secret", "main.root", "the template's data")
)

// messageLimit bounds an error text, which may quote the template.
const messageLimit = 600

func explainParse(err error) string {
	parts := parseError.FindStringSubmatch(err.Error())
	if parts == nil {
		return clip(err.Error(), messageLimit)
	}
	return clip("line "+parts[1]+": "+parts[3]+dashAdvice(parts[3]), messageLimit)
}

// dashAdvice says how to read a key with a dash, which Go takes for a minus.
func dashAdvice(problem string) string {
	if strings.Contains(problem, "bad character U+002D '-'") {
		return `; a key with a dash is read with index: {{ index $object "api-key" }}`
	}
	return ""
}

// explain turns an error of text/template into "line:column: <source>: error".
// Lines and columns count from 1, columns in characters.
func explain(err error, source string) string {
	whole := err.Error()
	var safe failure
	known := errors.As(err, &safe)
	parts := execError.FindStringSubmatch(whole)
	if parts == nil && known {
		return clip(safe.Error(), messageLimit)
	}
	if parts == nil {
		return "the template failed"
	}
	where, excerpt := position(source, parts[1], parts[2])
	if name, unquoteErr := strconv.Unquote(parts[3]); unquoteErr == nil && name != rootName {
		where += "in template " + strconv.Quote(clip(name, 60)) + ": "
	}
	name, message := split(whole[len(parts[0]):])
	if name == "_printf" {
		name = "printf"
	}
	switch {
	case known && (strings.HasPrefix(name, "_") || name == "required"):
		return clip(where+safe.Error(), messageLimit)
	case known:
		message = name + ": " + safe.Error()
	case name == "index" || name == "slice" || name == "len":
		message = name + ": " + indexes.ReplaceAllString(message, "")
	case name != "":
		message = name + " failed"
	}
	return clip(where+"<"+excerpt+">: "+message, messageLimit)
}

// position turns the byte offset in a line, which Go counts from 0, into a
// column, and quotes the source there.
func position(source, line, offset string) (where, excerpt string) {
	number, _ := strconv.Atoi(line)
	column, _ := strconv.Atoi(offset)
	for range number - 1 {
		_, source, _ = strings.Cut(source, "\n")
	}
	column = min(column, len(source))
	excerpt = source[column:]
	if end := strings.IndexAny(excerpt, "\n|}"); end >= 0 {
		excerpt = excerpt[:end]
	}
	excerpt = clip(strings.TrimRight(excerpt, " -"), 60)
	return fmt.Sprintf("%s:%d: ", line, utf8.RuneCountInString(source[:column])+1), excerpt
}

// split parses "<context>: error calling name: message", where Go's context is
// the text of the parse tree. Without a call, name is empty. The message is
// Go's own, except for the texts that quote a value.
func split(text string) (name, message string) {
	if call := callError.FindStringSubmatchIndex(text); call != nil {
		return text[call[2]:call[3]], typeNames.Replace(text[call[1]:])
	}
	message = text[strings.LastIndex(text, ">: ")+3:]
	switch {
	case strings.Contains(message, "can't iterate over"), strings.Contains(message, "if/with can't use"):
		message = "the value has the wrong type"
	case strings.Contains(message, "iterate over more than one variable"):
		message = "range over a number allows only one variable"
	}
	return "", typeNames.Replace(message)
}

func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit]) + "…"
}
