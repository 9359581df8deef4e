"""Writes of a Secret and a status, and errors of the API."""

from __future__ import annotations

from base64 import b64encode

import pytest

from sandbox.kubeapi.patches import merge_patch
from secretsyncer.errors import KubeError, Reason, Rejected, SyncFailure, Unavailable
from secretsyncer.kube.objects import Key, unpacked
from secretsyncer.kube.resources import SECRETS, SYNCED_SECRETS
from secretsyncer.sync.apply import TRIES, Writer, Written
from secretsyncer.sync.holders import Holders
from secretsyncer.sync.observed import synced_secret_view
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.releases import Releases
from secretsyncer.sync.stubs import stub_of_object
from tests.support.builders import damping, kube_secret, parsed, synced_secret
from tests.support.core import KEY
from tests.support.memory_cluster import MemoryCluster
from tests.support.specs import literal

CANARY = "c4n4ry-v4lu3"
SYNCED = parsed(literal("a", "1"))


@pytest.fixture(params=[False, True], ids=["kept", "stubs"])
async def cluster(request):
    return MemoryCluster(latency=0, lag=0, stubs=request.param)


@pytest.fixture
def releases(cluster):
    return Releases(cluster, cluster.stores, Owners(), Holders(), damping(), may_write=lambda: True)


@pytest.fixture
def writer(cluster):
    return Writer(cluster, cluster.stores, damping(), adopt=True, may_write=lambda: True)


def held(cluster: MemoryCluster) -> dict[str, str]:
    return cluster.secret(KEY)["data"]


def encoded(**data: str) -> dict[str, str]:
    return {key: b64encode(value.encode()).decode() for key, value in data.items()}


async def test_a_secret_is_created_updated_and_then_left_alone(writer, cluster):
    for data, action in (
        ({"a": b"1", "b": b"2"}, "created with keys a, b"),
        ({"a": b"1", "c": b"3"}, "updated: keys b, c"),
        ({"a": b"1", "c": b"3"}, ""),
    ):
        written = await writer.write_secret(SYNCED, data)
        assert written == Written(cluster.secret(KEY)["metadata"]["resourceVersion"], action)
    assert held(cluster) == encoded(a="1", c="3")
    assert [verb for verb, _, _ in cluster.writes] == ["create", "patch"]


OWNING = parsed(literal("a", "1"), deletionPolicy="Delete")
IMMUTABLE = parsed(literal("a", "1"), deletionPolicy="Delete", immutable=True, recreateOnTypeChange=True)
ORPHANED = {"metadata": {"ownerReferences": None}}
"""What the garbage collector patches for `--cascade=orphan`."""


@pytest.mark.parametrize("gone", ["deleting", "gone", "recreated"])
@pytest.mark.parametrize(("owning", "data"), [(OWNING, {"a": b"1"}), (IMMUTABLE, {"a": b"2"})])
async def test_a_secret_that_its_deleted_object_leaves_gets_no_owner_that_it_would_go_with(
    writer, cluster, obj, owning, data, gone
):
    await writer.write_secret(owning, {"a": b"1"})
    assert cluster.secret(KEY)["metadata"]["ownerReferences"]
    cluster.edit(SECRETS, KEY, ORPHANED)
    cluster.lag = 3600  # the watch of the objects is behind
    if gone == "deleting":
        cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    else:
        cluster.remove(SYNCED_SECRETS, KEY)
    if gone == "recreated":
        cluster.put(synced_secret(literal("a", "1"), uid="another"))
    before = cluster.secret(KEY)
    assert await writer.write_secret(owning, data) is None
    assert cluster.secret(KEY) == before


