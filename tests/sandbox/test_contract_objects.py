"""Creating, reading, replacing and deleting objects."""

from __future__ import annotations

import pytest

from tests.sandbox.contract import MERGE_PATCH, secret, widget


async def test_created_object_gets_server_owned_metadata(client, secrets):
    made = (await client.make(secrets, secret("a")))["metadata"]
    assert made["name"] == "a"
    assert made["uid"]
    assert made["creationTimestamp"].endswith("Z")
    assert int(made["resourceVersion"]) > 0
    assert "generation" not in made
    assert "selfLink" not in made


async def test_get_returns_what_was_created(client, secrets):
    made = await client.make(secrets, secret("a", data={"k": "dg=="}))
    assert (await client.get(f"{secrets}/a")).body == made


async def test_missing_object_is_404_with_details(client, secrets):
    reply = await client.get(f"{secrets}/none")
    assert reply.status == 404
    assert reply.body["kind"] == "Status"
    assert reply.reason == "NotFound"
    assert reply.body["message"] == 'secrets "none" not found'
    assert reply.body["details"] == {"name": "none", "kind": "secrets"}


async def test_missing_custom_object_names_its_group(client, widgets):
    reply = await client.get(f"{widgets}/none")
    assert reply.body["message"] == 'widgets.contract.example.com "none" not found'
    assert reply.body["details"] == {"name": "none", "group": "contract.example.com", "kind": "widgets"}


async def test_dry_run_of_a_create_checks_everything_and_stores_nothing(client, secrets):
    assert (await client.post(f"{secrets}?dryRun=All", secret("a"))).status == 201
    assert (await client.get(f"{secrets}/a")).status == 404
    wrong = {**secret("a"), "type": "kubernetes.io/tls"}
    assert (await client.post(f"{secrets}?dryRun=All", wrong)).status == 422
    await client.make(secrets, secret("a"))
    reply = await client.post(f"{secrets}?dryRun=All", secret("a", data={"k": "dg=="}))
    assert (reply.status, reply.reason) == (409, "AlreadyExists")
    assert (await client.post(f"{secrets}?dryRun=All", wrong)).status == 422
    assert "data" not in (await client.get(f"{secrets}/a")).body


async def test_second_create_is_already_exists(client, secrets):
    await client.make(secrets, secret("a"))
    reply = await client.post(secrets, secret("a"))
    assert (reply.status, reply.reason) == (409, "AlreadyExists")
    assert reply.body["message"] == 'secrets "a" already exists'


async def test_generate_name_appends_five_characters(client, secrets):
    body = {"metadata": {"generateName": "some-"}}
    first, second = await client.make(secrets, body), await client.make(secrets, body)
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["metadata"]["name"].startswith("some-")
    assert len(first["metadata"]["name"]) == len("some-") + 5


async def test_object_without_a_name_is_invalid(client, secrets):
    reply = await client.post(secrets, {"metadata": {}})
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert reply.causes() == {("metadata.name", "FieldValueRequired")}


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254])
async def test_name_must_be_a_dns_subdomain(client, secrets, name):
    reply = await client.post(secrets, secret(name))
    assert reply.status == 422
    assert reply.causes() == {("metadata.name", "FieldValueInvalid")}


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"labels": {"bad key": "v"}}, "metadata.labels"),
        ({"labels": {"k": "bad value"}}, "metadata.labels"),
        ({"labels": {"k": "v" * 64}}, "metadata.labels"),
        ({"annotations": {"a/b/c": "v"}}, "metadata.annotations"),
    ],
)
async def test_labels_and_annotations_have_a_grammar(client, secrets, metadata, field):
    body = secret("a")
    body["metadata"] |= metadata
    reply = await client.post(secrets, body)
    assert reply.status == 422
    assert reply.causes() == {(field, "FieldValueInvalid")}


async def test_annotations_are_limited_to_256_kib(client, secrets):
    body = secret("a")
    body["metadata"]["annotations"] = {"k": "v" * 256 * 1024}
    reply = await client.post(secrets, body)
    assert reply.status == 422
    assert reply.causes() == {("metadata.annotations", "FieldValueTooLong")}


