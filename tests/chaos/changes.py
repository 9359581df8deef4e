"""What users and AWS do all the time. Each change is noted in the model first: its answer may get lost on the way.

Users try again (`eventually`) while the API server is away.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Awaitable, Callable

from sandbox.aws.model import World
from tests.chaos.model import DRIFT, Model, Thing
from tests.support.cluster import Space
from tests.support.eventually import eventually

SOURCES = 30


class Changes:
    """The changes, over one namespace and one world."""

    def __init__(self, model: Model, world: World, space: Space, rand: random.Random) -> None:
        self.model = model
        self.world = world
        self.space = space
        self.rand = rand
        self._serial = 0

    async def begin(self, objects: int) -> None:
        for number in range(SOURCES):
            name = f"team/source-{number}"
            self.model.set_value(name, self.model.value_of(name, "first"))
            self.world.create(name, self.model.values[name])
        for _ in range(objects):
            await self.create()

    async def one(self) -> None:
        """One change, drawn at random."""
        actions: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.rotate, 8),
            (self.edit, 4),
            (self.drift, 3),
            (self.remove_secret, 2),
            (self.create, 1),
            (self.delete, 1),
            (self.lose_source, 1),
            (self.find_source, 2),
            (self.roll_back, 1),
        ]
        action = self.rand.choices([a for a, _ in actions], [w for _, w in actions])[0]
        await action()

    def _text(self) -> str:
        self._serial += 1
        return f"v{self._serial}"

    def _source(self) -> str:
        return self.rand.choice(sorted(self.model.values.keys() - self.model.missing))

    def _thing(self) -> Thing:
        return self.rand.choice([thing for thing in self.model.things.values() if thing.alive])

    async def rotate(self) -> None:
        source = self._source()
        self.model.set_value(source, self.model.value_of(source, self._text()))
        self.model.note_source("rotations", source)
        self.world.put(source, self.model.values[source])

    async def roll_back(self) -> None:
        source = self._source()
        secret = self.world.secret(source)
        if not secret.staged("AWSPREVIOUS"):
            return
        version = secret.staged("AWSPREVIOUS")
        self.model.set_value(source, str(secret.versions[version]))
        self.model.note_source("roll-backs", source)
        self.world.roll_back(source)

    async def edit(self) -> None:
        thing = self._thing()
        thing.former.add(thing.source)
        thing.literal, thing.source = self._text(), self._source()
        self.model.note_reader("spec edits", thing)
        await eventually(lambda: self.space.write(thing.name, **thing.spec()))

    async def create(self) -> None:
        name = f"thing-{len(self.model.things)}"
        thing = self.model.things[name] = Thing(name, self._source(), self._text())
        self.model.note_reader("objects made", thing)
        await eventually(lambda: self.space.write(name, **thing.spec()))

    async def delete(self) -> None:
        thing = self._thing()
        thing.alive = False
        self.model.changes["objects deleted"] += 1

        async def gone() -> None:
            if await self.space.synced(thing.name):
                await self.space.cluster.delete("SyncedSecret", self.space.name, thing.name)

        await eventually(gone)

    async def drift(self) -> None:
        thing = self._thing()
        patch = {"data": {"pw": base64.b64encode(DRIFT.encode()).decode()}}

        async def change() -> None:
            if await self.space.secret(thing.name):
                self.model.note("Secrets edited by hand", thing)
                await self.space.cluster.merge("Secret", self.space.name, thing.name, patch)

        await eventually(change)

    async def remove_secret(self) -> None:
        thing = self._thing()
        if thing.source in self.model.missing:
            return  # nothing could bring it back

        async def remove() -> None:
            if await self.space.secret(thing.name):
                self.model.note("Secrets deleted by hand", thing)
                await self.space.cluster.delete("Secret", self.space.name, thing.name)

        await eventually(remove)

    async def lose_source(self) -> None:
        """AWS plans a secret's deletion: its readers keep what they have."""
        if len(self.model.missing) < SOURCES // 4:
            source = self._source()
            self.model.missing.add(source)
            self.model.changes["AWS secrets deleted"] += 1
            self.world.delete(source)

    async def find_source(self) -> None:
        if self.model.missing:
            source = self.rand.choice(sorted(self.model.missing))
            self.model.missing.discard(source)
            self.model.note_source("AWS secrets restored", source)
            self.world.restore(source)