@pytest.mark.parametrize(
    "item",
    [
        {"metadata": {"name": "another", "namespace": "team", "uid": "uid-1"}},
        {"metadata": {"name": "demo", "namespace": "other", "uid": "uid-1"}},
        {"metadata": None},
        {"metadata": "x"},
        {},
    ],
)
async def test_an_answer_about_another_object_does_not_say_that_this_one_is_gone(writer, cluster, obj, item):
    await writer.write_secret(OWNING, {"a": b"1"})
    cluster.edit(SECRETS, KEY, ORPHANED)

    async def wrong(*_, **__):
        return {"kind": "SyncedSecretList", "metadata": {"resourceVersion": "1"}, "items": [item]}

    cluster.list = wrong
    with pytest.raises(Unavailable, match="SyncedSecret team/demo:"):
        await writer.write_secret(OWNING, {"a": b"1"})


async def test_an_owner_reference_that_somebody_removes_comes_back(writer, cluster, obj):
    await writer.write_secret(OWNING, {"a": b"1"})
    owners = cluster.secret(KEY)["metadata"]["ownerReferences"]
    cluster.edit(SECRETS, KEY, ORPHANED)
    assert (await writer.write_secret(OWNING, {"a": b"1"})).action == "updated: labels or annotations"
    assert cluster.secret(KEY)["metadata"]["ownerReferences"] == owners


async def test_a_change_of_labels_alone_is_reported_as_such(writer):
    await writer.write_secret(SYNCED, {"a": b"1"})
    labelled = parsed(literal("a", "1"), secretMetadata={"labels": {"team": "web"}})
    assert (await writer.write_secret(labelled, {"a": b"1"})).action == "updated: labels or annotations"


@pytest.mark.parametrize(
    ("data", "action"),
    [
        ({}, "created with no keys"),
        ({"a": b"1"}, "created with key a"),
        (
            {f"k{n:02}": b"" for n in range(11)},
            "created with keys k00, k01, k02, k03, k04, k05, k06, k07, k08, k09, …",
        ),
    ],
)
async def test_an_action_names_ten_keys_at_most(writer, data, action):
    assert (await writer.write_secret(SYNCED, data)).action == action


async def test_the_store_shows_a_write_before_the_watch_does(writer, cluster):
    cluster.lag = 3600
    await writer.write_secret(SYNCED, {"a": b"1"})
    assert cluster.stores.secrets.get(KEY)["metadata"] == {
        **cluster.stores.secrets.get(KEY)["metadata"],
        "resourceVersion": cluster.secret(KEY)["metadata"]["resourceVersion"],
    }
    assert (await writer.write_secret(SYNCED, {"a": b"1"})).action == ""


async def test_an_immutable_secret_is_deleted_and_created_where_the_spec_permits(writer, cluster):
    frozen = parsed(literal("a", "1"), immutable=True, recreateOnTypeChange=True)
    await writer.write_secret(frozen, {"a": b"1"})
    written = await writer.write_secret(frozen, {"a": b"2"})
    assert written.action == "created with key a"
    assert held(cluster) == encoded(a="2")
    assert [verb for verb, _, _ in cluster.writes] == ["create", "delete", "create"]


async def test_the_successor_of_a_secret_keeps_long_annotations_of_others(writer, cluster):
    frozen = parsed(literal("a", "1"), immutable=True, recreateOnTypeChange=True)
    await writer.write_secret(frozen, {"a": b"1"})
    cluster.edit(SECRETS, KEY, {"metadata": {"annotations": {"theirs": "x" * 5000}}})
    await writer.write_secret(frozen, {"a": b"2"})
    assert held(cluster) == encoded(a="2")
    assert cluster.secret(KEY)["metadata"]["annotations"]["theirs"] == "x" * 5000


async def test_an_immutable_secret_stays_if_its_successor_would_be_refused(writer, cluster):
    frozen = parsed(literal("a", "1"), immutable=True, recreateOnTypeChange=True)
    await writer.write_secret(frozen, {"a": b"1"})
    cluster.refuse = lambda verb, *_: KubeError(403, "Forbidden", "no") if verb == "dry run" else None
    with pytest.raises(Unavailable):
        await writer.write_secret(frozen, {"a": b"2"})
    assert held(cluster) == encoded(a="1")


