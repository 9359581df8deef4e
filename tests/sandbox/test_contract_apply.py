"""Server-side apply: who owns a field, who may change it, and what goes when nobody says it (KEP-555)."""

from __future__ import annotations

import pytest

from tests.sandbox.contract import APPLY, secret, widget


async def apply(client, path, body, manager="alpha", **query):
    options = "".join(f"&{key}={value}" for key, value in query.items())
    return await client.patch(f"{path}?fieldManager={manager}{options}", body, APPLY)


def owners(body):
    """Manager and operation -> the fields it owns."""
    return {
        (entry["manager"], entry["operation"]): _without_marks(entry["fieldsV1"])
        for entry in body["metadata"].get("managedFields", [])
    }


def _without_marks(fields):
    return {key: _without_marks(value) for key, value in fields.items() if key != "."}


async def test_apply_creates_what_is_missing(client, secrets):
    reply = await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ=="}))
    assert reply.status == 201
    assert reply.body["data"] == {"k": "MQ=="}
    assert owners(reply.body) == {("alpha", "Apply"): {"f:data": {"f:k": {}}}}


async def test_apply_of_the_same_again_changes_nothing(client, secrets, widgets):
    for path, body in ((secrets, secret("a", data={"k": "MQ=="})), (widgets, widget("a", tags={"x": "1"}))):
        first = await apply(client, f"{path}/a", body)
        again = await apply(client, f"{path}/a", body)
        assert again.status == 200
        assert again.body == first.body


async def test_field_that_is_no_longer_applied_goes(client, secrets):
    await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ==", "l": "MQ=="}))
    reply = await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ==", "m": "MQ=="}))
    assert reply.body["data"] == {"k": "MQ==", "m": "MQ=="}
    body = secret("a", data={"k": "MQ=="})
    body["metadata"]["labels"] = {"x": "y"}
    assert (await apply(client, f"{secrets}/a", body)).body["metadata"]["labels"] == {"x": "y"}
    reply = await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ=="}))
    assert "labels" not in reply.body["metadata"]


async def test_field_of_others_is_left_alone(client, secrets):
    await client.make(secrets, secret("a", data={"theirs": "MQ=="}))
    reply = await apply(client, f"{secrets}/a", secret("a", data={"ours": "MQ=="}))
    assert reply.body["data"] == {"theirs": "MQ==", "ours": "MQ=="}
    reply = await apply(client, f"{secrets}/a", secret("a"))
    assert reply.body["data"] == {"theirs": "MQ=="}


async def test_another_value_for_an_owned_field_is_a_conflict(client, secrets):
    await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ==", "l": "MQ=="}))
    reply = await apply(client, f"{secrets}/a", secret("a", data={"k": "Mg=="}), "beta")
    assert (reply.status, reply.reason) == (409, "Conflict")
    assert reply.body["message"] == 'Apply failed with 1 conflict: conflict with "alpha": .data.k'
    assert reply.body["details"]["causes"] == [
        {"field": ".data.k", "reason": "FieldManagerConflict", "message": 'conflict with "alpha"'}
    ]
    reply = await apply(client, f"{secrets}/a", secret("a", data={"k": "Mg==", "l": "Mg=="}), "beta")
    assert reply.body["message"] == ('Apply failed with 2 conflicts: conflicts with "alpha":\n- .data.k\n- .data.l')


async def test_field_of_an_update_conflicts_too(client, secrets):
    await client.make(secrets, secret("a", data={"k": "MQ=="}))
    reply = await apply(client, f"{secrets}/a", secret("a", data={"k": "Mg=="}))
    assert (reply.status, reply.causes()) == (409, {(".data.k", "FieldManagerConflict")})
    assert " using v1" in reply.body["message"]


async def test_same_value_is_shared_and_stays_until_its_last_owner_drops_it(client, secrets):
    await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ=="}))
    reply = await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ=="}), "beta")
    assert reply.status == 200
    assert set(owners(reply.body)) == {("alpha", "Apply"), ("beta", "Apply")}
    reply = await apply(client, f"{secrets}/a", secret("a"))
    assert reply.body["data"] == {"k": "MQ=="}
    reply = await apply(client, f"{secrets}/a", secret("a"), "beta")
    assert "data" not in reply.body


async def test_force_takes_the_field(client, secrets):
    await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ=="}))
    reply = await apply(client, f"{secrets}/a", secret("a", data={"k": "Mg=="}), "beta", force="true")
    assert reply.status == 200
    assert reply.body["data"] == {"k": "Mg=="}
    assert owners(reply.body) == {("beta", "Apply"): {"f:data": {"f:k": {}}}}


async def test_update_takes_the_fields_that_it_changes(client, widgets):
    await apply(client, f"{widgets}/a", widget("a", tags={"x": "1"}))
    reply = await client.patch(f"{widgets}/a?fieldManager=upd", {"spec": {"size": 2}})
    assert owners(reply.body) == {
        ("alpha", "Apply"): {"f:spec": {"f:tags": {"f:x": {}}}},
        ("upd", "Update"): {"f:spec": {"f:size": {}}},
    }
    reply = await apply(client, f"{widgets}/a", widget("a", tags={"x": "1"}))
    assert (reply.status, reply.causes()) == (409, {(".spec.size", "FieldManagerConflict")})


