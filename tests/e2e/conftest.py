"""The operator as users run it: its own process, between a Kubernetes API and an AWS, asserted from outside.

All tests of a module share one operator (`SETTINGS` of the module are its settings), and all of them one API
server, in a namespace of their own each. The operator has the token of the ServiceAccount in manifests/base/rbac.yaml
and nothing more. At most one operator that watches everything runs at a time. At the end of each, it must stop
with exit code 0 and have logged nothing that only a bug explains.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from sandbox.apiserver import EmbeddedKubernetes
from sandbox.aws.http import FakeAws
from sandbox.aws.moto_secrets import MotoSecrets
from sandbox.operator import OperatorProcess
from tests.support.cluster import Cluster, Kubectl
from tests.support.eventually import eventually
from tests.support.measures import complaints, total
from tests.support.specs import literal
from tests.support.stand_in import stand_in

SERVICE_ACCOUNT = "k8s-secret-syncer", "secretsyncer"


def pytest_collection_modifyitems(items):
    """One event loop for all: what is shared here lives in it."""
    for item in items:
        if "/e2e/" in str(item.path) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what the operator logged."""
    outcome = yield
    report = outcome.get_result()
    for name in ("operator", "run_operator"):
        started = getattr(item, "funcargs", {}).get(name)
        for operator in getattr(started, "all", [started] if started else []):
            if report.failed:
                report.sections.append(("the operator's log", operator.log[-6000:]))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(real_server):
    """The real API server with everything of manifests/base/ but the Deployment in it."""
    async with Cluster(real_server) as made:
        await made.install("crd.yaml", "namespace.yaml", "rbac.yaml")
        real_server.start_controllers()
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def controllers(real_server, cluster):
    """For tests that wait for what Kubernetes' own controllers do."""
    await real_server.until_controllers()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operators_kubeconfig(real_server, cluster, tmp_path_factory):
    """The rights of the manifest's ServiceAccount."""
    token = await real_server.service_account_token(*SERVICE_ACCOUNT)
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    return real_server.write_kubeconfig(path, "secretsyncer", token=token)


@pytest.fixture(scope="session")
def kubectl(real_server, cluster, tmp_path_factory):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on the PATH")
    made = Kubectl(real_server.write_kubeconfig(tmp_path_factory.mktemp("admin") / "kubeconfig"))
    yield made
    made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def new_space(cluster):
    """Makes namespaces, and empties them at the end."""
    spaces = []

    async def make(**metadata):
        spaces.append(await cluster.space(**metadata))
        return spaces[-1]

    yield make
    for made in spaces:
        await made.clear()


@pytest_asyncio.fixture(loop_scope="session")
async def space(new_space):
    """A new namespace without any annotation."""
    return await new_space()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def aws():
    """The stand-in that enforces permissions and counts calls."""
    async with FakeAws() as made:
        yield made


def new_secret(aws, text='{"a": "1"}'):
    """The name of a new secret in the stand-in; what a test before had it do wrong is over."""
    aws.faults.clear()
    name = f"app/{uuid.uuid4().hex[:8]}"
    aws.world.create(name, text)
    return name


@pytest.fixture
def name(aws):
    return new_secret(aws)


@pytest.fixture(scope="session")
def moto(moto_server):
    return MotoSecrets(moto_server)


@asynccontextmanager
async def within_one_poll(aws):
    """What is waited for inside must be there after one listing that began later (and those under way): no other is
    answered.
    """
    held = aws.fault("hold", operation="ListSecrets", skip=3)
    try:
        yield
    finally:
        aws.faults.remove(held)


async def until_gone(space, kind, *names):
    async def probe():
        left = [name for name in names if await space.cluster.get(kind, space.name, name)]
        assert not left, left

    await eventually(probe)


async def collected(space, **fields):
    """Until the garbage collector has done what there was to do, and knows the owners of all Secrets there are."""
    await space.write("witness", deletionPolicy="Delete", data=[literal("a", "1")], **fields)
    await space.until_synced("witness")
    await space.cluster.delete("SyncedSecret", space.name, "witness")
    await until_gone(space, "Secret", "witness")


async def until_known(operator, count):
    """Until its informer holds so many SyncedSecrets."""

    async def probe():
        metrics = await operator.metrics()
        assert total(metrics, "secretsyncer_informer_objects", resource="syncedsecrets") == count

    await eventually(probe)


@pytest.fixture(scope="module")
def environment(aws):
    """Where the operator finds AWS, and how often it looks."""
    return stand_in(aws)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operator(request, operators_kubeconfig, environment):
    """The module's operator, ready."""
    settings = getattr(request.module, "SETTINGS", {})
    async with OperatorProcess(kubeconfig=operators_kubeconfig, environment={**environment, **settings}) as running:
        await running.until_ready()
        yield running
        assert await running.stop() == 0, running.log[-4000:]
        assert not complaints(running.log)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restart_component(cluster, controllers):
    """What manifests/components/restarts has, and Argo's Rollout, while the tests of a module run."""
    made = await cluster.install_restarts()
    yield
    for obj in made:
        await cluster.delete(obj["kind"], "", obj["metadata"]["name"])


class Starter:
    """`await start(SETTING="value")` starts an operator; `all` are those that it has started."""

    def __init__(self, kubeconfig, environment):
        self.kubeconfig = kubeconfig
        self.environment = environment
        self.all = []

    async def __call__(self, *, ready=True, **settings):
        environment = {**self.environment, **settings}
        made = OperatorProcess(kubeconfig=self.kubeconfig, environment=environment)
        self.all.append(made)
        await made.start()
        if ready:
            await made.until_ready()
        return made

    async def close(self):
        for made in self.all:
            exceeded = made.exceeded_memory
            await made.__aexit__(None, None, None)
            assert not exceeded, "the kernel ended an operator because of its memory"


@pytest_asyncio.fixture(loop_scope="session")
async def run_operator(operators_kubeconfig, environment):
    """Starts operators with settings of their own on the real API server."""
    made = Starter(operators_kubeconfig, environment)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def embedded():
    """The embedded API with our resource: for what any server can show, and for faults."""
    async with EmbeddedKubernetes() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def small_cluster(embedded):
    async with Cluster(embedded) as made:
        await made.install("crd.yaml")
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def small_operator(embedded, small_cluster, environment, tmp_path):
    """Starts operators on the embedded API."""
    made = Starter(embedded.write_kubeconfig(tmp_path / "kubeconfig"), environment)
    yield made
    await made.close()
