"""`rewrite` of External Secrets Operator: rules that change the keys of one entry of `dataFrom`."""

from __future__ import annotations

import json
import re
from typing import Any

from secretsyncer.commands.convert.draft import JSON, Draft
from secretsyncer.kube.objects import Object

_NAMED_GROUP = re.compile(r"\$\{?[A-Za-z_]|\$[0-9]+[A-Za-z_]|\$\{[0-9]+[A-Za-z_]")
_GROUP = re.compile(r"\$(?:[0-9]+|\{[0-9]+\})")
_DIFFERENT = {"(.*)", "(.+)", "^(.*)$", "^(.+)$", "^", "$", r"\z"}
"""Sources that match a key as a whole, or nothing of it: then different keys stay different."""

_TRANSFORM = re.compile(r"((?:(?!\{\{).)*)\{\{\s*(.*?)\s*\}\}((?:(?!\{\{).)*)", re.DOTALL)
_TEXT = r'("(?:[^"\\]|\\["\\nrt])*")'
"""A text that Go and JSON write alike."""
_STEPS = (
    (re.compile("(upper|lower)"), lambda name: {"case": name.title()}),
    (re.compile(f"trimPrefix {_TEXT}"), lambda text: _replace(f"^{_exactly(text)}", "")),
    (re.compile(f"trimSuffix {_TEXT}"), lambda text: _replace(rf"{_exactly(text)}\z", "")),
    (re.compile(f"replace {_TEXT} {_TEXT}"), lambda old, new: _replace(_exactly(old), json.loads(new))),
)
"""Functions of a pipeline over a key, and what they are here."""


def is_merge(draft: Draft, where: str, rule: Object) -> bool:
    """Whether a rule only takes the keys out of the JSON objects that were found."""
    merge = rule.get("merge")
    if merge is None:
        return False
    draft.leftovers(f"{where}.rewrite.merge", merge, {"strategy", "conflictPolicy"})
    if (merge.get("strategy") or "Extract") != "Extract":
        draft.refuse(f"{where}: rewrite by merge with the strategy {merge['strategy']} has no counterpart")
    if (merge.get("conflictPolicy") or "Error") != "Ignore":
        draft.note(f"{where}: a key that two AWS secrets have is an error there; here, the later secret wins")
    draft.common.add(JSON)
    return True


def rules(draft: Draft, where: str, rewrite: list[Any]) -> list[Object]:
    """The same rules here."""
    made: list[Object] = []
    for rule in rewrite:
        if rule.get("transform"):
            made += _transform(draft, where, str(rule["transform"].get("template") or ""))
            continue
        if not rule.get("regexp"):
            draft.refuse(f"{where}: rewrite by {', '.join(rule)} has no counterpart")
            continue
        source, target = rule["regexp"].get("source") or "", rule["regexp"].get("target") or ""
        if _NAMED_GROUP.search(target):
            draft.refuse(f"{where}: rewrite to {target}: write the group as ${{1}}, names are not known here")
        made.append({"source": source, "target": target})
    if any(rule.get("source") not in _DIFFERENT for rule in made):
        draft.note(f"{where}: two keys that rewrite makes equal are an error here; there, one of them is lost")
    return made


def may_empty(made: list[Object]) -> bool:
    """Whether a rule may leave nothing of a key: its target has no text of its own."""
    return any("target" in rule and not _GROUP.sub("", rule["target"]) for rule in made)


def _transform(draft: Draft, where: str, template: str) -> list[Object]:
    """Rules for a template of text, one pipeline over `.value`, and text."""
    found = _TRANSFORM.fullmatch(template)
    before, pipeline, after = found.groups() if found else ("", "", "")
    first, *calls = re.split(r"\s*\|\s*", pipeline)
    made = [_step(" ".join(call.split())) for call in calls]
    if first != ".value" or None in made:
        draft.refuse(f"{where}: rewrite by transform {template} has no counterpart; use rewrite by regexp")
        return []
    affixes = [_replace(place, text) for place, text in (("^", before), (r"\z", after)) if text]
    return [rule for rule in made if rule] + affixes


def _step(call: str) -> Object | None:
    for pattern, rule in _STEPS:
        if found := pattern.fullmatch(call):
            return rule(*found.groups())
    return None


def _replace(source: str, target: str) -> Object:
    return {"source": source, "target": target.replace("$", "$$")}


def _exactly(text: str) -> str:
    """A regular expression for a text of a template."""
    return re.escape(str(json.loads(text)))
