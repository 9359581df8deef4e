"""Objects larger than the CRD allows: new ones are refused, and those from before say what is wrong."""

from __future__ import annotations

import contextlib
import copy
import itertools

import pytest

from sandbox.kubernetes_client import KubernetesError
from tests.support.eventually import eventually
from tests.support.specs import literal

pytestmark = pytest.mark.real

NAME = "syncedsecrets.secrets.contentful.com"
ITEMS = [literal(f"k{n}", "") for n in range(1001)]


@contextlib.asynccontextmanager
async def no_limit_of_items(cluster):
    """The definition as it was before it had limits."""

    crd = await cluster.get("CustomResourceDefinition", "", NAME)

    async def set_versions(versions, probe):
        await cluster.merge("CustomResourceDefinition", "", NAME, {"spec": {"versions": versions}})
        await eventually(probe)

    space = await cluster.space()

    async def allowed():
        await space.write("probe", data=ITEMS, suspend=True)

    attempts = itertools.count()

    async def refused():
        # A new object each time: one that was let in may stay as it is.
        with contextlib.suppress(KubernetesError):
            await space.write(f"other-{next(attempts)}", data=ITEMS, suspend=True)
            raise AssertionError("the API server still allows it")

    loose = copy.deepcopy(crd["spec"]["versions"])
    data = loose[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["data"]
    data["maxItems"] = 100_000
    del data["x-kubernetes-validations"]  # rules for so many items would cost too much
    await set_versions(loose, allowed)
    try:
        yield
    finally:
        await set_versions(crd["spec"]["versions"], refused)
        await space.clear()


async def test_an_object_with_too_many_items_is_refused_with_the_limit(space):
    with pytest.raises(KubernetesError, match=r"spec.data: Too many: 1001: must have at most 1000 items"):
        await space.write("demo", data=ITEMS)


async def test_an_object_from_before_the_limits_gets_a_condition_and_can_be_made_smaller(operator, cluster, space):
    async with no_limit_of_items(cluster):
        await space.write("demo", data=ITEMS, suspend=True)
        await space.until_failed("demo", "InvalidSpec")
    await cluster.merge(
        "SyncedSecret", space.name, "demo", {"spec": {"suspend": False}}
    )  # its status is still written
    assert await space.until_failed("demo", "InvalidSpec") == "spec.data: must have at most 1000 items"
    await space.write("demo", data=ITEMS[:1000])
    await space.until_synced("demo")
    assert len(await space.data("demo")) == 1000
