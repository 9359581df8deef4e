"""The rules of Secrets, Namespaces, Leases and Events."""

from __future__ import annotations

import base64

import pytest

from tests.sandbox.contract import secret

MIB = 1024 * 1024


async def test_string_data_folds_into_data_and_wins(client, secrets):
    made = await client.make(secrets, secret("a", data={"k": "MQ==", "l": "MQ=="}, stringData={"k": "ü"}))
    assert made["data"] == {"k": base64.b64encode("ü".encode()).decode(), "l": "MQ=="}
    assert "stringData" not in made
    reply = await client.patch(f"{secrets}/a", {"stringData": {"m": "1"}})
    assert reply.body["data"]["m"] == "MQ=="


async def test_type_is_opaque_unless_given(client, secrets):
    assert (await client.make(secrets, secret("a")))["type"] == "Opaque"
    assert (await client.make(secrets, secret("b", type="example.com/x")))["type"] == "example.com/x"


async def test_type_never_changes(client, secrets):
    made = await client.make(secrets, secret("a", type="example.com/x"))
    reply = await client.patch(f"{secrets}/a", {"type": "Opaque"})
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert reply.causes() == {("type", "FieldValueInvalid")}
    assert "field is immutable" in reply.body["message"]
    del made["type"]
    assert (await client.put(f"{secrets}/a", made)).status == 422


async def test_immutable_secret_keeps_its_data_but_not_its_labels(client, secrets):
    await client.make(secrets, secret("a", immutable=True, data={"k": "MQ=="}))
    for patch, field in (
        ({"data": {"k": "Mg=="}}, "data"),
        ({"stringData": {"l": "1"}}, "data"),
        ({"immutable": False}, "immutable"),
    ):
        reply = await client.patch(f"{secrets}/a", patch)
        assert (reply.status, reply.causes()) == (422, {(field, "FieldValueForbidden")})
    assert (await client.patch(f"{secrets}/a", {"metadata": {"labels": {"a": "b"}}})).status == 200
    assert (await client.delete(f"{secrets}/a")).status == 200


@pytest.mark.parametrize("key", ["a b", "a/b", "ä", "..", "a" * 254])
async def test_data_key_has_a_grammar(client, secrets, key):
    reply = await client.post(secrets, secret("a", stringData={key: "v"}))
    assert reply.status == 422
    assert reply.causes() == {(f"data[{key}]", "FieldValueInvalid")}


