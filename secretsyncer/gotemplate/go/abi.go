// Package main is the template engine of secretsyncer: Go's own text/template,
// compiled to WebAssembly and called from Python (engine.py).
//
// It is a pure function of template, catalogue, values and data. It calls nothing
// outside. One instance serves one call at a time, so package variables hold
// the state of the current call.
//
//	abi.go        the interface: buffers and JSON messages
//	render.go     parse, execute, answer
//	rewrite.go    changes of a parse tree before it runs
//	analysis.go   what a template may read, from its parse tree
//	secrets.go    the data and the functions that read secrets
//	keys.go       one key of a secret as text
//	parameters.go the functions that read parameters
//	access.go     fields, loops and printing, with errors instead of markers
//	printf.go     print, printf, println
//	numbers.go    JSON numbers and JSON decoding
//	compare.go    eq, ne, lt, le, gt, ge
//	functions.go  the table of functions, and string functions
//	collections.go, encoding.go, sprig.go  the other functions
package main

import (
	"encoding/binary"
	"encoding/json"
	"runtime/debug"
	"unsafe"
)

// The buffers that are shared with Python. They stay reachable until the next
// call replaces them, so that the garbage collector cannot free them while
// Python reads or writes.
var (
	inbox  []byte
	outbox []byte
)

// Messages are framed: a length (4 bytes, little endian), JSON of that length,
// and raw bytes. Values and output are raw, so that neither side has to escape
// megabytes.

// request is one call of render.
type request struct {
	Template string `json:"template"`
	// IDs of the values, and their sizes in the raw bytes, in order. A size of
	// -1 means a binary value, which templates cannot print.
	IDs   []string `json:"ids"`
	Sizes []int    `json:"sizes"`
	// Keys of .Data, and the lengths of their texts, which follow the values.
	Keys    []string `json:"keys"`
	Lengths []int    `json:"lengths"`
	// Listed is false if this instance holds another catalogue than the one to
	// render with.
	Listed bool `json:"listed"`

	values map[string]*string
	data   map[string]string
}

// reply is the answer to a request.
type reply struct {
	Status   string   `json:"status"` // ok, needs, error, catalogue
	Message  string   `json:"message,omitempty"`
	Required []string `json:"required,omitempty"`
	Hints    []string `json:"hints,omitempty"`
	Public   bool     `json:"public,omitempty"`
	Reads    []string `json:"reads,omitempty"`
	Filters  []filter `json:"filters,omitempty"`
	Whole    bool     `json:"whole,omitempty"`
	Static   bool     `json:"static,omitempty"` // the error is the template's, whatever was read

	// What a catalogue must have, with the status catalogue: these tags of all
	// secrets, and all tags of these secrets.
	Keys []string `json:"keys,omitempty"`
	Rows []string `json:"rows,omitempty"`

	output []byte
}

func main() {}

// setup sets the memory limit of the garbage collector, so that it works harder
// near the limit. A runtime that gives up writes no traceback: nobody reads it,
// and it takes a second for deep stacks.
//
//go:wasmexport setup
func setup(memoryLimit uint32) {
	debug.SetMemoryLimit(int64(memoryLimit) * 3 / 4)
	debug.SetTraceback("none")
}

// reserve returns the address of a buffer for at least size bytes.
//
//go:wasmexport reserve
func reserve(size uint32) uint32 {
	if uint32(cap(inbox)) < size {
		inbox = nil
		inbox = make([]byte, size)
	}
	return address(inbox[:cap(inbox)])
}

// catalogue replaces the catalogue with the part in the first size bytes of the
// buffer, or adds the part to it. The result is like that of render.
//
//go:wasmexport catalogue
func catalogue(size uint32) uint64 {
	message := reply{Status: "ok"}
	if err := loadCatalogue(inbox[:size]); err != nil {
		message = reply{Status: "error", Message: err.Error()}
	}
	return answer(message)
}

// render answers the request in the first size bytes of the buffer. The result
// is the address (high half) and the length of a reply, whose raw bytes are
// the output.
//
//go:wasmexport render
func render(size uint32) uint64 {
	call, ok := parseRequest(inbox[:size])
	if !ok {
		return answer(reply{Status: "error", Message: "the engine got an invalid request"})
	}
	return answer(execute(call))
}

func parseRequest(message []byte) (call request, ok bool) {
	if len(message) < 4 {
		return call, false
	}
	raw := message[4:]
	header := binary.LittleEndian.Uint32(message)
	if uint64(header) > uint64(len(raw)) || json.Unmarshal(raw[:header], &call) != nil ||
		len(call.IDs) != len(call.Sizes) || len(call.Keys) != len(call.Lengths) {
		return call, false
	}
	raw = raw[header:]
	call.values = make(map[string]*string, len(call.IDs))
	for i, id := range call.IDs {
		size := call.Sizes[i]
		switch {
		case size < 0:
			call.values[id] = nil
		case size > len(raw):
			return call, false
		default:
			value := string(raw[:size])
			call.values[id] = &value
			raw = raw[size:]
		}
	}
	call.data = make(map[string]string, len(call.Keys))
	for i, key := range call.Keys {
		length := call.Lengths[i]
		if length < 0 || length > len(raw) {
			return call, false
		}
		call.data[key] = string(raw[:length])
		raw = raw[length:]
	}
	return call, true
}

func answer(message reply) uint64 {
	header, err := json.Marshal(message)
	if err != nil {
		panic(err) // only strings and lists of them: cannot fail
	}
	outbox = make([]byte, 0, 4+len(header)+len(message.output))
	outbox = binary.LittleEndian.AppendUint32(outbox, uint32(len(header)))
	outbox = append(append(outbox, header...), message.output...)
	return uint64(address(outbox))<<32 | uint64(len(outbox))
}

func address(buffer []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(buffer))))
}
