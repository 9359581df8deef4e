"""What must be true: the model knows every change that was made, and so what each Secret may and must hold.

During the run a Secret may hold, at each key, any value that was right at some time, and it is never emptied. At
the end it must hold exactly what its spec and AWS say; an object whose source is gone keeps what it had.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BEHIND = 15.0
"""Seconds for which the operator may still take a former value for the current one: its list is behind or fails."""


class Reason(NamedTuple):
    """Why a Secret may be written; `at` is the time of day in seconds."""

    at: float
    what: str


@dataclass
class Thing:
    """One SyncedSecret: which AWS secret it reads, how, and why its Secret may have been written."""

    name: str
    source: str
    literal: str
    alive: bool = True
    reasons: list[Reason] = field(default_factory=list)
    former: set[str] = field(default_factory=set)
    """Sources until earlier edits: an operator that was paused may still see one of them for a while."""

    def spec(self) -> dict[str, Any]:
        reference = {"name": self.source}
        data = [
            {"name": "literal", "value": self.literal},
            {"name": "pw", "valueFrom": {"secretKeyRef": {**reference, "key": "password"}}},
            {"name": "whole", "valueFrom": {"secretRef": reference}},
        ]
        return {"IAMRole": "reader", "data": data}

    def expected(self, whole: str) -> dict[str, str]:
        """What the Secret must hold if its source holds that."""
        return {"literal": self.literal, "pw": json.loads(whole)["password"], "whole": whole}


@dataclass
class Model:
    """Everything that was done."""

    things: dict[str, Thing] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    history: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    moves: defaultdict[str, list[Reason]] = field(default_factory=lambda: defaultdict(list))
    """When each source changed."""
    missing: set[str] = field(default_factory=set)
    seen: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    changes: Counter[str] = field(default_factory=Counter)

    def value_of(self, source: str, password: str) -> str:
        return json.dumps({"user": source, "password": password})

    def set_value(self, source: str, whole: str) -> None:
        """AWS holds this now."""
        self.values[source] = whole
        self.history[source].append(whole)

    def expected(self, thing: Thing, whole: str = "") -> dict[str, str]:
        """What the Secret must hold once all is well (or would have to, if its source held that)."""
        return thing.expected(whole or self.values[thing.source])

    def note(self, what: str, thing: Thing) -> None:
        """This is about to give the object's Secret a reason to be written."""
        self.changes[what] += 1
        self._justify(thing, thing.source, what)

    def note_source(self, what: str, source: str) -> None:
        """An AWS secret is about to change. An edit or a deletion reaches the operator later: until then it counts."""
        self.changes[what] += 1
        self.moves[source].append(Reason(time.time(), what))
        for thing in self.things.values():
            if source in {thing.source, *thing.former}:
                self._justify(thing, source, what)

    def note_reader(self, what: str, thing: Thing) -> None:
        """The object is about to read another source: what it shows first may be a value from just before."""
        self.note(what, thing)
        thing.reasons += [move for move in self.moves[thing.source] if move.at > time.time() - BEHIND]

    def _justify(self, thing: Thing, source: str, what: str) -> None:
        thing.reasons.append(Reason(time.time(), what))
        # All that the source has held: the list may be behind, and then an older value counts as current.
        for whole in self.history[source]:
            for key, value in self.expected(thing, whole).items():
                self.seen[thing.name, key].add(value)

    def wrong_now(self, name: str, data: dict[str, str]) -> str | None:
        """What no Secret may show at any time, drift aside."""
        if not data:
            return f"Secret {name} was emptied"
        for key, value in data.items():
            if value != DRIFT and value not in self.seen[name, key]:
                return f"Secret {name} holds at {key} what was never right"
        return None


DRIFT = "changed by hand"
