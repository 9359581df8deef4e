"""A Secret that has to be deleted and created again, and the restarts that are due for it."""

from __future__ import annotations

import pytest

from secretsyncer.errors import KubeError, Unavailable
from secretsyncer.kube.resources import SECRETS
from tests.support.builders import synced_secret
from tests.support.core import KEY, Core
from tests.support.specs import literal

FROZEN = {"immutable": True, "recreateOnTypeChange": True, "restart": {"consumers": True}}


@pytest.fixture
async def core():
    made = Core()
    made.cluster.lag = 0.0
    made.cluster.put(synced_secret(literal("a", "1"), **FROZEN))
    await made.reconciler.reconcile(KEY)
    return made


def refuse(core, verb, plural):
    error = KubeError(500, "InternalError", "oops")
    core.cluster.refuse = lambda *asked: error if asked[:2] == (verb, plural) else None


def status(core):
    found = core.cluster.synced_secret(KEY)["status"]
    return {field: found.get(field) for field in ("revision", "nextRevision", "restartedRevision")}


async def test_a_process_that_ends_between_deletion_and_creation_leaves_its_restart_due(core):
    core.cluster.put(synced_secret(literal("a", "2"), **FROZEN))
    refuse(core, "create", "secrets")
    with pytest.raises(Unavailable):
        await core.reconciler.reconcile(KEY)
    assert core.cluster.secret(KEY) is None
    assert status(core) == {"revision": 0, "nextRevision": 1, "restartedRevision": 0}
    core.cluster.refuse = lambda *_: None
    core.restart()
    await core.reconciler.reconcile(KEY)
    assert core.data() == {"a": b"2"}
    assert status(core) == {"revision": 1, "nextRevision": None, "restartedRevision": 0}


async def test_nothing_is_deleted_before_the_status_says_so(core):
    core.cluster.put(synced_secret(literal("a", "2"), **FROZEN))
    refuse(core, "patch status", "syncedsecrets")
    with pytest.raises(Unavailable):
        await core.reconciler.reconcile(KEY)
    assert core.data() == {"a": b"1"}


async def test_another_type_alone_announces_nothing(core):
    core.cluster.put(synced_secret(literal("a", "1"), type="example.com/a", **FROZEN))
    await core.reconciler.reconcile(KEY)
    assert status(core) == {"revision": 0, "nextRevision": None, "restartedRevision": 0}


async def test_a_secret_that_somebody_deletes_is_no_change(core):
    core.cluster.remove(SECRETS, KEY)
    await core.reconciler.reconcile(KEY)
    assert core.data() == {"a": b"1"}
    assert status(core)["revision"] == 0
