"""Wrong answers of Parameter Store, and objects that mean harm, beside honest objects of the same role."""

from __future__ import annotations

import signal
import uuid
from contextlib import suppress
from datetime import timedelta

import pytest
import pytest_asyncio

from sandbox.kubernetes_client import KubernetesError
from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import parameter, template

pytestmark = pytest.mark.real

SETTINGS = {"POLL_INTERVAL_SEC": "2", "SYNC_INTERVAL_SEC": "3"}
LOOP = '{{ range $k, $v := getParameters "PATH" }}{{ $k }}={{ $v }};{{ end }}'


class Honest:
    """Objects that read parameters in each way, and what their Secrets must hold."""

    def __init__(self, aws, space):
        self.world, self.space = aws.world.parameters, space
        self.path = f"/honest/{uuid.uuid4().hex[:8]}"
        self.role = aws.world.role(f"honest-{self.path[-8:]}", read=[f"{self.path}/*"])
        self.count = 0

    async def begin(self):
        for number in range(12):
            self.world.put(f"{self.path}/{number:02}", "0")
        labelled = self.world.put(f"{self.path}/label", "0")
        labelled.labels["live"] = 1
        for name, spec in {
            "named": {
                "data": [parameter("a", f"{self.path}/00"), parameter("b", f"{self.path}/01", default="none")]
            },
            "labelled": {"data": [parameter("a", f"{self.path}/label", label="live")]},
            "path": {"dataFrom": {"parameters": [{"path": self.path, "optional": True}]}},
            "loop": {"data": [template("t", LOOP.replace("PATH", self.path))]},
        }.items():
            await self.space.write(name, IAMRole=self.role, **spec)
        await self.until()

    def expected(self):
        now = str(self.count).encode()
        path = {f"{number:02}": now for number in range(12)} | {"label": now}
        return {
            "named": {"a": now, "b": now},
            "labelled": {"a": now},
            "path": path,
            "loop": {"t": b"".join(b"%s=%s;" % (key.encode(), now) for key in path)},
        }

    async def until(self):
        for name, data in self.expected().items():
            await self.space.until_data(name, data)
            await self.space.until_synced(name)

    async def check(self):
        for name, data in self.expected().items():
            assert await self.space.data(name) == data, name

    async def change(self):
        self.count += 1
        for number in range(12):
            self.world.put(f"{self.path}/{number:02}", str(self.count))
        made = self.world.put(f"{self.path}/label", str(self.count))
        made.labels["live"] = made.version
        await self.until()


@pytest_asyncio.fixture(loop_scope="session")
async def honest(operator, aws, space):
    aws.faults.clear()
    made = Honest(aws, space)
    await made.begin()
    yield made
    aws.faults.clear()


async def more_calls(aws, operation, number=3):
    before = aws.count(operation)

    async def probe():
        assert aws.count(operation) >= before + number

    await eventually(probe)


WRONG = [
    "no-list",
    "odd-list",
    "odd-fields",
    "half-list",
    "token-loop",
    "html",
    "body:null",
    "truncated",
    "500",
    "throttle",
]


async def test_wrong_listings_change_nothing_and_what_follows_arrives(honest, operator, aws):
    for kind in WRONG:
        fault = aws.fault(kind, operation="DescribeParameters")
        await more_calls(aws, "DescribeParameters")
        await honest.check()
        aws.faults.remove(fault)
    await honest.change()


async def test_wrong_values_change_nothing_and_what_follows_arrives(honest, operator, aws):
    for kind in [*WRONG, "empty-list", "denied", "code:InvalidKeyId", "expired"]:
        fault = aws.fault(kind, operation="GetParameters")
        honest.world.put(f"{honest.path}/00", str(honest.count))
        await more_calls(aws, "GetParameters", 2)
        await honest.check()
        aws.faults.remove(fault)
    await honest.change()


