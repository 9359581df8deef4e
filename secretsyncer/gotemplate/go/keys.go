package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// getSecretKey returns the text of one key of a JSON object: what secretKeyRef
// writes to a Secret.
func getSecretKey(id, key any) (string, error) {
	name, err := text(id)
	if err != nil {
		return "", err
	}
	wanted, err := text(key)
	if err != nil {
		return "", err
	}
	if _, err := getSecretValueMap(name); err != nil {
		return "", err // it checks the JSON, and says what is wrong
	}
	members, known := run.members[name]
	if !known {
		value, _ := run.value(name)
		if json.Unmarshal([]byte(strings.TrimPrefix(value, mark)), &members) != nil {
			return "", fail("%s is not JSON", run.name(name))
		}
		run.members[name] = members
	}
	// A key that was computed may come from a value.
	shown := "this key"
	if run.facts.literals[wanted] {
		shown = fmt.Sprintf("key %q", wanted)
	}
	member, found := members[wanted]
	switch {
	case !found:
		return "", fail("%s does not have %s", run.name(name), shown)
	case string(member) == "null":
		return "", fail("%s has null at %s", run.name(name), shown)
	}
	return limited(textOf(member))
}

// textOf is a JSON string as it is, and anything else as compact JSON.
func textOf(member json.RawMessage) string {
	var s string
	if member[0] == '"' && json.Unmarshal(member, &s) == nil {
		return s
	}
	decoder := json.NewDecoder(strings.NewReader(string(member)))
	decoder.UseNumber()
	var out strings.Builder
	writeCompact(decoder, &out)
	return out.String()
}

// writeCompact keeps the order of keys and the digits of numbers. If an object
// has a key twice, the last value counts, at the place of the first.
func writeCompact(decoder *json.Decoder, out *strings.Builder) {
	token, _ := decoder.Token()
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			writeMembers(decoder, out)
		} else {
			writeElements(decoder, out)
		}
	case string:
		writeQuoted(token, out)
	case nil:
		out.WriteString("null")
	default:
		fmt.Fprint(out, token) // json.Number is its source text
	}
}

func writeMembers(decoder *json.Decoder, out *strings.Builder) {
	var order []string
	values := map[string]string{}
	for decoder.More() {
		token, _ := decoder.Token()
		key, _ := token.(string)
		if _, twice := values[key]; !twice {
			order = append(order, key)
		}
		var value strings.Builder
		writeCompact(decoder, &value)
		values[key] = value.String()
	}
	_, _ = decoder.Token()
	out.WriteByte('{')
	for i, key := range order {
		if i > 0 {
			out.WriteByte(',')
		}
		writeQuoted(key, out)
		out.WriteString(":" + values[key])
	}
	out.WriteByte('}')
}

func writeElements(decoder *json.Decoder, out *strings.Builder) {
	out.WriteByte('[')
	for i := 0; decoder.More(); i++ {
		if i > 0 {
			out.WriteByte(',')
		}
		writeCompact(decoder, out)
	}
	_, _ = decoder.Token()
	out.WriteByte(']')
}

var jsonEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}

// writeQuoted escapes only what JSON requires.
func writeQuoted(s string, out *strings.Builder) {
	out.WriteByte('"')
	for _, r := range s {
		escaped, special := jsonEscapes[r]
		switch {
		case special:
			out.WriteString(escaped)
		case r < ' ':
			fmt.Fprintf(out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
}
