"""An upgrade from version 1.0, which has marked Secrets with another label."""

from __future__ import annotations

import base64

import pytest

from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import literal

pytestmark = pytest.mark.real

MARK = "secrets.contentful.com/managed"
OLD_MARK = {"app.kubernetes.io/managed-by": "kube-secret-syncer"}


async def test_an_upgrade_writes_no_secret_and_drift_is_still_corrected_at_once(run_operator, space):
    names = [f"demo-{number}" for number in range(5)]
    before = {}
    for name in names:
        await space.write(name, data=[literal("a", "1")])
        before[name] = await space.put_foreign(name, {"a": "1"}, labels=OLD_MARK)
    operator = await run_operator(SYNC_INTERVAL_SEC="1")
    for name in names:
        await space.until_synced(name)
    synced = await measured(operator, "secretsyncer_reconciles_total", result="unchanged")

    async def resynced():
        assert await measured(operator, "secretsyncer_reconciles_total", result="unchanged") > synced + 10

    await eventually(resynced)
    for name in names:
        assert await space.secret(name) == before[name]
    drift = {"data": {"a": None, "b": base64.b64encode(b"x").decode()}}
    await space.cluster.merge("Secret", space.name, names[0], drift)
    await space.until_data(names[0], {"a": b"1"})
    assert (await space.secret(names[0]))["metadata"]["labels"] == {**OLD_MARK, MARK: "true"}
    await space.cluster.merge("Secret", space.name, names[0], drift)  # another watch shows it now
    await space.until_data(names[0], {"a": b"1"})
    await space.cluster.delete("Secret", space.name, names[1])
    await space.until_data(names[1], {"a": b"1"})
    assert (await space.secret(names[1]))["metadata"]["labels"] == {MARK: "true"}
