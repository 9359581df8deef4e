"""What the admission policies of a real API server make of the operator's writes."""

from __future__ import annotations

import base64
import uuid

import pytest

from sandbox.kubernetes_client import path_of
from secretsyncer.errors import Reason, Rejected
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.holders import Holders
from secretsyncer.sync.observed import summarise
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.releases import Releases
from secretsyncer.sync.stores import Stores
from tests.support import cluster
from tests.support.builders import damping, parsed
from tests.support.eventually import eventually
from tests.support.specs import literal

pytestmark = pytest.mark.real

OLD, NEW = "purple-elephant-42", "granite-waterfall-77"
PROBE = "probe"


class Shown(dict):
    """An informer's store that shows the last answer to a write."""

    def remember(self, obj):
        self[obj["metadata"]["namespace"], obj["metadata"]["name"]] = summarise(obj)


class Policies:
    """Admission policies for the Secrets of one namespace."""

    def __init__(self, admin, space):
        self._admin = admin
        self._space = space
        self._made = []

    async def deny(self, message, *operations, **validation):
        """Refuse them with what the expression `message` gives."""
        validations = [{"expression": "false", "messageExpression": message, **validation}]
        await self._make("Validating", operations, {"validations": validations}, {"validationActions": ["Deny"]})

        async def refuses():
            answer = await self._attempt(operations[0])
            assert "denied request" in str(answer.body), answer

        await eventually(refuses)

    async def mutate(self, expression):
        """Change what is written by this expression of an ApplyConfiguration."""
        mutations = [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]
        fields = {"mutations": mutations, "reinvocationPolicy": "Never"}
        before = (await self._attempt("UPDATE")).body
        await self._make("Mutating", ("CREATE", "UPDATE"), fields, {})

        async def changes():
            after = (await self._attempt("UPDATE")).body
            assert [after.get(part) for part in ("data", "immutable")] != [
                before.get(part) for part in ("data", "immutable")
            ]

        await eventually(changes)

    async def _make(self, kind, operations, fields, binding):
        name = f"p-{uuid.uuid4().hex[:8]}"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": list(operations)}
        labels = {"kubernetes.io/metadata.name": self._space.name}
        match = {"resourceRules": [rule], "namespaceSelector": {"matchLabels": labels}}
        version = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
        policy = f"{kind}AdmissionPolicy"
        await self._admin.create({**version, "kind": policy, "spec": {"matchConstraints": match, **fields}})
        self._made.append((policy, name))
        spec = {"policyName": name, **binding}
        await self._admin.create({**version, "kind": f"{policy}Binding", "spec": spec})
        self._made.append((f"{policy}Binding", name))

    async def _attempt(self, operation):
        """A write of a Secret that nobody wants, without a trace."""
        method = {"CREATE": "POST", "UPDATE": "PUT", "DELETE": "DELETE"}[operation]
        name = [] if operation == "CREATE" else [PROBE]
        path = path_of("Secret", self._space.name, *name)
        metadata = {"name": f"{PROBE}-2" if operation == "CREATE" else PROBE}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"a": "YQ=="}}
        return await self._admin.request(method, f"{path}?dryRun=All", None if operation == "DELETE" else body)

    async def close(self):
        for kind, name in reversed(self._made):
            await self._admin.delete(kind, "", name)


@pytest.fixture
def server(real_server):
    return real_server


@pytest.fixture
async def space(admin, namespace):
    made = cluster.Space(admin, namespace)
    metadata = {"name": PROBE, "namespace": namespace}
    await admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"a": "YQ=="}})
    return made


@pytest.fixture
async def policies(admin, space):
    made = Policies(admin, space)
    yield made
    await made.close()


@pytest.fixture
def writer(client):
    return Writer(client, Stores({}, None, Shown()), damping(), adopt=True, may_write=lambda: True)


def spec(space, **fields):
    return parsed(literal("a", "1"), namespace=space.name, **fields)


async def refusal(work):
    with pytest.raises(Rejected) as caught:
        await work
    return caught.value


def shows(text, value):
    encoded = base64.b64encode(value.encode()).decode()
    return any(form in text for form in (value, encoded, encoded[:12], encoded[-12:]))


@pytest.mark.parametrize("reason", ["Forbidden", "Invalid", "RequestEntityTooLarge"])
async def test_a_policy_is_named_whatever_status_it_chose(writer, space, policies, reason):
    await policies.deny("'no Secrets here, immutable'", "CREATE", reason=reason)
    failure = await refusal(writer.write_secret(spec(space), {"a": b"1"}))
    assert failure.reason is Reason.ADMISSION_DENIED
    assert "ValidatingAdmissionPolicy 'p-" in failure.message
    assert "no Secrets here" in failure.message


@pytest.mark.parametrize(
    ("operation", "quoted"), [("UPDATE", "object"), ("UPDATE", "oldObject"), ("DELETE", "oldObject")]
)
async def test_a_policy_that_quotes_the_secret_shows_no_value_of_it(writer, space, policies, operation, quoted):
    await writer.write_secret(spec(space, immutable=operation == "DELETE"), {"a": OLD.encode()})
    await policies.deny(f"'no: ' + string({quoted}.data['a'])", operation)
    failure = await refusal(writer.write_secret(spec(space, recreateOnTypeChange=True), {"a": NEW.encode()}))
    assert failure.reason is Reason.ADMISSION_DENIED
    assert "no: " in failure.message
    assert not shows(failure.message, OLD)
    assert not shows(failure.message, NEW)
    assert await space.data("demo") == {"a": OLD.encode()}


async def test_a_former_target_that_may_not_be_deleted_shows_no_value(writer, client, space, policies):
    synced = spec(space, deletionPolicy="Delete")
    # First: the owner of the Secret does not exist, so the garbage collector would delete it.
    await policies.deny("'no: ' + string(oldObject.data['a'])", "DELETE")
    await writer.write_secret(synced, {"a": OLD.encode()})
    releases = Releases(
        client, Stores({}, None, writer._secrets), Owners(), Holders(), damping(), may_write=lambda: True
    )
    failure = await refusal(releases.leave(synced, [synced.secret]))
    assert failure.reason is Reason.ADMISSION_DENIED
    assert not shows(failure.message, OLD)


async def test_data_that_a_policy_changes_is_a_conflict_that_names_the_key(writer, admin, space, policies):
    if (await admin.request("GET", path_of("MutatingAdmissionPolicy"))).status == 404:
        pytest.skip("this Kubernetes does not serve MutatingAdmissionPolicy v1")
    await policies.mutate('Object{data: {"added": "eA=="}}')
    failure = await refusal(writer.write_secret(spec(space), {"a": b"1"}))
    assert failure.reason is Reason.CONFLICT
    assert "an admission policy or webhook changes its key added" in failure.message
