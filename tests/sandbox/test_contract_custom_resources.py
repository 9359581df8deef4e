"""Custom resources: pruning, defaults, validation, the status subresource, generations, definitions."""

from __future__ import annotations

import pytest

from tests.sandbox.contract import CRDS, answered, crd, define, widget
from tests.support.eventually import eventually

EVERYWHERE = "/apis/contract.example.com/v1/widgets"


async def test_unknown_fields_are_pruned_at_every_depth(client, widgets):
    body = widget("a", bogus=1, parts=[{"name": "p", "bogus": 1}], free={"any": {"thing": [1]}}, tags={"x": "y"})
    made = await client.make(widgets, {**body, "bogus": 1})
    assert "bogus" not in made
    assert made["spec"] == {
        "size": 1,
        "mode": "slow",
        "parts": [{"name": "p"}],
        "free": {"any": {"thing": [1]}},
        "tags": {"x": "y"},
    }


async def test_defaults_are_filled_in(client, widgets):
    assert (await client.make(widgets, widget("a")))["spec"]["mode"] == "slow"
    assert (await client.make(widgets, widget("b", mode="fast")))["spec"]["mode"] == "fast"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"note": None}, {"note": None}),  # nullable
        ({"mode": None}, {"mode": "slow"}),  # gives way to its default
        ({"code": None}, {}),
        ({"tags": {"x": None}}, {"tags": {}}),
    ],
)
async def test_null_stays_only_where_it_is_allowed(client, widgets, given, kept):
    made = await client.make(widgets, widget("a", **given))
    assert made["spec"] == {"size": 1, "mode": "slow", **kept}


@pytest.mark.parametrize(
    ("spec", "field", "reason", "message"),
    [
        ({"size": "x"}, "spec.size", "TypeInvalid", 'spec.size in body must be of type integer: "string"'),
        ({"size": 1.5}, "spec.size", "TypeInvalid", 'spec.size in body must be of type integer: "number"'),
        ({"size": True}, "spec.size", "TypeInvalid", 'spec.size in body must be of type integer: "boolean"'),
        ({}, "spec.size", "Required", "Required value"),
        ({"size": None}, "spec.size", "Required", "Required value"),
        ({"size": 0}, "spec.size", "Invalid", "spec.size in body should be greater than or equal to 1"),
        ({"size": 101}, "spec.size", "Invalid", "spec.size in body should be less than or equal to 100"),
        ({"size": 1, "mode": "x"}, "spec.mode", "NotSupported", 'supported values: "fast", "slow"'),
        ({"size": 1, "code": "AB"}, "spec.code", "Invalid", "spec.code in body should match '^[a-z]+$'"),
        ({"size": 1, "code": "a"}, "spec.code", "Invalid", "should be at least 2 chars long"),
        ({"size": 1, "code": "abcdef"}, "spec.code", "TooLong", "Too long: may not be more than 5 bytes"),
        ({"size": 1, "port": True}, "spec.port", "TypeInvalid", "must be of type integer,string"),
        ({"size": 1, "free": "x"}, "spec.free", "TypeInvalid", 'must be of type object: "string"'),
        ({"size": 1, "tags": {"a": 1}}, "spec.tags.a", "TypeInvalid", 'must be of type string: "integer"'),
        ({"size": 1, "names": list("abcd")}, "spec.names", "TooMany", "Too many: 4: must have at most 3 items"),
        ({"size": 1, "names": [1]}, "spec.names[0]", "TypeInvalid", 'must be of type string: "integer"'),
        ({"size": 1, "parts": [{}]}, "spec.parts[0].name", "Required", "Required value"),
        ({"size": 1, "parts": [{"name": "a"}] * 2}, "spec.parts[1]", "Duplicate", "Duplicate value"),
    ],
)
async def test_validation_errors_name_field_reason_and_rule(client, widgets, spec, field, reason, message):
    reply = await client.post(widgets, {**widget("a"), "spec": spec})
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert reply.body["message"].startswith('Widget.contract.example.com "a" is invalid: ')
    details = reply.body["details"]
    assert (details["name"], details["group"], details["kind"]) == ("a", "contract.example.com", "Widget")
    (cause,) = (cause for cause in details["causes"] if cause["field"] != "<nil>")  # which says 1.5 once more
    assert (cause["field"], cause["reason"]) == (field, f"FieldValue{reason}")
    assert message in cause["message"]