async def test_a_secret_recreated_by_somebody_else_is_not_deleted_in_place_of_the_old_one(writer, cluster):
    frozen = parsed(literal("a", "1"), immutable=True, recreateOnTypeChange=True)
    await writer.write_secret(frozen, {"a": b"1"})
    cluster.lag = 3600
    cluster.remove(SECRETS, KEY)
    cluster.put({**kube_secret({"x": "theirs"}), "metadata": {**kube_secret({})["metadata"], "uid": "theirs"}})
    assert (await writer.write_secret(frozen, {"a": b"2"})).action.startswith("updated")
    assert cluster.secret(KEY)["metadata"]["uid"] == "theirs"


# What the store does not know


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(lambda c: c.put(kube_secret({"a": "theirs"}, ours=False)), id="created"),
        pytest.param(lambda c: c.edit(SECRETS, KEY, {"data": encoded(b="theirs")}), id="edited"),
        pytest.param(lambda c: c.remove(SECRETS, KEY), id="deleted"),
    ],
)
async def test_a_secret_that_others_change_meanwhile_is_read_again_and_corrected(writer, cluster, before, request):
    if "created" not in request.node.name:
        await writer.write_secret(SYNCED, {"a": b"0"})
    cluster.lag = 3600
    before(cluster)
    await writer.write_secret(SYNCED, {"a": b"1"})
    assert held(cluster) == encoded(a="1")


async def test_a_secret_that_changes_at_each_try_is_left_for_a_retry(writer, cluster):
    await writer.write_secret(SYNCED, {"a": b"0"})
    tries = []

    def refuse(verb, plural, key):
        tries.append(verb)
        return KubeError(409, "Conflict", "modified")

    cluster.refuse = refuse
    with pytest.raises(Unavailable, match="modified concurrently"):
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert tries == ["patch"] * TRIES
    assert held(cluster) == encoded(a="0")


async def test_an_error_while_reading_again_is_the_failure(writer, cluster, monkeypatch):
    await writer.write_secret(SYNCED, {"a": b"0"})
    cluster.refuse = lambda *_: KubeError(409, "Conflict", "modified")

    async def get(*_):
        raise KubeError(403, "Forbidden", "no get for you")

    monkeypatch.setattr(cluster, "get", get)
    with pytest.raises(Unavailable, match=r"team/demo: .*no get for you"):
        await writer.write_secret(SYNCED, {"a": b"1"})


async def test_a_namespace_that_is_gone_is_no_reason_to_create_again_and_again(writer, cluster):
    tries = []

    def refuse(verb, plural, key):
        tries.append(verb)
        return KubeError(404, "NotFound", "namespaces team not found")

    cluster.refuse = refuse
    with pytest.raises(Unavailable, match="namespaces team not found"):
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert tries == ["create"]


# What the API's errors become


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (KubeError(0, "", "no connection"), Unavailable, Reason.KUBERNETES_ERROR),
        (KubeError(403, "Forbidden", "no"), Unavailable, Reason.KUBERNETES_ERROR),
        (KubeError(429, "TooManyRequests", "later"), Unavailable, Reason.KUBERNETES_ERROR),
        (KubeError(500, "InternalError", "oops"), Unavailable, Reason.KUBERNETES_ERROR),
        (KubeError(400, "BadRequest", "what?"), Rejected, Reason.INVALID_SPEC),
        (KubeError(413, "TooLarge", "too large"), Rejected, Reason.INVALID_SPEC),
        (KubeError(422, "Invalid", "metadata.labels: too long"), Rejected, Reason.INVALID_SPEC),
        (KubeError(422, "Invalid", "type: field is immutable"), Rejected, Reason.CONFLICT),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