async def test_data_is_limited_to_one_mebibyte_in_all(client, secrets):
    await client.make(secrets, secret("a", stringData={"k": "v" * (MIB // 2), "l": "v" * (MIB // 2)}))
    reply = await client.post(secrets, secret("b", stringData={"k": "v" * (MIB // 2), "l": "v" * (MIB // 2 + 1)}))
    assert reply.status == 422
    assert reply.causes() == {("data", "FieldValueTooLong")}


@pytest.mark.parametrize("data", [{"k": "not base64"}, {"k": 1}, [1], "text"])
async def test_data_that_cannot_be_decoded_is_a_bad_request(client, secrets, data):
    reply = await client.post(secrets, secret("a", data=data))
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert reply.body["message"].startswith('Secret in version "v1" cannot be handled as a Secret: ')


async def test_null_value_is_an_empty_one(client, secrets):
    assert (await client.make(secrets, secret("a", data={"k": None})))["data"] == {"k": ""}


async def test_empty_data_is_left_out(client, secrets):
    assert "data" not in await client.make(secrets, secret("a", data={}))


async def test_unknown_fields_of_built_in_kinds_are_dropped(client, secrets):
    assert "bogus" not in await client.make(secrets, secret("a", bogus=1))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("kubernetes.io/tls", {"tls.crt": "MQ=="}),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "MQ"}),
        ("kubernetes.io/ssh-auth", {}),
    ],
)
async def test_typed_secrets_need_their_keys(client, secrets, kind, data):
    data = {key: base64.b64encode(b"{").decode() for key in data}
    reply = await client.post(secrets, secret("a", type=kind, data=data))
    assert (reply.status, reply.reason) == (422, "Invalid")


async def test_namespace_is_a_dns_label_and_active(client, namespace):
    reply = await client.post("/api/v1/namespaces", {"metadata": {"name": "a.b"}})
    assert (reply.status, reply.causes()) == (422, {("metadata.name", "FieldValueInvalid")})
    found = (await client.get(f"/api/v1/namespaces/{namespace}")).body
    assert found["status"] == {"phase": "Active"}
    assert found["spec"] == {"finalizers": ["kubernetes"]}


async def test_namespace_annotations_can_be_changed(client, namespace):
    path = f"/api/v1/namespaces/{namespace}"
    reply = await client.patch(path, {"metadata": {"annotations": {"a": "b"}}})
    assert reply.body["metadata"]["annotations"] == {"a": "b"}
    assert reply.body["status"] == {"phase": "Active"}


LEASE = {
    "holderIdentity": "me",
    "leaseDurationSeconds": 15,
    "acquireTime": "2026-01-02T03:04:05.000000Z",
    "renewTime": "2026-01-02T04:04:05.123456+01:00",
    "leaseTransitions": 0,
}


@pytest.fixture
async def lease(client, namespace):
    """The path of a Lease."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    await client.make(path, {"metadata": {"name": "a"}, "spec": LEASE})
    return f"{path}/a"


async def test_lease_times_have_microseconds_and_are_in_utc(client, lease):
    spec = (await client.get(lease)).body["spec"]
    assert spec == {**LEASE, "renewTime": "2026-01-02T03:04:05.123456Z"}


@pytest.mark.parametrize("time", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123Z", "now", 5])
async def test_lease_takes_no_other_times(client, lease, time):
    reply = await client.put(lease, {**(await client.get(lease)).body, "spec": {"renewTime": time}})
    assert (reply.status, reply.reason) == (400, "BadRequest")


@pytest.mark.parametrize(("field", "value"), [("leaseDurationSeconds", 0), ("leaseTransitions", -1)])
async def test_lease_numbers_have_a_range(client, lease, field, value):
    reply = await client.patch(lease, {"spec": {field: value}})
    assert (reply.status, reply.causes()) == (422, {(f"spec.{field}", "FieldValueInvalid")})


async def test_lease_update_needs_its_version(client, lease):
    reply = await client.put(lease, {"metadata": {"name": "a"}, "spec": LEASE})
    assert (reply.status, reply.causes()) == (422, {("metadata.resourceVersion", "FieldValueInvalid")})
    current = (await client.get(lease)).body
    current["spec"]["holderIdentity"] = "other"
    assert (await client.put(lease, current)).status == 200
    assert (await client.put(lease, current)).status == 409


def event(namespace, **fields):
    about = {"kind": "Widget", "namespace": namespace, "name": "w"}
    base = {"metadata": {"name": "a"}, "involvedObject": about, "reason": "R", "message": "M", "type": "Normal"}
    return {**base, **fields}


async def test_event_is_completed_and_kept(client, namespace):
    path = f"/api/v1/namespaces/{namespace}/events"
    times = {"firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:04:05.6Z", "count": 1}
    made = await client.make(path, event(namespace, **times))
    assert made["lastTimestamp"] == "2026-01-02T03:04:05Z"
    assert made["eventTime"] is None
    assert (made["reportingComponent"], made["source"]) == ("", {})
    reply = await client.patch(f"{path}/a", {"count": 2})
    assert reply.body["count"] == 2


async def test_event_is_in_the_namespace_of_its_object(client, namespace):
    path = f"/api/v1/namespaces/{namespace}/events"
    for about in ("default", ""):
        body = event(namespace, involvedObject={"kind": "Widget", "namespace": about})
        reply = await client.post(path, body)
        assert (reply.status, reply.causes()) == (422, {("involvedObject.namespace", "FieldValueInvalid")})


async def test_event_with_an_event_time_says_who_reports(client, namespace):
    path = f"/api/v1/namespaces/{namespace}/events"
    body = event(namespace, eventTime="2026-01-02T03:04:05.000000Z")
    reply = await client.post(path, body)
    assert reply.status == 422
    fields = {field for field, _ in reply.causes()}
    assert fields == {"reportingComponent", "reportingInstance", "action"}
    full = {"reportingComponent": "example.com/x", "reportingInstance": "x-1", "action": "Do"}
    await client.make(path, {**body, **full})


async def test_events_are_found_by_their_object(client, namespace):
    path = f"/api/v1/namespaces/{namespace}/events"
    await client.make(path, event(namespace))
    other = event(namespace, involvedObject={"kind": "Widget", "namespace": namespace, "name": "other"})
    await client.make(path, {**other, "metadata": {"name": "b"}})
    reply = await client.get(f"{path}?fieldSelector=involvedObject.name%3Dw%2CinvolvedObject.kind%3DWidget")
    assert reply.names() == ["a"]
    assert (await client.get(f"{path}?fieldSelector=reason%3DR")).names() == ["a", "b"]
