package main

import "strings"

// Ids of parameters begin with one of these. No secret has such a name.
const (
	parameterID = "parameter:"  // and its name or ARN
	belowID     = "parameters:" // and a path: the value has a line for each parameter below it
)

// bareID is the id as the template has it.
func bareID(id string) string {
	for _, mark := range []string{parameterID, belowID} {
		if bare, found := strings.CutPrefix(id, mark); found {
			return bare
		}
	}
	return id
}

func getParameter(id any) (string, error) {
	name, err := text(id)
	if err != nil {
		return "", err
	}
	return run.value(parameterID + name)
}

// getParameters returns the values of all parameters below a path, by the rest of
// their names. A line of the selection is this rest, a tab, and the id to read.
func getParameters(path any) (map[string]string, error) {
	start, err := text(path)
	if err != nil {
		return nil, err
	}
	selection, err := run.value(belowID + start)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	var absent []string
	for _, line := range strings.Split(selection, "\n") {
		rest, name, isLine := strings.Cut(line, "\t")
		if !isLine {
			continue // nothing is below it
		}
		id := parameterID + name
		value, here := run.values[id]
		if !here || value == nil {
			absent = append(absent, id)
			continue
		}
		run.reads[id] = true
		found[rest] = *value
	}
	if len(absent) > 0 {
		run.needs = &needs{ids: absent, public: !run.hidden[belowID+start]}
		return nil, errNeeds
	}
	return found, nil
}
