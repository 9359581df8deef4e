"""Go templates, by Go itself: text/template compiled to WebAssembly and run in process by wasmtime.

    engine.py    what the rest of the program uses: TemplateEngine
    contract.py  what goes into it and comes out, and the ways to fail
    instance.py  one instance of the module: calls across the border, memory limit, deadline
    compiled.py  the compiled module and its cache on disk
    *.go         the engine itself, built into engine.wasm by hatch_build.py

wasmtime is known here only, and is imported at the first render: most operators have objects without templates.
"""
