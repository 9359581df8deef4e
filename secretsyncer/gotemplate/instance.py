"""One instance of the engine: calls with a deadline and a memory limit.

The module gets WASI's clock and random numbers, which Go's runtime needs and templates cannot use. It gets no files,
environment, arguments or standard streams. An instance that trapped is in an unknown state, so the caller discards
it. A call releases the GIL while WebAssembly runs.
"""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from wasmtime import Engine, ExitTrap, Func, Linker, Memory, Store, Trap, TrapCode, WasiConfig, WasmtimeError

from secretsyncer.gotemplate import compiled
from secretsyncer.gotemplate.contract import (
    DeadlineExceeded,
    EngineCatalogue,
    EngineUnavailable,
    MemoryExceeded,
    TemplateFailure,
    View,
)

LARGE = 40 << 20
"""Instances with more memory than this are not reused, because WebAssembly memory never shrinks."""

HEADER = struct.Struct("<I")
"""The header of a framed message: the length of its JSON. Raw bytes follow the JSON (see abi.go)."""

SPARE = 64 << 10
"""Additional bytes of a buffer, so that the next message fits, too."""


class Instances:
    """The loaded module, and the clock of its instances. Raises EngineUnavailable."""

    def __init__(self, cache_dir: Path | None, deadline: float, memory_limit: int) -> None:
        try:
            self._engine = compiled.engine()
            self._module = compiled.load(self._engine, cache_dir)
        except (WasmtimeError, OSError) as exc:
            raise EngineUnavailable(f"the template engine cannot start: {exc}") from exc
        self._linker = Linker(self._engine)
        self._linker.define_wasi()
        self._clock = Clock(self._engine, deadline)
        self._memory_limit = memory_limit

    def new(self) -> Instance:
        """A new instance, in a few milliseconds. Not thread-safe."""
        store = Store(self._engine)
        store.set_limits(memory_size=self._memory_limit, table_elements=100_000, instances=1, tables=1, memories=1)
        store.set_wasi(WasiConfig())
        store.set_epoch_deadline(2**32)
        try:
            exports = self._linker.instantiate(store, self._module).exports(store)
            cast("Func", exports["_initialize"])(store)
            cast("Func", exports["setup"])(store, self._memory_limit)
        except (WasmtimeError, Trap) as exc:
            raise EngineUnavailable(f"the template engine cannot start: {exc}") from exc
        return Instance(store, exports, self._clock)

    def close(self) -> None:
        self._clock.close()


class Instance:
    """One instance, for one caller at a time."""

    def __init__(self, store: Store, exports: Any, clock: Clock) -> None:
        self._store = store
        self._exports = exports
        self._memory: Memory = exports["memory"]
        self._clock = clock
        self._buffer, self._capacity = 0, 0
        self.catalogue = 0
        """Serial number of the catalogue in this instance."""
        self.view = View()
        """The part of it that is in this instance."""

    def close(self) -> None:
        """Release the memory now. The garbage collector would be late, because wasmtime's traps keep their frames."""
        self._store.close()

    def is_large(self) -> bool:
        return self._memory.data_len(self._store) > LARGE

    def has(self, catalogue: EngineCatalogue, needed: View) -> bool:
        """Whether it has at least this view of the catalogue."""
        return self.catalogue == catalogue.serial and self.view.covers(needed)

    def load_catalogue(self, catalogue: EngineCatalogue, view: View) -> None:
        """Load a part of the catalogue. Raises TemplateFailure if it is too large."""
        for part in catalogue.parts(view):
            try:
                reply, _ = self.call("catalogue", part)
            except TemplateFailure as failure:
                raise type(failure)("the list of AWS secrets with their tags is too large for templates") from None
            if reply["status"] != "ok":
                raise RuntimeError(reply["message"])
        self.catalogue, self.view = catalogue.serial, view

    def call(self, export: str, message: bytes) -> tuple[dict[str, Any], bytearray]:
        """Call an exported function with a message; its reply and output. Raises TemplateFailure if it traps."""
        with _traps_explained(), self._clock.running(self._store):
            if len(message) > self._capacity:
                self._capacity = len(message) + SPARE
                self._buffer = _unsigned(self._exports["reserve"](self._store, self._capacity))
            self._memory.write(self._store, message, self._buffer)
            packed = self._exports[export](self._store, len(message))
        start, length = _unsigned(packed >> 32), _unsigned(packed)
        answer = self._memory.read(self._store, start, start + length)
        body = HEADER.size + HEADER.unpack_from(answer)[0]
        return json.loads(answer[HEADER.size : body]), answer[body:]


def _unsigned(value: int) -> int:
    """An address or a length, which wasmtime returns as a signed integer."""
    return value & 0xFFFF_FFFF


@contextmanager
def _traps_explained() -> Iterator[None]:
    try:
        yield
    except Trap as trap:
        raise _explained(trap.trap_code) from None
    except ExitTrap:
        raise _explained(TrapCode.UNREACHABLE) from None


def _explained(code: TrapCode | None) -> TemplateFailure:
    if code == TrapCode.INTERRUPT:
        return DeadlineExceeded("the template takes too long")
    if code == TrapCode.STACK_OVERFLOW:
        return TemplateFailure("the template, or a value in it, is nested too deeply")
    if code == TrapCode.UNREACHABLE:
        # Go's runtime exits this way, or right after its exit, when memory.grow fails. Go recovers the panics of templates.
        return MemoryExceeded("the template needs too much memory")
    return TemplateFailure("the template crashed the engine")


class Clock:
    """Advances the epoch of the engine, in twentieths of the deadline, while a call runs."""

    _ticks = 20

    def __init__(self, engine: Engine, deadline: float) -> None:
        self._engine = engine
        self._period = deadline / self._ticks
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False
        threading.Thread(target=self._run, name="template-clock", daemon=True).start()

    @contextmanager
    def running(self, store: Store) -> Iterator[None]:
        """Make a call in the store trap after the deadline."""
        with self._changed:
            self._running += 1
            self._changed.notify()
        store.set_epoch_deadline(self._ticks + 1)
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._running or self._closed)
                if self._closed:
                    return
            time.sleep(self._period)
            self._engine.increment_epoch()