async def test_all_errors_are_reported_at_once(client, widgets):
    reply = await client.post(widgets, widget("a", size="x", mode="y"))
    assert reply.causes() == {("spec.size", "FieldValueTypeInvalid"), ("spec.mode", "FieldValueNotSupported")}
    assert "is invalid: [" in reply.body["message"]


@pytest.mark.parametrize("value", [{}, {"one": "1", "two": "2"}])
async def test_one_of_wants_exactly_one(client, widgets, value):
    reply = await client.post(widgets, widget("a", either=value))
    assert reply.status == 422
    assert "must validate one and only one schema (oneOf)" in reply.body["message"]
    await client.make(widgets, widget("b", either={"one": "1"}))


async def test_whole_numbers_may_be_written_with_a_point(client, widgets):
    made = await client.make(widgets, widget("a", size=2.0))
    assert isinstance(made["spec"]["size"], int)


async def test_create_ignores_the_status(client, widgets):
    made = await client.make(widgets, {**widget("a"), "status": {"phase": "on"}})
    assert "status" not in made


async def test_status_changes_only_through_its_subresource(client, widgets):
    await client.make(widgets, widget("a"))
    reply = await client.patch(f"{widgets}/a", {"status": {"phase": "on"}})
    assert "status" not in reply.body
    reply = await client.patch(f"{widgets}/a/status", {"status": {"phase": "on"}})
    assert reply.body["status"] == {"phase": "on"}
    made = (await client.get(f"{widgets}/a")).body
    reply = await client.put(f"{widgets}/a", {**made, "status": {"phase": "off"}, "spec": {"size": 2}})
    assert reply.body["status"] == {"phase": "on"}
    assert reply.body["spec"]["size"] == 2


async def test_status_subresource_changes_nothing_but_the_status(client, widgets):
    made = await client.make(widgets, widget("a"))
    patch = {"status": {"phase": "on"}, "spec": {"size": 77}, "metadata": {"labels": {"a": "b"}}}
    reply = await client.patch(f"{widgets}/a/status", patch)
    assert reply.status == 200
    assert reply.body["spec"] == made["spec"]
    assert "labels" not in reply.body["metadata"]
    body = {**reply.body, "spec": {"size": 77}, "status": {"phase": "off"}}
    reply = await client.put(f"{widgets}/a/status", body)
    assert (reply.body["spec"], reply.body["status"]) == (made["spec"], {"phase": "off"})
    assert (await client.get(f"{widgets}/a/status")).body == reply.body


async def test_status_is_pruned_and_validated(client, widgets):
    await client.make(widgets, widget("a"))
    reply = await client.patch(f"{widgets}/a/status", {"status": {"phase": "on", "bogus": 1}})
    assert reply.body["status"] == {"phase": "on"}
    reply = await client.patch(f"{widgets}/a/status", {"status": {"phase": 1}})
    assert (reply.status, reply.causes()) == (422, {("status.phase", "FieldValueTypeInvalid")})
    reply = await client.patch(f"{widgets}/a/status", {"status": {"seen": "yesterday"}})
    assert (reply.status, reply.causes()) == (422, {("status.seen", "FieldValueTypeInvalid")})
    reply = await client.patch(f"{widgets}/a/status", {"status": {"seen": "2026-01-02T03:04:05.678Z"}})
    assert reply.body["status"]["seen"] == "2026-01-02T03:04:05.678Z"


async def test_status_update_with_an_old_version_is_a_conflict(client, widgets):
    made = await client.make(widgets, widget("a"))
    await client.patch(f"{widgets}/a/status", {"status": {"phase": "on"}})
    reply = await client.put(f"{widgets}/a/status", {**made, "status": {"phase": "off"}})
    assert (reply.status, reply.reason) == (409, "Conflict")


async def test_generation_counts_changes_of_the_spec_only(client, widgets):
    made = await client.make(widgets, widget("a"))
    assert made["metadata"]["generation"] == 1
    reply = await client.patch(f"{widgets}/a/status", {"status": {"phase": "on"}})
    assert reply.body["metadata"]["generation"] == 1
    reply = await client.patch(f"{widgets}/a", {"metadata": {"labels": {"a": "b"}}})
    assert reply.body["metadata"]["generation"] == 1
    reply = await client.patch(f"{widgets}/a", {"spec": {"size": 2}})
    assert reply.body["metadata"]["generation"] == 2
    reply = await client.patch(f"{widgets}/a", {"spec": {"size": 2, "bogus": 1}})
    assert reply.body["metadata"]["generation"] == 2


