// Command native renders the benchmark's template with Go's own engine, compiled for this machine: the limit.
//
// It reads {"template": ..., "secrets": {name: text}} from standard input and prints nanoseconds a rendering.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/template"
	"time"
)

func main() {
	var work struct {
		Template string
		Secrets  map[string]string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&work); err != nil {
		panic(err)
	}
	functions := template.FuncMap{
		"filterByTagKey": func(secrets map[string]string, _ string) map[string]string { return secrets },
		"getSecretValueMap": func(name string) (map[string]any, error) {
			var value map[string]any
			err := json.Unmarshal([]byte(work.Secrets[name]), &value)
			return value, err
		},
	}
	const rounds = 300
	started := time.Now()
	for range rounds {
		parsed := template.Must(template.New("").Funcs(functions).Parse(work.Template))
		if err := parsed.Execute(io.Discard, map[string]any{"Secrets": work.Secrets}); err != nil {
			panic(err)
		}
	}
	fmt.Println(time.Since(started).Nanoseconds() / rounds)
}
