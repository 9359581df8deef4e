"""Who waits for whom among the calls to Parameter Store."""

import asyncio

import pytest

from sandbox.aws.state import REGION
from secretsyncer.aws.api.parameterstore import ParameterStore
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import OPERATOR, Identity, SecretRef
from tests.support.cache_rig import Rig

pytestmark = pytest.mark.looptime

ROLES = 100


@pytest.fixture
def store():
    rig = Rig()
    rig.world.parameters.put("/app/a", "one")
    made = ParameterStore(rig.api, per_second=1)
    made.world = rig.world
    return made


def reads(store, identity):
    return asyncio.create_task(store.get(SecretRef(identity, "/app/a", REGION, service="ParameterStore")))


async def test_a_listing_does_not_wait_for_the_reads_of_objects(store):
    reading = [reads(store, Identity(store.world.role(f"role-{number}"))) for number in range(ROLES)]
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    for _ in range(2):
        assert (await store.list_page(OPERATOR, REGION, "")).entries
    assert asyncio.get_running_loop().time() - began < 3
    await asyncio.gather(*reading)
    assert asyncio.get_running_loop().time() - began > ROLES - 5


async def test_roles_that_cannot_be_assumed_take_no_turn(store):
    bad = [reads(store, Identity(f"arn:aws:iam::123456789012:role/none-{number}")) for number in range(ROLES)]
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    assert (await reads(store, Identity(store.world.role("honest")))).text == "one"
    assert asyncio.get_running_loop().time() - began < 2
    assert {type(one) for one in await asyncio.gather(*bad, return_exceptions=True)} == {AwsError}
