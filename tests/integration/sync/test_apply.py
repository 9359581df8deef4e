"""Writes of a Secret that differs from the store, and with a Lease that has expired."""

from __future__ import annotations

import base64
from contextlib import contextmanager

import pytest

from secretsyncer.errors import Unavailable
from secretsyncer.kube.lease import LeaderElector
from secretsyncer.kube.objects import key_of
from secretsyncer.sync.apply import TRIES, Writer
from secretsyncer.sync.observed import summarise
from secretsyncer.sync.stores import Stores
from tests.support import cluster
from tests.support.builders import damping, parsed, synced_secret
from tests.support.specs import literal

RENEW_DEADLINE = 10


class Shown(dict):
    """An informer's store that shows what it was told, however old that is."""

    def __init__(self, transform):
        self.transform = transform

    def remember(self, obj):
        self[key_of(obj)] = self.transform(obj)


@pytest.fixture
def objects():
    return Shown(dict)


@pytest.fixture
def secrets():
    return Shown(summarise)


@pytest.fixture
def writer_of(client, objects, secrets):
    def make(may_write=lambda: True):
        return Writer(client, Stores(objects, None, secrets), damping(), adopt=True, may_write=may_write)

    return make


@pytest.fixture
def space(admin, namespace):
    return cluster.Space(admin, namespace)


@pytest.fixture
def synced(namespace):
    return parsed(literal("a", "1"), namespace=namespace)


WANTED = {"a": b"1"}


async def change(space, **data):
    """Somebody else's hand."""
    patch = {"data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}
    return await space.cluster.merge("Secret", space.name, "demo", patch)


async def test_a_secret_that_changed_since_it_was_read_is_read_again_and_corrected(writer_of, space, synced):
    writer = writer_of()
    await writer.write_secret(synced, {"a": b"0"})
    await change(space, a="changed", b="added")  # the store does not know
    written = await writer.write_secret(synced, WANTED)
    assert await space.data("demo") == WANTED
    assert written.version == (await space.secret("demo"))["metadata"]["resourceVersion"]


async def test_a_secret_that_others_create_or_delete_meanwhile_is_corrected_too(writer_of, space, synced):
    writer = writer_of()
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "demo", "namespace": space.name}}
    await space.cluster.create(body)  # the store shows none
    await writer.write_secret(synced, WANTED)
    assert await space.data("demo") == WANTED
    await space.cluster.delete("Secret", space.name, "demo")  # and now it shows one
    await writer.write_secret(synced, {"a": b"2"})
    assert await space.data("demo") == {"a": b"2"}


async def test_a_secret_that_changes_all_the_time_is_left_for_a_later_pass(
    writer_of, space, synced, client, monkeypatch
):
    writer = writer_of()
    await writer.write_secret(synced, {"a": b"0"})
    patch, hands = client.merge_patch, []

    async def after_somebody_elses(*arguments, **options):
        hands.append(await change(space, b=str(len(hands))))
        return await patch(*arguments, **options)

    monkeypatch.setattr(client, "merge_patch", after_somebody_elses)
    with pytest.raises(Unavailable, match=f"Secret {space.name}/demo keeps being modified concurrently"):
        await writer.write_secret(synced, WANTED)
    assert len(hands) == TRIES
    assert await space.data("demo") == {"a": b"0", "b": str(TRIES - 1).encode()}


async def test_nothing_is_written_once_the_lease_may_be_anothers(
    writer_of, client, metrics, objects, secrets, space, synced, server
):
    now = 0.0
    elector = LeaderElector(
        client,
        namespace=space.name,
        name="lease",
        identity="me",
        renew_deadline=RENEW_DEADLINE,
        metrics=metrics,
        clock=lambda: now,
    )
    writer = writer_of(elector.fresh)
    with refused(server):
        await writer.write_secret(synced, WANTED)  # not acquired yet
    await elector.acquire()
    await writer.write_secret(synced, {"a": b"0"})
    assert await space.data("demo") == {"a": b"0"}
    now = RENEW_DEADLINE + 1.0  # the process stood still: another may lead, and this one does not know yet
    with refused(server):
        await writer.write_secret(synced, WANTED)
    secrets.clear()
    with refused(server):
        await writer.write_secret(synced, WANTED)  # one that it would create
    obj = synced_secret(literal("a", "1"), namespace=space.name)
    objects.remember(obj)
    with refused(server):
        await writer.write_status(obj, {"status": {"conditions": []}})
    assert await space.data("demo") == {"a": b"0"}


@contextmanager
def refused(server):
    """The writer itself refuses, and asks the server for nothing."""
    before = cluster.writes(server)
    with pytest.raises(Unavailable, match="does not hold the lease"):
        yield
    assert cluster.writes(server) == before
