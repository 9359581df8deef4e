package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// root is the data of every template; secretMeta is one entry of the catalogue.
type root struct {
	Secrets secrets
	Data    map[string]string
}

type secrets = map[string]secretMeta

// tags are a type of their own: an absent tag prints nothing, as in the original.
type tags map[string]string

type secretMeta struct {
	Tags             tags
	CurrentVersionID string
	UpdatedAt        time.Time
	name             string
	whole            bool // it has all tags, not only those of listedKeys
}

// MarshalJSON shows all tags.
func (m secretMeta) MarshalJSON() ([]byte, error) {
	if err := run.needTags(m, ""); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Tags             tags
		CurrentVersionID string
		UpdatedAt        time.Time
	}{m.Tags, m.CurrentVersionID, m.UpdatedAt})
}

// listed is the catalogue that Python sent last. It can be without most tags,
// because they can be larger than the memory: it has those of listedKeys, or all.
var (
	listed     = secrets{}
	listedKeys = map[string]bool{}
	listedAll  = false
)

// part is a part of a catalogue. The first one replaces the catalogue.
type part struct {
	First   bool     `json:"first"`
	All     bool     `json:"all"`
	Keys    []string `json:"keys"`
	Entries map[string]struct {
		Tags             tags
		CurrentVersionID string
		UpdatedAt        time.Time
		Whole            bool
	} `json:"entries"`
}

func loadCatalogue(encoded []byte) error {
	var decoded part
	if err := json.NewDecoder(bytes.NewReader(encoded)).Decode(&decoded); err != nil {
		return failure("the catalogue has an unexpected format")
	}
	if decoded.First {
		listed, listedKeys, listedAll = secrets{}, map[string]bool{}, decoded.All
		for _, key := range decoded.Keys {
			listedKeys[key] = true
		}
	}
	for name, entry := range decoded.Entries {
		listed[name] = secretMeta{entry.Tags, entry.CurrentVersionID, entry.UpdatedAt.UTC(), name, entry.Whole}
	}
	return nil
}

// hasTags reports whether the catalogue has these tags of all secrets.
func hasTags(keys []string) bool {
	for _, key := range keys {
		if !listedAll && !listedKeys[key] {
			return false
		}
	}
	return true
}

// errMissing stops a template that needs more of the catalogue.
var errMissing = errors.New("more of the catalogue is needed")

// needTags stops the template if this tag of the secret is not here; all its
// tags, if the key is empty.
func (e *execution) needTags(of secretMeta, key string) error {
	switch {
	case listedAll || of.whole || (key != "" && listedKeys[key]):
		return nil
	case key != "":
		return e.needKey(key)
	}
	// Whoever looks at one of a selection will look at the others.
	e.missing = &reply{Status: "catalogue", Rows: []string{of.name}}
	for name := range e.smallestSelection(of.name) {
		e.missing.Rows = append(e.missing.Rows, name)
	}
	return errMissing
}

// needKey stops the template if this tag of all secrets is not here.
func (e *execution) needKey(key string) error {
	if hasTags([]string{key}) {
		return nil
	}
	e.missing = &reply{Status: "catalogue", Keys: []string{key}}
	return errMissing
}

// stopped reports whether the template stopped for what the next call will have.
func (e *execution) stopped() bool { return e.needs != nil || e.missing != nil }

// filterLimit bounds the different calls of filters that a template makes:
// each of them is kept for as long as the object exists.
const filterLimit = 1000

// execution is the state of the current render.
type execution struct {
	values   map[string]*string
	data     map[string]string // .Data: texts of the object's other keys
	facts    facts
	accesses []access
	objects  map[string]any                        // parsed JSON by id
	members  map[string]map[string]json.RawMessage // the keys of JSON objects by id
	owners   map[uintptr]string                    // the secret that a JSON object comes from
	hidden   map[string]bool                       // ids that may have been computed from a value
	reads    map[string]bool
	filters  []filter
	noted    map[string]int // the index of each filter
	selected []secrets      // results of the filters
	patterns map[string]*regexp.Regexp
	needs    *needs
	missing  *reply // why it stopped, if it was for lack of tags
}

// needs is why an execution stopped: the values of these ids are missing. public
// means that they were not computed from a secret's value, so they may be shown.
type needs struct {
	ids    []string
	public bool
}

// errNeeds stops a template that needs a missing value.
var errNeeds = errors.New("a value is needed")

var run *execution

func newExecution(call request) *execution {
	return &execution{
		values: call.values, data: call.data,
		objects: map[string]any{}, members: map[string]map[string]json.RawMessage{}, owners: map[uintptr]string{}, hidden: map[string]bool{},
		reads: map[string]bool{}, patterns: map[string]*regexp.Regexp{}, noted: map[string]int{},
	}
}

func (e *execution) reply(status string) reply {
	message := reply{Status: status, Filters: e.filters, Whole: e.facts.whole}
	for id := range e.reads {
		message.Reads = append(message.Reads, id)
	}
	return message
}

