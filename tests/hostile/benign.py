"""The honest tenants: their objects, what happens to them all the time, and how late each change was.

Each object reads a secret of its own, in one of the forms that a spec has. A change is late by the time from the moment
at which AWS held it until the Secret holds it, without one poll interval and without what the machine took. While AWS
itself does not tell the truth, the time does not run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.model import World
from sandbox.kubernetes_client import path_of
from tests.chaos.model import DRIFT, Model, Thing
from tests.hostile.watch import Machine, Stopwatch
from tests.support.builders import ANNOTATION
from tests.support.cluster import Cluster, Space, texts_of
from tests.support.events import label_updated
from tests.support.specs import key, literal, template, whole

OBJECTS, NAMESPACES = 200, 8
POLL = 1.0
LATE = 2.0
"""Seconds by which no change may be late."""
MARK = "benign"
"""Begins the name of each role and secret of the honest tenants, and is a tag of each secret."""
VALUE = "of an honest tenant"
"""Is in each value of the honest tenants, so that it is recognised elsewhere."""
_AT_ONCE = 16


@dataclass
class Honest(Thing):
    """An object of an honest tenant, in one of several forms."""

    number: int = 0
    role: str = ""

    def spec(self) -> dict[str, Any]:
        tag = f"of-{self.number}"
        form = self.number % 5
        if form == 0:
            data = [key("pw", self.source, "password"), whole("whole", self.source)]
        elif form == 1:
            data = [template("pw", f'{{{{ (getSecretValueMap "{self.source}").password }}}}')]
        elif form == 2:
            body = f'{{{{ range $id, $_ := filterByTagKey .Secrets "{tag}" }}}}{{{{ getSecretValue $id }}}}{{{{ end }}}}'
            data = [template("whole", body)]
        elif form == 3:
            find = {"tagKey": tag, "name": {"prefix": self.source}}
            rewrite = [{"source": "^.*$", "target": "whole"}]
            return {"IAMRole": self.role, "dataFrom": {"find": find, "rewrite": rewrite}}
        else:
            return {"IAMRole": self.role, "dataFrom": {"secretRef": {"name": self.source}}}
        return {"IAMRole": self.role, "data": [literal("literal", self.literal), *data]}

    def expected(self, whole: str) -> dict[str, str]:
        password = json.loads(whole)["password"]
        every = {"literal": self.literal, "pw": password, "whole": whole, **json.loads(whole)}
        names = (
            ("literal", "pw", "whole"),
            ("literal", "pw"),
            ("literal", "whole"),
            ("whole",),
            ("user", "password"),
        )
        return {name: every[name] for name in names[self.number % 5]}


@dataclass
class Due:
    """A change that its Secret must show."""

    thing: Honest
    what: str
    grace: float
    watch: Stopwatch
    kinds: set[str]
    """The hostile kinds at work since."""

    @property
    def late(self) -> float:
        return self.watch.own_seconds - self.grace


@dataclass
class Lateness:
    """How late the changes of one part of the run were, in seconds."""

    worst: float = 0.0
    worst_during: frozenset[str] = frozenset()
    """The hostile kinds that were at work during the worst."""
    worst_with_machine: float = 0.0
    changes: int = 0
    too_late: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """How late which change was, by the kinds that were at work."""

    def note(self, due: Due) -> None:
        self.changes += 1
        if due.late > self.worst:
            self.worst, self.worst_during = due.late, frozenset(due.kinds)
        self.worst_with_machine = max(self.worst_with_machine, due.watch.seconds - due.grace)
        if due.late > LATE:
            what = f"{due.what} of {due.thing.name}"
            self.too_late.setdefault(", ".join(sorted(due.kinds)), []).append((due.late, what))

    @property
    def problems(self) -> list[str]:
        return [
            f"{len(late)} changes were late by more than {LATE:g} s, the {max(late)[1]} by {max(late)[0]:.1f} s"
            f" (during {kinds or 'nothing hostile'})"
            for kinds, late in self.too_late.items()
        ]


@dataclass
class Benign:
    """All of them. `problems` are what was wrong; `lateness` can be exchanged for a new one."""

    cluster: Cluster
    world: World
    rand: random.Random
    model: Model = field(default_factory=Model)
    problems: list[str] = field(default_factory=list)
    lateness: Lateness = field(default_factory=Lateness)
    kinds: set[str] = field(default_factory=set)
    """The hostile kinds at work."""
    machine: Machine | None = None
    _spaces: list[Space] = field(default_factory=list)
    _due: dict[str, Due] = field(default_factory=dict)
    _data: dict[str, dict[str, str]] = field(default_factory=dict)
    _places: dict[str, Space] = field(default_factory=dict)
    _lying: int = 0

    async def begin(self) -> None:
        for number in range(NAMESPACES):
            role = self.world.role(f"{MARK}-{number}", read=[f"{MARK}/{number}/*"])
            self._spaces.append(await self.cluster.space(annotations={ANNOTATION: json.dumps([role])}))
        things = [self._make(number) for number in range(OBJECTS)]
        limit = asyncio.Semaphore(_AT_ONCE)

        async def write(thing: Honest) -> None:
            async with limit:
                await self._places[thing.name].write(thing.name, **thing.spec())

        await asyncio.gather(*(write(thing) for thing in things))

    def _make(self, number: int) -> Honest:
        place = number % NAMESPACES
        source = f"{MARK}/{place}/source-{number}"
        thing = Honest(
            f"object-{number}", source, f"literal {number} {VALUE}", number=number, role=f"{MARK}-{place}"
        )
        self.model.set_value(source, self.model.value_of(source, f"first {VALUE}"))
        self.world.create(source, self.model.values[source], tags={f"of-{number}": "1", MARK: "1"})
        self.model.things[thing.name] = thing
        self.model.note("objects made", thing)
        self._places[thing.name] = self._spaces[place]
        return thing

    async def run(self) -> None:
        """Follow the Secrets for ever."""
        async with asyncio.TaskGroup() as group:
            for space in self._spaces:
                group.create_task(self._follow(space))

    async def change(self) -> None:
        """One change, unless all are due already."""
        free = [thing for name, thing in self.model.things.items() if name not in self._due and name in self._data]
        if not free or self._lying:
            return
        thing = self.rand.choice(free)
        assert isinstance(thing, Honest)
        if self.rand.random() < 0.8:
            self._rotate(thing)
        else:
            await self._edit_by_hand(thing)

    def _rotate(self, thing: Honest) -> None:
        value = self.model.value_of(thing.source, f"v{self.rand.getrandbits(48)} {VALUE}")
        self.model.set_value(thing.source, value)
        self.model.note_source("rotations", thing.source)
        self.world.put(thing.source, value)
        self._expect(thing, "rotation", POLL)
        if self.rand.random() < 0.3:
            self.world.send(json.dumps(label_updated(thing.source, self.world.secret(thing.source).arn)))

    async def _edit_by_hand(self, thing: Honest) -> None:
        name = next(iter(thing.expected(self.model.values[thing.source])))
        patch = {"data": {name: base64.b64encode(DRIFT.encode()).decode()}}
        self.model.note("Secrets edited by hand", thing)
        self._data[thing.name] = {name: DRIFT}
        due = self._expect(thing, "edit by hand", 0.0)
        await self.cluster.merge("Secret", self._places[thing.name].name, thing.name, patch)
        due.watch = self._stopwatch()

    def _expect(self, thing: Honest, what: str, grace: float) -> Due:
        due = self._due[thing.name] = Due(thing, what, grace, self._stopwatch(), set(self.kinds))
        return due

    def _stopwatch(self) -> Stopwatch:
        assert self.machine, "there is no operator yet"
        return Stopwatch(self.machine)

    @asynccontextmanager
    async def untrue(self) -> AsyncIterator[None]:
        """AWS does not tell the truth meanwhile: what it holds cannot be known."""
        self._lying += 1
        try:
            yield
        finally:
            self._lying -= 1
            for due in self._due.values():
                due.watch = self._stopwatch()
                due.grace = POLL

    def note_kind(self, name: str) -> None:
        self.kinds.add(name)
        for due in self._due.values():
            due.kinds.add(name)

    async def _follow(self, space: Space) -> None:
        while True:  # the server ends a watch from time to time
            async with self.cluster.watch(path_of("Secret", space.name)) as events:
                async for event in events:
                    secret, name = event["object"], event["object"]["metadata"]["name"]
                    if event["type"] == "DELETED":
                        self.problems.append(f"Secret {name} was deleted")
                    self._seen(name, texts_of(secret))

    def _seen(self, name: str, data: dict[str, str]) -> None:
        self._data[name] = data
        thing = self.model.things[name]
        wrong = self.model.wrong_now(name, data)
        missing = self.model.expected(thing).keys() - data.keys()
        if wrong or missing:
            said = wrong or f"Secret {name} lost {sorted(missing)}"
            self.problems.append(f"{said} (during {', '.join(sorted(self.kinds))})")
        self._check(name)

    def _check(self, name: str) -> None:
        due = self._due.get(name)
        if due and self._data.get(name) == self.model.expected(due.thing):
            del self._due[name]
            if not self._lying:
                self.lateness.note(due)

    def give_up(self) -> None:
        """What has not come yet will not."""
        for due in self._due.values():
            self.lateness.note(due)

    def wrong(self) -> Iterator[str]:
        """The objects whose Secret does not hold what it must."""
        for name, thing in self.model.things.items():
            if self._data.get(name) != self.model.expected(thing):
                yield f"Secret {name} holds {self._data.get(name)} and not {self.model.expected(thing)}"

    async def unready(self) -> list[str]:
        """The objects that are not Ready."""
        problems = []
        for name, space in self._places.items():
            try:
                condition = await space.ready(name)
                if condition["status"] != "True":
                    problems.append(f"{name} is not Ready: {condition['reason']} {condition['message']}")
            except AssertionError as exc:
                problems.append(str(exc))
        return problems