async def test_field_that_an_update_removed_is_nobodys(client, secrets):
    await apply(client, f"{secrets}/a", secret("a", data={"k": "MQ=="}))
    reply = await client.patch(f"{secrets}/a", {"data": {"k": None}})
    assert "managedFields" not in reply.body["metadata"]
    assert (await apply(client, f"{secrets}/a", secret("a", data={"k": "Mg=="}))).status == 200


async def test_list_without_keys_is_one_field(client, widgets):
    await apply(client, f"{widgets}/a", widget("a", names=["a", "b"]))
    other = {**widget("a"), "spec": {"names": ["a"]}}
    reply = await apply(client, f"{widgets}/a", other, "beta")
    assert (reply.status, reply.causes()) == (409, {(".spec.names", "FieldManagerConflict")})


async def test_generation_counts_applied_changes_of_the_spec(client, widgets):
    reply = await apply(client, f"{widgets}/a", widget("a"))
    assert reply.body["metadata"]["generation"] == 1
    body = widget("a")
    body["metadata"]["labels"] = {"x": "y"}
    assert (await apply(client, f"{widgets}/a", body)).body["metadata"]["generation"] == 1
    reply = await apply(client, f"{widgets}/a", widget("a", size=2))
    assert reply.body["metadata"]["generation"] == 2


async def test_status_can_be_applied(client, widgets):
    await client.make(widgets, widget("a"))
    body = {**widget("a"), "status": {"phase": "on"}}
    del body["spec"]
    reply = await apply(client, f"{widgets}/a/status", body)
    assert reply.status == 200
    assert reply.body["status"] == {"phase": "on"}
    assert owners(reply.body)["alpha", "Apply"] == {"f:status": {"f:phase": {}}}
    assert (await apply(client, f"{widgets}/none/status", {**body, "metadata": {"name": "none"}})).status == 404


@pytest.mark.parametrize("spec", [{"size": "x"}, {"parts": [[1]]}, {"parts": [{"name": "p"}, {"name": "p"}]}])
async def test_apply_is_validated(client, widgets, spec):
    await apply(client, f"{widgets}/a", widget("a", parts=[{"name": "p", "value": "1"}]))
    assert (await apply(client, f"{widgets}/a", widget("a", **spec))).status >= 400


async def test_apply_of_an_unknown_field_of_a_built_in_kind_fails(client, secrets):
    reply = await apply(client, f"{secrets}/a", secret("a", bogus=1))
    assert reply.status == 500
    assert "failed to create typed patch object" in reply.body["message"]


async def test_apply_needs_a_manager(client, secrets):
    reply = await client.patch(f"{secrets}/a", secret("a"), APPLY)
    assert (reply.status, reply.causes()) == (422, {("fieldManager", "FieldValueRequired")})


async def test_apply_takes_no_managed_fields(client, secrets):
    body = secret("a")
    body["metadata"]["managedFields"] = [{"manager": "x"}]
    await client.make(secrets, secret("a"))
    assert (await apply(client, f"{secrets}/a", body)).status == 400


async def test_apply_needs_a_version_and_the_right_name(client, secrets):
    nameless = {"apiVersion": "v1", "kind": "Secret"}
    for body in ({"metadata": {"name": "a"}}, nameless, secret("b")):
        assert (await apply(client, f"{secrets}/a", body)).status == 400
    await client.make(secrets, secret("a"))
    assert (await apply(client, f"{secrets}/a", nameless)).status == 200


async def test_apply_with_an_old_version_is_a_conflict(client, secrets):
    made = await client.make(secrets, secret("a"))
    await client.patch(f"{secrets}/a", {"data": {"k": "MQ=="}})
    body = secret("a")
    body["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    reply = await apply(client, f"{secrets}/a", body)
    assert (reply.status, reply.reason) == (409, "Conflict")


async def test_apply_takes_yaml(client, secrets):
    text = b"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {k: v}\n"
    reply = await client.request("PATCH", f"{secrets}/a?fieldManager=alpha", text, APPLY)
    assert reply.status == 201
    assert reply.body["data"] == {"k": "dg=="}
    reply = await client.request("PATCH", f"{secrets}/a?fieldManager=alpha", b"{a: [", APPLY)
    assert (reply.status, reply.reason) == (400, "BadRequest")


async def test_apply_in_a_missing_namespace_is_404(client):
    reply = await apply(client, "/api/v1/namespaces/nowhere/secrets/a", secret("a"))
    assert (reply.status, reply.reason) == (404, "NotFound")


async def test_list_with_keys_is_owned_item_by_item(client, widgets):
    async def apply_parts(manager, *parts):
        body = widget("a", parts=list(parts))
        if manager != "alpha":
            del body["spec"]["size"]
        return await apply(client, f"{widgets}/a", body, manager)

    p, q, r = ({"name": name, "value": "1"} for name in "pqr")
    await apply_parts("alpha", p, q)
    assert (await apply_parts("beta", r)).body["spec"]["parts"] == [p, q, r]
    reply = await apply_parts("beta", {**p, "value": "2"}, r)
    assert (reply.status, reply.causes()) == (409, {('.spec.parts[name="p"].value', "FieldManagerConflict")})
    assert (await apply_parts("alpha", p)).body["spec"]["parts"] == [p, r]
    assert (await apply_parts("alpha")).body["spec"]["parts"] == [r]
