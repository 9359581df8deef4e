"""The answer for all objects, and one page of the list: counts by state, reason and namespace, filtered and sorted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from secretsyncer.explain.explanation import sources_of
from secretsyncer.explain.state import Acts, State, state_of
from secretsyncer.kube.objects import Key, Object, key_of, unpacked
from secretsyncer.operator.status_page.view import NOT_READY, STATES, View
from secretsyncer.synced_secret import target_of

ROWS = 50
"""Objects on a page."""
REASONS = 15
"""Reasons that are counted, the most frequent ones."""
NAMESPACES = 100
"""Namespaces that are counted, those first that have the most objects that are not ready."""
_ORDER = {acts: place for place, acts in enumerate(Acts)}


class Row(NamedTuple):
    """One object on the page."""

    key: Key
    state: State
    obj: Object


class InNamespace(NamedTuple):
    """How many objects a namespace has."""

    name: str
    not_ready: int
    objects: int


class Overview(NamedTuple):
    """`all` counts every object. The other counts are of objects that the filters and the search select, except for
    the filter that a count is for.
    """

    view: View
    all: Counter[Acts]
    states: Counter[Acts]
    reasons: list[tuple[str, int]]
    other_reasons: int
    namespaces: list[InNamespace]
    other_namespaces: int
    found: Counter[Acts]
    rows: list[Row]
    pages: int

    @property
    def first(self) -> int:
        """Which of the objects is the first one on the page, from 0."""
        return (self.view.page - 1) * ROWS


def overview(objects: Iterable[Object], view: View) -> Overview:
    """What `/` shows. A page beyond the last one is the last one."""
    states, reasons, every = Counter[Acts](), Counter[str](), Counter[Acts]()
    spaces, unready = Counter[str](), Counter[str]()
    found: list[Row] = []
    words, wanted = view.words.lower().split(), STATES.get(view.state, frozenset(Acts))
    for obj in objects:
        state, key = state_of(obj), key_of(obj)
        every[state.acts] += 1
        if words and not _has(words, key, state, obj):
            continue
        by_state = state.acts in wanted
        by_reason = view.reason in {"", state.reason}
        by_namespace = view.namespace in {"", key.namespace}
        states[state.acts] += by_reason and by_namespace
        reasons[state.reason] += by_state and by_namespace and state.acts in STATES[NOT_READY]
        spaces[key.namespace] += by_state and by_reason
        unready[key.namespace] += by_state and by_reason and state.acts in STATES[NOT_READY]
        if by_state and by_reason and by_namespace:
            found.append(Row(key, state, obj))
    found.sort(key=lambda row: (_ORDER[row.state.acts], row.key))
    pages = max(1, -(-len(found) // ROWS))
    shown = view._replace(page=min(view.page, pages))
    start = (shown.page - 1) * ROWS
    by_count = [(reason, count) for reason, count in reasons.most_common() if count]
    named = sorted(
        (InNamespace(name, unready[name], count) for name, count in spaces.items() if count),
        key=lambda one: (-one.not_ready, one.name),
    )
    return Overview(
        view=shown,
        all=every,
        states=states,
        reasons=by_count[:REASONS],
        other_reasons=max(0, len(by_count) - REASONS),
        namespaces=named[:NAMESPACES],
        other_namespaces=max(0, len(named) - NAMESPACES),
        found=Counter(row.state.acts for row in found),
        rows=found[start : start + ROWS],
        pages=pages,
    )


def _has(words: Iterable[str], key: Key, state: State, obj: Mapping[str, object]) -> bool:
    """Whether the names, the reason, the message and the AWS secrets of the object have all the words."""
    status = unpacked(obj.get("status"))
    sources = sources_of(status) if isinstance(status, dict) else ()
    texts = (str(key), target_of(dict(obj)).name, state.reason, state.message, *(" ".join(one) for one in sources))
    text = " ".join(texts).lower()
    return all(word in text for word in words)