async def test_label_that_is_not_a_string_is_a_bad_request(client, secrets):
    body = secret("a")
    body["metadata"]["labels"] = {"k": 1}
    reply = await client.post(secrets, body)
    assert (reply.status, reply.reason) == (400, "BadRequest")


async def test_unknown_metadata_is_dropped(client, widgets):
    body = widget("a")
    body["metadata"] |= {"bogus": "x", "labels": {}}
    made = await client.make(widgets, body)
    assert "bogus" not in made["metadata"]
    assert "labels" not in made["metadata"]


async def test_create_with_a_resource_version_is_refused(client, secrets):
    body = secret("a")
    body["metadata"]["resourceVersion"] = "1"
    reply = await client.post(secrets, body)
    assert reply.status == 500
    assert reply.body["message"] == "resourceVersion should not be set on objects to be created"


async def test_server_owned_metadata_cannot_be_given(client, secrets):
    body = secret("a")
    body["metadata"] |= {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z"}
    made = (await client.make(secrets, body))["metadata"]
    assert made["uid"] != "mine"
    assert not made["creationTimestamp"].startswith("2000")


async def test_create_in_a_missing_namespace_is_404(client):
    reply = await client.post("/api/v1/namespaces/nowhere/secrets", secret("a"))
    assert (reply.status, reply.reason) == (404, "NotFound")
    assert reply.body["message"] == 'namespaces "nowhere" not found'
    assert reply.body["details"] == {"name": "nowhere", "kind": "namespaces"}


async def test_body_of_another_namespace_is_a_bad_request(client, secrets):
    body = secret("a")
    body["metadata"]["namespace"] = "default"
    reply = await client.post(secrets, body)
    assert (reply.status, reply.reason) == (400, "BadRequest")


async def test_body_of_another_kind_or_version_is_a_bad_request(client, secrets, widgets):
    assert (await client.post(secrets, {"apiVersion": "v1", "kind": "ConfigMap"})).status == 400
    assert (await client.post(widgets, {**widget("a"), "apiVersion": "contract.example.com/v9"})).status == 400


async def test_custom_object_of_another_kind_is_invalid(client, widgets):
    reply = await client.post(widgets, {**widget("a"), "kind": "Gadget"})
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert reply.causes() == {("kind", "FieldValueInvalid")}


async def test_custom_object_without_a_kind_is_a_bad_request(client, widgets):
    body = widget("a")
    del body["kind"]
    assert (await client.post(widgets, body)).status == 400


async def test_body_that_is_not_json_is_a_bad_request(client, secrets):
    reply = await client.request("POST", secrets, b"{oops")
    assert (reply.status, reply.reason) == (400, "BadRequest")


async def test_body_of_unknown_format_is_unsupported(client, secrets):
    reply = await client.request("POST", secrets, b"<a/>", "text/xml")
    assert (reply.status, reply.reason) == (415, "UnsupportedMediaType")


async def test_body_over_three_mebibytes_is_too_large(client, secrets):
    reply = await client.post(secrets, secret("a", stringData={"k": "v" * 3 * 1024 * 1024}))
    assert (reply.status, reply.reason) == (413, "RequestEntityTooLarge")


async def test_update_replaces_and_moves_the_version(client, secrets):
    made = await client.make(secrets, secret("a", data={"k": "dg=="}))
    made["data"] = {"other": "dg=="}
    reply = await client.put(f"{secrets}/a", made)
    assert reply.status == 200
    assert reply.body["data"] == {"other": "dg=="}
    assert int(reply.version) > int(made["metadata"]["resourceVersion"])
    assert reply.body["metadata"]["uid"] == made["metadata"]["uid"]


async def test_update_with_an_old_version_is_a_conflict(client, secrets):
    made = await client.make(secrets, secret("a"))
    await client.patch(f"{secrets}/a", {"data": {"k": "dg=="}})
    reply = await client.put(f"{secrets}/a", made)
    assert (reply.status, reply.reason) == (409, "Conflict")
    assert reply.body["message"] == (
        'Operation cannot be fulfilled on secrets "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert reply.body["details"] == {"name": "a", "kind": "secrets"}


async def test_update_without_a_version_is_taken_for_secrets(client, secrets):
    await client.make(secrets, secret("a"))
    assert (await client.put(f"{secrets}/a", secret("a", data={"k": "dg=="}))).status == 200


async def test_update_without_a_version_is_invalid_for_custom_objects(client, widgets):
    await client.make(widgets, widget("a"))
    reply = await client.put(f"{widgets}/a", widget("a"))
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert reply.causes() == {("metadata.resourceVersion", "FieldValueInvalid")}


async def test_update_of_a_missing_object_is_404(client, secrets):
    assert (await client.put(f"{secrets}/a", secret("a"))).status == 404


async def test_update_of_another_name_is_a_bad_request(client, secrets):
    await client.make(secrets, secret("a"))
    reply = await client.put(f"{secrets}/a", secret("b"))
    assert (reply.status, reply.reason) == (400, "BadRequest")


async def test_update_of_another_uid_is_a_conflict(client, secrets):
    made = await client.make(secrets, secret("a"))
    made["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    reply = await client.put(f"{secrets}/a", made)
    assert (reply.status, reply.reason) == (409, "Conflict")


async def test_update_that_changes_nothing_keeps_the_version(client, secrets, widgets):
    made = await client.make(secrets, secret("a", data={"k": "dg=="}))
    assert (await client.put(f"{secrets}/a", made)).body == made
    made = await client.make(widgets, widget("a"))
    assert (await client.put(f"{widgets}/a", made)).body == made


async def test_delete_answers_with_a_status_that_names_the_object(client, secrets, widgets):
    made = await client.make(secrets, secret("a"))
    reply = await client.delete(f"{secrets}/a")
    assert (reply.status, reply.body["status"]) == (200, "Success")
    assert reply.body["details"] == {"name": "a", "kind": "secrets", "uid": made["metadata"]["uid"]}
    await client.make(widgets, widget("a"))
    reply = await client.delete(f"{widgets}/a")
    assert reply.body["details"]["group"] == "contract.example.com"
    assert (await client.get(f"{widgets}/a")).status == 404


async def test_delete_of_a_missing_object_is_404(client, secrets):
    assert (await client.delete(f"{secrets}/a")).status == 404


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
async def test_delete_obeys_preconditions(client, secrets, field):
    made = (await client.make(secrets, secret("a")))["metadata"]
    reply = await client.delete(f"{secrets}/a", {"preconditions": {field: "12345"}})
    assert (reply.status, reply.reason) == (409, "Conflict")
    reply = await client.delete(f"{secrets}/a", {"preconditions": {field: made[field]}})
    assert reply.status == 200


async def test_finalizer_keeps_the_object_until_it_is_taken_away(client, widgets):
    body = widget("a")
    body["metadata"]["finalizers"] = ["example.com/wait"]
    made = await client.make(widgets, body)
    reply = await client.delete(f"{widgets}/a")
    assert reply.status == 200
    assert reply.body["kind"] == "Widget"
    assert reply.body["metadata"]["deletionTimestamp"]
    assert reply.body["metadata"]["deletionGracePeriodSeconds"] == 0
    assert reply.body["metadata"]["generation"] == made["metadata"]["generation"] + 1
    again = await client.delete(f"{widgets}/a")
    assert again.version == reply.version
    reply = await client.patch(f"{widgets}/a", {"metadata": {"finalizers": None}})
    assert reply.status == 200
    assert (await client.get(f"{widgets}/a")).status == 404


async def test_object_being_deleted_takes_no_new_finalizers(client, widgets):
    body = widget("a")
    body["metadata"]["finalizers"] = ["example.com/wait"]
    await client.make(widgets, body)
    await client.delete(f"{widgets}/a")
    more = ["example.com/wait", "example.com/more"]
    reply = await client.patch(f"{widgets}/a", {"metadata": {"finalizers": more}})
    assert reply.status == 422
    assert reply.causes() == {("metadata.finalizers", "FieldValueForbidden")}
    await client.patch(f"{widgets}/a", {"metadata": {"finalizers": None}})


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_propagation_policy_leaves_a_finalizer_for_the_garbage_collector(client, widgets, policy, finalizer):
    await client.make(widgets, widget("a"))
    reply = await client.delete(f"{widgets}/a", {"propagationPolicy": policy})
    assert reply.body["metadata"]["finalizers"] == [finalizer]
    await client.patch(f"{widgets}/a", {"metadata": {"finalizers": None}})
    assert (await client.get(f"{widgets}/a")).status == 404


async def test_background_deletion_is_at_once(client, secrets):
    await client.make(secrets, secret("a"))
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    assert (await client.delete(f"{secrets}/a", body)).body["status"] == "Success"
    assert (await client.get(f"{secrets}/a")).status == 404


async def test_delete_collection_obeys_its_selector(client, secrets):
    for name, color in (("a", "red"), ("b", "blue"), ("c", "red")):
        body = secret(name)
        body["metadata"]["labels"] = {"color": color}
        await client.make(secrets, body)
    reply = await client.delete(f"{secrets}?labelSelector=color%3Dred")
    assert reply.status == 200
    assert (await client.get(secrets)).names() == ["b"]


async def test_unknown_paths_are_404(client, namespace):
    reply = await client.get("/api/v1/gadgets")
    assert (reply.status, reply.reason) == (404, "NotFound")
    assert reply.body["message"] == "the server could not find the requested resource"
    assert (await client.get("/nothing")).status == 404


async def test_group_that_is_not_served_is_404_in_plain_text(client):
    """As long as the definition of a custom resource is missing."""
    for path in ("/apis/none.example.com/v1/gadgets", "/apis/none.example.com/v1/namespaces/default/gadgets"):
        reply = await client.get(path)
        assert (reply.status, reply.body) == (404, "404 page not found\n")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_collections_cannot_be_replaced_or_patched(client, secrets, method):
    reply = await client.request(method, secrets, {}, MERGE_PATCH)
    assert (reply.status, reply.reason) == (405, "MethodNotAllowed")


async def test_objects_cannot_be_posted_to(client, secrets):
    assert (await client.post(f"{secrets}/a", secret("a"))).status == 405


async def test_namespaced_objects_cannot_be_created_without_a_namespace(client):
    reply = await client.post("/api/v1/secrets", secret("a"))
    assert reply.status == 405
    assert reply.reason == "MethodNotAllowed"


async def test_wrong_token_is_unauthorized(client):
    reply = await client.get("/api/v1/namespaces", Authorization="Bearer wrong")
    assert (reply.status, reply.reason) == (401, "Unauthorized")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
async def test_health_is_a_plain_ok(client, path):
    reply = await client.get(path)
    assert (reply.status, reply.body) == (200, "ok")


async def test_strict_field_validation_refuses_unknown_fields(client, secrets, widgets):
    reply = await client.post(f"{widgets}?fieldValidation=Strict", widget("a", bogus=1))
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.bogus"' in reply.body["message"]
    reply = await client.post(f"{secrets}?fieldValidation=Strict", secret("a", bogus=1))
    assert (reply.status, reply.reason) == (400, "BadRequest")
    await client.make(f"{widgets}?fieldValidation=Ignore", widget("a", bogus=1))


async def test_namespaces_carry_their_name_as_a_label(client):
    reply = await client.get("/api/v1/namespaces?labelSelector=kubernetes.io/metadata.name%3Ddefault")
    assert reply.names() == ["default"]


async def test_default_namespace_cannot_be_deleted(client):
    reply = await client.delete("/api/v1/namespaces/default")
    assert (reply.status, reply.reason) == (403, "Forbidden")