async def test_an_error_of_the_api_is_retried_or_waits_for_a_change(writer, cluster, error, kind, reason):
    cluster.refuse = lambda *_: error
    with pytest.raises(SyncFailure) as raised:
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert (type(raised.value), raised.value.reason) == (kind, reason)
    assert raised.value.message.startswith(f"Secret team/demo: the Kubernetes API says {error.status or 'nothing'}")


async def test_a_retry_waits_as_long_as_the_api_asks(writer, cluster):
    cluster.refuse = lambda *_: KubeError(429, "TooManyRequests", "later", retry_after=7.0)
    with pytest.raises(Unavailable) as raised:
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert raised.value.retry_after == 7.0


async def test_the_object_that_the_api_quotes_is_cut_off(writer, cluster):
    cluster.refuse = lambda *_: KubeError(422, "Invalid", f'data: Invalid value: "{CANARY}": wrong')
    with pytest.raises(Rejected) as raised:
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert raised.value.message.endswith("data: Invalid value")


# The status


PATCH = {"status": {"currentVersionID": "v1"}}


@pytest.fixture
def obj(cluster):
    cluster.put(synced_secret(literal("a", "1")))
    return cluster.stores.objects.get(KEY)


async def test_a_status_is_written_and_seen_at_once(writer, cluster, obj):
    cluster.lag = 3600
    await writer.write_status(obj, PATCH)
    assert cluster.synced_secret(KEY)["status"] == PATCH["status"]
    assert unpacked(cluster.stores.objects.get(KEY)["status"]) == PATCH["status"]


async def test_the_status_of_an_object_that_is_gone_or_recreated_is_left_alone(writer, cluster, obj):
    cluster.remove(SYNCED_SECRETS, KEY)
    await writer.write_status(obj, PATCH)
    cluster.put(synced_secret(literal("a", "1"), uid="another"))
    await writer.write_status(obj, PATCH)
    assert cluster.writes == []
    assert "status" not in cluster.synced_secret(KEY)


@pytest.mark.parametrize(
    ("error", "patch"),
    [
        (KubeError(404, "NotFound", "gone"), PATCH),
        (KubeError(409, "Conflict", "modified"), {**PATCH, "metadata": {"resourceVersion": "1"}}),
    ],
)
async def test_a_status_of_an_object_that_is_deleted_or_edited_meanwhile_is_not_a_failure(
    writer, cluster, obj, error, patch
):
    cluster.refuse = lambda *_: error
    assert await writer.write_status(obj, patch) is None
    assert cluster.stores.objects.get(KEY) == obj


@pytest.mark.parametrize(("status", "reason"), [(500, "InternalError"), (409, "Conflict")])
async def test_a_status_that_the_api_refuses_is_a_failure(writer, cluster, obj, status, reason):
    cluster.refuse = lambda *_: KubeError(status, reason, "oops")
    with pytest.raises(Unavailable, match=f"^its status: the Kubernetes API says {status} {reason}: oops"):
        await writer.write_status(obj, PATCH)


# The lease


async def test_a_process_that_may_not_write_writes_nothing(cluster, obj):
    writer = Writer(cluster, cluster.stores, damping(), adopt=True, may_write=lambda: False)
    cluster.put(kube_secret({"a": "0"}, name="there"))
    for action in (
        writer.write_secret(SYNCED, {"a": b"1"}),
        writer.write_secret(parsed(literal("a", "1"), name="there"), {"a": b"1"}),
        writer.write_status(obj, PATCH),
    ):
        with pytest.raises(Unavailable, match="does not hold the lease"):
            await action
    assert cluster.writes == []
    assert (await writer.write_secret(parsed(literal("a", "1"), name="there"), {"a": b"0"})).action == ""


async def test_without_adopt_a_secret_of_others_stays_as_it_is(cluster):
    writer = Writer(cluster, cluster.stores, damping(), adopt=False, may_write=lambda: True)
    cluster.put(kube_secret({"a": "theirs"}, ours=False))
    with pytest.raises(Rejected) as raised:
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert raised.value.reason == Reason.CONFLICT
    assert held(cluster) == encoded(a="theirs")
    assert cluster.stores.secrets.get(Key("team", "demo")) is None


