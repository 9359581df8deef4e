"""References to Parameter Store, as the originals of all peers become them."""

from __future__ import annotations

import json
from typing import Any

from secretsyncer.expressions import dotted
from secretsyncer.kube.objects import Object

SERVICE = "ParameterStore"
"""The service of a SecretStore that reads parameters."""


def version_of(text: Any) -> Object:
    """`version` of a number, `label` of any other text."""
    text = str(text or "")
    if text.isascii() and text.isdigit():
        return {"version": int(text)}
    return {"label": text} if text else {}


def at(names: list[str]) -> Object | None:
    """`key` or `jmesPath` for these steps into JSON; None if one may be the number of an element."""
    if len(names) == 1:
        return {"key": names[0]}
    if any(name.isdigit() for name in names):
        return None
    return {"jmesPath": ".".join(json.dumps(name) for name in names)}


def at_path(path: str) -> Object | None:
    """The same for a dotted path."""
    return at(list(dotted.steps(path)))