async def test_subresource_that_is_not_there_is_404(client, widgets):
    await client.make(widgets, widget("a"))
    assert (await client.get(f"{widgets}/a/scale")).status == 404


async def test_definition_becomes_established(client, widgets):
    definition = (await client.get(f"{CRDS}/widgets.contract.example.com")).body
    conditions = {item["type"]: item["status"] for item in definition["status"]["conditions"]}
    assert conditions["NamesAccepted"] == conditions["Established"] == "True"
    assert definition["status"]["storedVersions"] == ["v1"]
    assert definition["spec"]["names"]["listKind"] == "WidgetList"
    assert definition["spec"]["names"]["singular"] == "widget"
    assert definition["spec"]["conversion"] == {"strategy": "None"}


async def test_discovery_shows_the_categories_of_a_definition(client):
    definition = crd("cogs", "Cog")
    definition["spec"]["names"]["categories"] = ["gadgets"]
    await define(client, definition)

    async def told():
        listed = (await client.get("/apis/contract.example.com/v1")).body["resources"]
        (cogs,) = (item for item in listed if item["name"] == "cogs")
        assert cogs["categories"] == ["gadgets"]

    await eventually(told)


async def test_cluster_scoped_custom_resource(client):
    await define(client, crd("globes", "Globe", scope="Cluster"))
    path = "/apis/contract.example.com/v1/globes"
    body = {**widget("a"), "kind": "Globe"}
    made = await client.make(path, body)
    assert "namespace" not in made["metadata"]
    assert (await client.get(f"{path}/a")).body == made
    assert (await client.get(path)).names() == ["a"]
    assert (await client.delete(f"{path}/a")).status == 200


async def test_deleted_definition_takes_its_objects_along(client, namespace):
    await define(client, crd("toys", "Toy"))
    path = f"/apis/contract.example.com/v1/namespaces/{namespace}/toys"
    await client.make(path, {**widget("a"), "kind": "Toy"})
    assert (await client.delete(f"{CRDS}/toys.contract.example.com")).status == 200
    await answered(client, f"{CRDS}/toys.contract.example.com", 404)
    await define(client, crd("toys", "Toy"))
    assert (await client.get(path)).names() == []


async def test_definition_can_be_changed_while_it_is_served(client, namespace):
    definition = crd("knobs", "Knob")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": schema}
    await define(client, definition)
    path = f"/apis/contract.example.com/v1/namespaces/{namespace}/knobs"
    made = await client.make(path, {**widget("a"), "kind": "Knob", "spec": {"size": "huge"}})
    strict = crd("knobs", "Knob")["spec"]["versions"]
    await client.patch(f"{CRDS}/knobs.contract.example.com", {"spec": {"versions": strict}})

    async def probe():
        body = {**widget("", size="x"), "kind": "Knob", "metadata": {"generateName": "b-"}}
        reply = await client.post(path, body)
        assert reply.status == 422

    await eventually(probe)
    assert (await client.get(f"{path}/a")).body["spec"]["size"] == made["spec"]["size"]
    assert (await client.patch(f"{path}/a", {"metadata": {"labels": {"a": "b"}}})).status == 200
    assert (await client.patch(f"{path}/a", {"spec": {"mode": "fast"}})).status == 200
    reply = await client.patch(f"{path}/a", {"spec": {"size": "larger"}})
    assert (reply.status, reply.causes()) == (422, {("spec.size", "FieldValueTypeInvalid")})
    assert (await client.patch(f"{path}/a", {"spec": {"size": 3}})).status == 200


async def test_definition_without_a_version_is_invalid(client):
    definition = crd("gizmos", "Gizmo")
    definition["spec"]["versions"] = []
    reply = await client.post(CRDS, definition)
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert "spec.versions" in {name for name, _ in reply.causes()}


async def test_definition_is_named_after_its_plural_and_group(client):
    definition = crd("gizmos", "Gizmo")
    definition["metadata"]["name"] = "gizmos"
    reply = await client.post(CRDS, definition)
    assert (reply.status, reply.causes()) == (422, {("metadata.name", "FieldValueInvalid")})


async def test_objects_of_all_namespaces_are_listed_together(client, namespace, widgets):
    await client.make(widgets, widget("a"))
    found = (await client.get(EVERYWHERE)).body["items"]
    assert namespace in {item["metadata"]["namespace"] for item in found}
