"""Runs the Lua of manifests/argocd as Argo CD does: Lua 5.1, with the object as the global `obj`."""

from __future__ import annotations

from typing import Any

from lupa import lua51

from tests.support import fast_yaml
from tests.support.cluster import MANIFESTS

FILE = MANIFESTS / "argocd/argocd-cm.yaml"
KIND = "secrets.contentful.com_SyncedSecret"


def health(obj: dict[str, Any]) -> dict[str, Any]:
    """Status and message."""
    return dict(run(_settings()[f"resource.customizations.health.{KIND}"], obj))


def disabled_actions(obj: dict[str, Any]) -> dict[str, bool]:
    """Whether each action is disabled."""
    found = run(_actions()["discovery.lua"], obj)
    return {name: bool(action["disabled"]) for name, action in found.items()}


def act(action: str, obj: dict[str, Any]) -> dict[str, Any]:
    """The object after that action."""
    (script,) = (entry["action.lua"] for entry in _actions()["definitions"] if entry["name"] == action)
    return dict(run(script, obj))


def run(script: str, obj: dict[str, Any]) -> Any:
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    for name in ("io", "debug", "dofile", "loadfile", "loadstring", "load", "package", "python"):
        lua.globals()[name] = None
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return _python(lua.execute(script))


def _settings() -> dict[str, str]:
    return dict(fast_yaml.load(FILE.read_text())["data"])


def _actions() -> dict[str, Any]:
    return dict(fast_yaml.load(_settings()[f"resource.customizations.actions.{KIND}"]))


def _python(value: Any) -> Any:
    """Tables as dictionaries, or as lists if they are numbered."""
    if lua51.lua_type(value) != "table":
        return value
    items = {key: _python(content) for key, content in value.items()}
    return list(items.values()) if items and set(items) == set(range(1, len(items) + 1)) else items
