package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func encodeBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func decodeBase64(value any) (string, error) {
	s, err := text(value)
	if err != nil {
		return "", err
	}
	decoded, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", failure("the string is not base64")
	}
	return string(decoded), nil
}

func sha256sum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func toJSON(value any) (string, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return "", failure("the value cannot be written as JSON")
	}
	return limited(string(encoded))
}

func fromJSON(value any) (any, error) {
	s, err := text(value)
	if err != nil {
		return nil, err
	}
	decoded, err := decodeJSON(s, func(map[string]any) {})
	if err != nil {
		return nil, fail("the string %s", err)
	}
	return decoded, nil
}

// toYAML writes block style like Helm, without the last line break. A string is
// quoted if a YAML parser could read it as another type.
func toYAML(value any) (string, error) {
	var out strings.Builder
	if err := writeYAML(&out, reflect.ValueOf(value), 0, false); err != nil {
		return "", err
	}
	return limited(strings.TrimPrefix(out.String(), "\n"))
}

// writeYAML writes a value after "key:" or "-" at the given depth. inline: the
// first line continues after "- ".
func writeYAML(out *strings.Builder, value reflect.Value, depth int, inline bool) error {
	value = solid(value)
	if out.Len() > textLimit {
		return tooLong()
	}
	switch {
	case !value.IsValid():
		return writeScalar(out, "null", inline)
	case value.Kind() == reflect.Map && value.Len() > 0:
		return writeMapping(out, value, depth, inline)
	case value.Kind() == reflect.Map:
		return writeScalar(out, "{}", inline)
	case value.Kind() == reflect.Slice && value.Len() > 0:
		return writeSequence(out, value, depth, inline)
	case value.Kind() == reflect.Slice:
		return writeScalar(out, "[]", inline)
	}
	scalar, err := yamlScalar(value)
	if err != nil {
		return err
	}
	return writeScalar(out, scalar, inline)
}

func writeScalar(out *strings.Builder, scalar string, inline bool) error {
	if !inline && out.Len() > 0 {
		out.WriteByte(' ')
	}
	out.WriteString(scalar)
	return nil
}

func writeMapping(out *strings.Builder, value reflect.Value, depth int, inline bool) error {
	names, err := keys(value.Interface())
	if err != nil {
		return err
	}
	for i, name := range names {
		if i > 0 || !inline {
			out.WriteString("\n" + strings.Repeat("  ", depth))
		}
		key, err := yamlText(name)
		if err != nil {
			return err
		}
		out.WriteString(key + ":")
		entry := solid(value.MapIndex(reflect.ValueOf(name)))
		below := depth + 1
		if entry.IsValid() && entry.Kind() == reflect.Slice {
			below = depth
		}
		if err := writeYAML(out, entry, below, false); err != nil {
			return err
		}
	}
	return nil
}

func writeSequence(out *strings.Builder, value reflect.Value, depth int, inline bool) error {
	for i := range value.Len() {
		if i > 0 || !inline {
			out.WriteString("\n" + strings.Repeat("  ", depth))
		}
		out.WriteString("- ")
		if err := writeYAML(out, value.Index(i), depth+1, true); err != nil {
			return err
		}
	}
	return nil
}

func yamlScalar(value reflect.Value) (string, error) {
	switch known := value.Interface().(type) {
	case string:
		return yamlText(known)
	case bool, int, int64, uint8, float64, number, exactNumber:
		return fmt.Sprint(known), nil
	case time.Time:
		return known.Format(time.RFC3339Nano), nil
	}
	return "", fail("%s cannot be written as YAML", kindName(value))
}

var (
	yamlPlain    = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)
	yamlReserved = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null)$`)
)

// yamlText quotes like Go: YAML 1.2 has all of Go's escapes for valid UTF-8.
func yamlText(s string) (string, error) {
	if yamlPlain.MatchString(s) && !yamlReserved.MatchString(s) {
		return s, nil
	}
	if !utf8.ValidString(s) {
		return "", failure("the string is not valid UTF-8")
	}
	return strconv.Quote(s), nil
}