# A Secret that the object named before

OTHER = Key("team", "other")


@pytest.fixture
def left(cluster):
    """A Secret that the object owned, and names no longer."""

    def make(**changes):
        secret = kube_secret({"a": "1"})
        owner = {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret", "name": "demo", "uid": "uid-1"}
        secret["metadata"] |= {"name": OTHER.name, "ownerReferences": [owner], **changes}
        return cluster.put(secret)

    return make


async def test_it_is_deleted_with_deletion_policy_delete(releases, cluster, left):
    left()
    await releases.leave(parsed(literal("a", "1"), deletionPolicy="Delete"), [OTHER])
    assert cluster.secret(OTHER) is None


async def test_otherwise_it_stays_without_the_owner(releases, cluster, left):
    left()
    await releases.leave(SYNCED, [OTHER])
    assert cluster.secret(OTHER)["data"] == encoded(a="1")
    assert cluster.secret(OTHER)["metadata"]["ownerReferences"] == []


@pytest.mark.parametrize("changes", [{"labels": {}}, {"ownerReferences": []}])
async def test_what_is_not_ours_is_left_alone(releases, cluster, left, changes):
    left(**changes)
    await releases.leave(parsed(literal("a", "1"), deletionPolicy="Delete"), [OTHER])
    assert cluster.secret(OTHER)["data"] == encoded(a="1")
    assert cluster.writes == []


async def test_one_that_is_gone_is_no_failure_and_a_refusal_is(releases, cluster, left):
    await releases.leave(SYNCED, [OTHER])
    left()
    cluster.refuse = lambda *_: KubeError(404, "NotFound", "gone")
    await releases.leave(SYNCED, [OTHER])
    cluster.refuse = lambda *_: KubeError(500, "InternalError", "oops")
    with pytest.raises(Unavailable, match="oops"):
        await releases.leave(SYNCED, [OTHER])


# What the API server does with a write


async def test_a_label_that_admission_removes_is_a_conflict_with_that_reason(writer, cluster):
    create = cluster.create

    async def mutated(resource, namespace, body, *, dry_run=False):
        labels = {**body["metadata"]["labels"], "secrets.contentful.com/managed": "policy"}
        changed = {**body, "metadata": {**body["metadata"], "labels": labels}}
        return await create(resource, namespace, changed, dry_run=dry_run)

    cluster.create = mutated
    with pytest.raises(Rejected, match=r"without the label secrets\.contentful\.com/managed") as caught:
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert caught.value.reason is Reason.CONFLICT


async def test_a_refusal_that_quotes_the_secret_shows_no_value(writer, cluster):
    quoted = encoded(a=CANARY)["a"]
    cluster.refuse = lambda *_: KubeError(
        422, "Invalid", f"policy 'p' denied the request: data.a={quoted} {CANARY}"
    )
    with pytest.raises(Rejected) as caught:
        await writer.write_secret(SYNCED, {"a": CANARY.encode()})
    assert caught.value.reason is Reason.ADMISSION_DENIED
    assert "policy 'p' denied the request" in caught.value.message
    assert CANARY not in caught.value.message
    assert quoted not in caught.value.message


async def test_a_webhook_that_refuses_with_the_status_of_a_race_is_not_asked_again(writer, cluster):
    tries = []

    def refuse(verb, plural, key):
        tries.append(verb)
        return KubeError(409, "Conflict", 'admission webhook "w" denied the request: no')

    cluster.refuse = refuse
    with pytest.raises(Rejected) as caught:
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert caught.value.reason is Reason.ADMISSION_DENIED
    assert tries == ["create"]


@pytest.mark.parametrize("cluster", [False], ids=["kept"], indirect=True)  # a stub is read before
@pytest.mark.parametrize("error", [KubeError(403, "Forbidden", "no"), KubeError(0, "", "no connection")])
async def test_a_refusal_is_withheld_if_the_values_that_it_may_quote_are_not_known(writer, cluster, error):
    await writer.write_secret(SYNCED, {"a": CANARY.encode()})
    cluster.refuse = lambda *_: KubeError(403, "Forbidden", f"policy 'p' denied request: {CANARY}")

    async def unreadable(*_):
        raise error

    cluster.get = unreadable
    with pytest.raises(Unavailable, match="its message is withheld") as caught:
        await writer.write_secret(SYNCED, {"a": b"1"})
    assert CANARY not in caught.value.message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"data": {"added": "eA=="}}, "its key added"),
        ({"data": {"a": "eA==", "b": None}}, "its keys a, b"),
        ({"metadata": {"labels": {"team": "policy"}}}, "its labels, annotations or owner references"),
    ],
)
async def test_what_admission_changes_of_a_write_is_a_conflict_that_names_it(writer, cluster, change, named):
    create = cluster.create

    async def mutated(resource, namespace, body, *, dry_run=False):
        return await create(resource, namespace, merge_patch(body, change), dry_run=dry_run)

    cluster.create = mutated
    synced = parsed(literal("a", "1"), secretMetadata={"labels": {"team": "payments"}})
    with pytest.raises(Rejected, match=named) as caught:
        await writer.write_secret(synced, {"a": b"1", "b": b"2"})
    assert caught.value.reason is Reason.CONFLICT