// needsReply requests the value that stopped the template, and the values that
// it will probably need next.
func (e *execution) needsReply() reply {
	hints := map[string]bool{}
	for _, id := range e.facts.ids {
		hints[id] = true
	}
	for _, call := range e.facts.filters {
		if matches, err := e.matcher(call); err == nil {
			for name := range selectFrom(listed, matches) {
				hints[name] = true
			}
		}
	}
	for name := range e.smallestSelection(e.needs.ids[0]) {
		hints[name] = true
	}
	message := e.reply("needs")
	message.Required = e.needs.ids
	message.Public = e.needs.public
	for id := range hints {
		if _, here := e.values[id]; !here && !slices.Contains(e.needs.ids, id) {
			message.Hints = append(message.Hints, id)
		}
	}
	slices.Sort(message.Hints)
	return message
}

// smallestSelection is the smallest result of a filter that contains id: most
// likely the one that the template ranges over.
func (e *execution) smallestSelection(id string) secrets {
	var smallest secrets
	for _, selection := range e.selected {
		if _, in := selection[id]; in && (smallest == nil || len(selection) < len(smallest)) {
			smallest = selection
		}
	}
	return smallest
}

func (e *execution) value(id string) (string, error) {
	bare := bareID(id)
	if bare == "" || len(bare) > 2048 || !utf8.ValidString(bare) {
		return "", fail("not a valid name of a secret")
	}
	if _, known := listed[id]; !known && !e.reads[id] && !e.facts.literals[bare] && len(e.reads)+len(e.data) > 0 {
		e.hidden[id] = true
	}
	text, here := e.values[id]
	if !here {
		e.needs = &needs{ids: []string{id}, public: !e.hidden[id]}
		return "", errNeeds
	}
	e.reads[id] = true
	if text == nil {
		return "", fail("%s is binary; use secretRef for binary values", e.name(id))
	}
	return *text, nil
}

// name is the name of a secret in errors.
func (e *execution) name(id string) string {
	if e.hidden[id] {
		return "the secret with a computed name"
	}
	return fmt.Sprintf("the secret %q", id)
}

func getSecretValue(id any) (string, error) {
	name, err := text(id)
	if err != nil {
		return "", err
	}
	return run.value(name)
}

// getSecretValueMap parses each secret at most once per render.
func getSecretValueMap(id any) (any, error) {
	name, err := text(id)
	if err != nil {
		return nil, err
	}
	value, err := run.value(name)
	if err != nil {
		return nil, err
	}
	if object, ok := run.objects[name]; ok {
		return object, nil
	}
	// AWS may hold JSON as bytes, and those who write such files like the mark.
	decoded, err := decodeJSON(strings.TrimPrefix(value, mark), func(object map[string]any) { run.owners[mapID(object)] = name })
	if err != nil {
		return nil, fail("%s %s", run.name(name), err)
	}
	if _, ok := decoded.(map[string]any); !ok {
		return nil, fail("%s is not a JSON object", run.name(name))
	}
	run.objects[name] = decoded
	return decoded, nil
}

func filterByTagKey(from secrets, key any) (secrets, error) {
	return run.filter(from, "tagKey", key)
}

func filterByTag(from secrets, key, value any) (secrets, error) {
	return run.filter(from, "tag", key, value)
}

func filterByName(from secrets, pattern any) (secrets, error) {
	return run.filter(from, "name", pattern)
}

func (e *execution) filter(from secrets, kind string, args ...any) (secrets, error) {
	call := filter{Kind: kind}
	for _, arg := range args {
		argument, err := text(arg)
		if err != nil {
			return nil, err
		}
		call.Args = append(call.Args, argument)
	}
	matches, err := e.matcher(call)
	if err != nil {
		return nil, err
	}
	selection := selectFrom(from, matches)
	return selection, e.note(call, selection)
}

// note remembers each different call once.
func (e *execution) note(call filter, selection secrets) error {
	key := call.Kind + "\x00" + strings.Join(call.Args, "\x00")
	index, known := e.noted[key]
	if !known {
		if index = len(e.filters); index == filterLimit {
			return fail("the template filters in more than %d different ways", filterLimit)
		}
		e.noted[key] = index
		e.filters = append(e.filters, call)
		e.selected = append(e.selected, selection)
	}
	e.filters[index].Matched = e.filters[index].Matched || len(selection) > 0
	return nil
}

func selectFrom(from secrets, matches func(string, secretMeta) bool) secrets {
	selection := secrets{}
	for name, entry := range from {
		if matches(name, entry) {
			selection[name] = entry
		}
	}
	return selection
}

func (e *execution) matcher(call filter) (func(string, secretMeta) bool, error) {
	if call.Kind != "name" {
		if err := e.needKey(call.Args[0]); err != nil {
			return nil, err
		}
	}
	switch call.Kind {
	case "tagKey":
		return func(_ string, entry secretMeta) bool {
			_, has := entry.Tags[call.Args[0]]
			return has
		}, nil
	case "tag":
		return func(_ string, entry secretMeta) bool {
			value, has := entry.Tags[call.Args[0]]
			return has && value == call.Args[1]
		}, nil
	}
	pattern, err := e.pattern(call.Args[0])
	if err != nil {
		return nil, err
	}
	return func(name string, _ secretMeta) bool { return pattern.MatchString(name) }, nil
}

func (e *execution) pattern(expression string) (*regexp.Regexp, error) {
	if known, ok := e.patterns[expression]; ok {
		return known, nil
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		var problem *syntax.Error
		if errors.As(err, &problem) {
			return nil, fail("the regular expression is invalid: %s", strings.TrimSuffix(problem.Code.String(), ":"))
		}
		return nil, fail("the regular expression is invalid")
	}
	e.patterns[expression] = compiled
	return compiled, nil
}