HOSTILE = {
    "no-slash": {"data": [parameter("a", "app/db")]},
    "other-account": {"data": [parameter("a", "arn:aws:ssm:eu-west-1:999999999999:parameter/x")]},
    "other-region": {"data": [parameter("a", "/x", region="us-east-1")]},
    "no-region": {"data": [parameter("a", "/x", region="mars-1")]},
    "secret-arn": {"data": [parameter("a", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf")]},
    "public": {"data": [parameter("a", "/aws/service/x")]},
    "huge-version": {"data": [parameter("a", "PATH/00", version=2**53)]},
    "label-number": {"data": [parameter("a", "PATH/00", label="1")]},
    "label-selector": {"data": [parameter("a", "PATH/00", label="a:b")]},
    "no-json": {"data": [parameter("a", "PATH/00", jmesPath="a.b")]},
    "merge": {"dataFrom": {"parameters": [{"path": "PATH", "merge": True}]}},
    "everything": {"dataFrom": {"parameters": [{"path": "/"}]}},
    "slashes": {"dataFrom": {"parameters": [{"path": "//"}]}},
    "many-paths": {"dataFrom": {"parameters": [{"path": "/"}, {"path": "PATH"}] * 50, "invalidKeys": "Skip"}},
    "collision": {
        "dataFrom": {"parameters": [{"path": "PATH"}], "rewrite": [{"source": "^.*$", "target": "same"}]}
    },
    "loop": {"data": [template("t", '{{ range getParameters "/" }}{{ getParameters . }}{{ end }}')]},
    "odd-loop": {"data": [template("t", '{{ getParameters "//" }}{{ getParameters "" }}{{ getParameter "a b" }}')]},
}


async def test_objects_that_mean_harm_harm_nobody_of_the_same_role(honest, operator, aws, new_space):
    theirs = await new_space()
    denied = [f"/denied/{uuid.uuid4().hex[:8]}/{number}" for number in range(25)]
    for name in denied:
        aws.world.parameters.put(name, "not yours")
    specs = {
        **{name: _filled(spec, honest.path) for name, spec in HOSTILE.items()},
        **{f"denied-{number}": {"data": [parameter("a", name)]} for number, name in enumerate(denied)},
    }
    written = []
    for name, spec in specs.items():
        with suppress(KubernetesError):  # the API server refuses some
            await theirs.write(name, IAMRole=honest.role, **spec)
            written.append(name)
    assert len(written) > len(denied) + 10
    for name in written:
        await eventually(lambda name=name: _not_ready(theirs, name))
    await honest.change()
    for name in specs:
        assert b"not yours" not in repr(await theirs.data(name)).encode()
    assert await measured(operator, "secretsyncer_reconciles_total", result="bug") == 0
    assert "not yours" not in operator.log


def _filled(what, path):
    if isinstance(what, str):
        return what.replace("PATH", path)
    if isinstance(what, dict):
        return {key: _filled(value, path) for key, value in what.items()}
    return [_filled(value, path) for value in what] if isinstance(what, list) else what


async def _not_ready(space, name):
    ready = await space.ready(name)
    assert ready["status"] == "False", ready


def made_again(world, name, value):
    """The parameter, deleted and created again half a minute later, as AWS requires it."""
    world.delete(name)
    made = world.put(name, value)
    made.versions[1] = (value, made.versions[1][1] + timedelta(seconds=30))
    return made


async def test_what_changes_while_nobody_leads_arrives_from_the_next_leader(small_operator, small_cluster, aws):
    space = await small_cluster.space()
    aws.faults.clear()
    put, path = aws.world.parameters.put, f"/handed/{uuid.uuid4().hex[:8]}"
    for name in ("changed", "gone", "again", "suspended"):
        put(f"{path}/{name}", "old")
    put(f"{path}/labelled", "old").labels["live"] = 1
    references = [parameter("changed", f"{path}/changed"), parameter("again", f"{path}/again", version=1)]
    await space.write("named", data=[*references, parameter("labelled", f"{path}/labelled", label="live")])
    await space.write("path", dataFrom={"parameters": [{"path": path}]})
    suspended = {"data": [parameter("a", f"{path}/suspended")]}
    await space.write("suspended", **suspended)
    lease = {"LEADER_ELECTION": "true", "POD_NAMESPACE": "default"}
    leader = await small_operator(**SETTINGS, **lease)
    await space.until_data("named", {"changed": b"old", "again": b"old", "labelled": b"old"})
    await space.until_data("suspended", {"a": b"old"})
    standby = await small_operator(**SETTINGS, **lease)
    await space.write("suspended", **suspended, suspend=True)
    await space.until_failed("suspended", "Suspended")
    assert await measured(standby, "secretsyncer_aws_calls_total", operation="DescribeParameters") == 0

    leader.send(signal.SIGKILL)
    for name in ("changed", "suspended"):
        put(f"{path}/{name}", "new")
    aws.world.parameters.delete(f"{path}/gone")
    made_again(aws.world.parameters, f"{path}/again", "new")
    labelled = put(f"{path}/labelled", "new")
    labelled.labels["live"] = 2
    await space.until_data("named", {"changed": b"new", "again": b"new", "labelled": b"new"})
    await space.until_data("path", dict.fromkeys(("changed", "again", "suspended", "labelled"), b"new"))
    assert await space.data("suspended") == {"a": b"old"}
    await space.write("suspended", **suspended)
    await space.until_data("suspended", {"a": b"new"})


async def test_a_parameter_that_is_made_again_with_the_same_version_is_noticed(honest, aws):
    world = aws.world.parameters
    pinned = {"data": [parameter("a", f"{honest.path}/02", version=1)]}
    await honest.space.write("pinned", IAMRole=honest.role, **pinned)
    await honest.space.until_data("pinned", {"a": b"0"})
    before = world.get(f"{honest.path}/02").version
    assert made_again(world, f"{honest.path}/02", "again").version == before
    await honest.space.until_data("pinned", {"a": b"again"})

    async def follows():
        assert (await honest.space.data("path"))["02"] == b"again"
        assert b"02=again;" in (await honest.space.data("loop"))["t"]

    await eventually(follows)
