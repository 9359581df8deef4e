"""Go templates: Go's own text/template, compiled to WebAssembly and run in process by wasmtime.

    engine.py    TemplateEngine, which the rest of the program uses
    contract.py  inputs, outputs and failures
    instance.py  one instance of the module: calls, memory limit, deadline
    compiled.py  the compiled module and its cache on disk
    go/          the engine itself, built into engine.wasm by hatch_build.py

Only this folder imports wasmtime, and only at the first render, because many operators have no templates.
"""
