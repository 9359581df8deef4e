// Package main is the template engine of secretsyncer: Go's own text/template,
// compiled to WebAssembly and called from Python (engine.py).
//
// It is a pure function of template, catalogue and values. It calls nothing
// outside, and one instance serves one call at a time, so that package
// variables hold the state of the call that is running.
//
//	abi.go        the border: buffers and JSON messages
//	render.go     parse, execute, answer
//	rewrite.go    what is done to a parse tree before it runs
//	analysis.go   what a template may read, told from its parse tree
//	secrets.go    the data and the functions that read secrets
//	access.go     fields, loops and printing, with errors instead of markers
//	printf.go     print, printf, println
//	numbers.go    JSON numbers and JSON decoding
//	compare.go    eq, ne, lt, le, gt, ge
//	functions.go  the table of functions, and text functions
//	collections.go, encoding.go  the other functions
package main

import (
	"bytes"
	"encoding/json"
	"runtime/debug"
	"unsafe"
)

// The buffers that cross the border. They stay reachable here until the next
// call replaces them, so that the collector cannot take them away while Python
// reads or writes.
var (
	inbox  []byte
	outbox []byte
)

// request is one call of render.
type request struct {
	Template string `json:"template"`
	// Values by id; null is a binary value, which templates cannot print.
	Values map[string]*string `json:"values"`
	// Listed is false when the catalogue that this instance holds is not the
	// one to render with.
	Listed bool `json:"listed"`
}

// reply is the answer to a request.
type reply struct {
	Status   string   `json:"status"` // ok, needs, error, catalogue
	Output   string   `json:"output,omitempty"`
	Message  string   `json:"message,omitempty"`
	Required []string `json:"required,omitempty"`
	Hints    []string `json:"hints,omitempty"`
	Public   bool     `json:"public,omitempty"`
	Reads    []string `json:"reads,omitempty"`
	Filters  []filter `json:"filters,omitempty"`
	Whole    bool     `json:"whole,omitempty"`
}

func main() {}

// setup tells the collector how much memory there is, so that it works harder
// near the limit instead of running into it. A runtime that gives up does so
// without a word: its traceback has no reader, and takes a second of deep stacks.
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

// catalogue replaces the catalogue with the one in the first size bytes of the
// buffer. The result is packed as render's.
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
// is the address (high half) and the length of a reply in JSON.
//
//go:wasmexport render
func render(size uint32) uint64 {
	var call request
	if err := json.Unmarshal(inbox[:size], &call); err != nil {
		return answer(reply{Status: "error", Message: "the engine did not understand its request"})
	}
	return answer(execute(call))
}

func answer(message reply) uint64 {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(message); err != nil {
		panic(err) // only strings and lists of them: cannot fail
	}
	outbox = buffer.Bytes()
	return uint64(address(outbox))<<32 | uint64(len(outbox))
}

func address(buffer []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(buffer))))
}
