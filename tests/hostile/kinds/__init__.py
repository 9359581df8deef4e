"""The hostile kinds by name. Each is a coroutine over a `Scene`; its docstring says what it does."""

from __future__ import annotations

from tests.hostile.kinds import (
    answers,
    budgets,
    connections,
    kubernetes,
    merging,
    messages,
    pools,
    repetition,
    restarts,
    templates,
)
from tests.hostile.kinds.table import Kind

MODULES = (budgets, templates, pools, kubernetes, answers, messages, connections, repetition, restarts, merging)
KINDS: dict[str, Kind] = {name: kind for module in MODULES for name, kind in module.KINDS.items()}
