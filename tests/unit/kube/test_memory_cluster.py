"""The cluster in memory keeps what reflectors rely on: a watch shows changes in their order."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SECRETS
from tests.support.builders import kube_secret
from tests.support.memory_cluster import MemoryCluster

pytestmark = pytest.mark.looptime


async def test_changes_of_one_moment_are_shown_in_their_order():
    cluster, shown = MemoryCluster(), []
    cluster.stores.secrets.add_handler(lambda kind, key, old, new: shown.append(new["metadata"]["resourceVersion"]))
    cluster.put(kube_secret({"a": "0"}))
    for number in range(30):
        cluster.edit(SECRETS, Key("team", "demo"), {"metadata": {"annotations": {"n": str(number)}}})
    await asyncio.sleep(1)
    assert shown == sorted(shown)
    assert len(shown) == 31