async def test_what_admission_adds_for_others_is_no_conflict(writer, cluster):
    create = cluster.create

    async def mutated(resource, namespace, body, *, dry_run=False):
        change = {"metadata": {"labels": {"cost": "1"}, "annotations": {"seen": "1"}}, "immutable": True}
        return await create(resource, namespace, merge_patch(body, change), dry_run=dry_run)

    cluster.create = mutated
    assert (await writer.write_secret(SYNCED, {"a": b"1"})).action == "created with key a"
    assert (await writer.write_secret(SYNCED, {"a": b"1"})).action == ""


async def test_an_older_definition_of_the_resource_is_logged_once(writer, cluster, caplog):
    patch = cluster.merge_patch

    async def pruned(resource, namespace, name, body, *, subresource=None):
        status = {key: value for key, value in body["status"].items() if key != "sources"}
        return await patch(resource, namespace, name, {"status": status}, subresource=subresource)

    cluster.merge_patch = pruned
    obj = cluster.put(synced_secret(literal("a", "1")))
    for number in range(2):
        assert await writer.write_status(obj, {"status": {"currentVersionID": str(number), "sources": []}})
    (record,) = [r for r in caplog.records if r.message.startswith("status fields dropped")]
    assert record.error == "missing: sources"


# What is not kept


async def test_the_whole_object_is_read_if_only_its_stub_is_kept(writer, cluster):
    obj = synced_secret_view(cluster.put(synced_secret(literal("a", "1"))))
    assert await writer.whole(obj) is obj
    assert await writer.whole(stub_of_object(obj)) == obj


async def test_the_whole_of_an_object_that_is_gone_or_recreated_is_none(writer, cluster):
    stub = stub_of_object(synced_secret_view(cluster.put(synced_secret(literal("a", "1")))))
    cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"deletionTimestamp": "now"}})
    assert await writer.whole(stub) is None
    cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"deletionTimestamp": None, "uid": "another"}})
    assert await writer.whole(stub) is None
    cluster.remove(SYNCED_SECRETS, KEY)
    assert await writer.whole(stub) is None


async def test_an_object_that_cannot_be_read_is_tried_again(writer, cluster):
    stub = stub_of_object(synced_secret_view(cluster.put(synced_secret(literal("a", "1")))))

    async def unreadable(*_, **__):
        raise KubeError(500, "", "no")

    cluster.list = unreadable
    with pytest.raises(Unavailable, match="SyncedSecret team/demo"):
        await writer.whole(stub)
