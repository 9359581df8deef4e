"""The write of a Secret: exactly the data, our labels and annotations, and nothing without a difference."""

import copy
import json
from base64 import b64encode

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sandbox.kubeapi.patches import merge_patch
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.sync.marks import MARK, OLD_MARK, OLD_VALUE, WHOLE
from secretsyncer.sync.observed import digest, summarise
from secretsyncer.sync.secret_plan import MANAGED_METADATA, Create, Patch, Recreate, plan
from tests.support.builders import kube_secret, parsed
from tests.support.specs import literal

CANARY = "c4n4ry-v4lu3"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
OTHERS_REF = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "u-9"}


def asked(**spec):
    """A SyncedSecret; what it renders to is given to `plan` beside it."""
    return parsed(literal("a", "1"), **spec)


def made(synced, data):
    """The Secret as the API server has it after `plan` made it from nothing."""
    body = plan(synced, data, None, adopt=False).body
    metadata = {"uid": "secret-uid", "resourceVersion": "1", **body["metadata"]}
    return {**body, "metadata": metadata}


def settle(synced, data, secret, *, adopt=True):
    """The Secret after the patch that is planned for it, which must be the last one."""
    step = plan(synced, data, summarise(secret), adopt=adopt)
    assert isinstance(step, Patch)
    after = merge_patch(secret, step.body)
    assert plan(synced, data, summarise(after), adopt=adopt) is None
    return after


def conflict(synced, data, secret, *, adopt=True):
    with pytest.raises(Rejected) as raised:
        plan(synced, data, summarise(secret), adopt=adopt)
    assert raised.value.reason is Reason.CONFLICT
    assert CANARY not in raised.value.message
    return raised.value.message


# Creating


def test_a_new_secret_is_as_the_golden_file_shows_it(golden):
    synced = asked(
        deletionPolicy="Delete",
        secretMetadata={"labels": {"team": "web"}, "annotations": {"b": "2", "a": "1"}, "name": "ignored"},
    )
    body = plan(synced, {"user": b"web", "binary": b"\x00\xff", "empty": b""}, None, adopt=False).body
    golden("manifest/full.yaml", yaml.safe_dump(body, sort_keys=False))


def test_the_smallest_new_secret_is_as_the_golden_file_shows_it(golden):
    golden(
        "manifest/small.yaml", yaml.safe_dump(plan(asked(), {"a": b"1"}, None, adopt=False).body, sort_keys=False)
    )


def test_a_secret_just_made_needs_nothing():
    synced = asked(deletionPolicy="Delete", secretMetadata={"labels": {"a": "b"}, "annotations": {"c": "d"}})
    assert plan(synced, {"a": b"1"}, summarise(made(synced, {"a": b"1"})), adopt=False) is None


def test_a_secret_may_be_named_otherwise_than_its_syncedsecret():
    synced = asked(target={"name": "other"}, deletionPolicy="Delete")
    metadata = plan(synced, {}, None, adopt=False).body["metadata"]
    assert metadata["name"] == "other"
    assert metadata["ownerReferences"][0]["name"] == "demo"


# Data


def test_the_data_becomes_exactly_what_was_rendered():
    secret = kube_secret({"same": "1", "changed": "2", "foreign": "3"})
    step = plan(asked(), {"same": b"1", "changed": b"new", "added": b""}, summarise(secret), adopt=True)
    assert step.body["data"] == {"changed": b64encode(b"new").decode(), "added": "", "foreign": None}
    assert step.keys == ("added", "changed", "foreign")
    assert settle(asked(), {"same": b"1"}, secret)["data"] == {"same": b64encode(b"1").decode()}


def test_a_patch_holds_the_version_that_it_is_made_for():
    step = plan(asked(), {"a": b"new"}, summarise(kube_secret({"a": "old"})), adopt=True)
    assert step.body["metadata"] == {"resourceVersion": "7"}


def test_a_secret_without_differences_gets_no_patch():
    assert (
        plan(asked(), {"a": b"1", "b": b"\xff"}, summarise(kube_secret({"a": "1", "b": b"\xff"})), adopt=True)
        is None
    )


def test_a_secret_without_data_is_compared_like_an_empty_one():
    secret = kube_secret({})
    del secret["data"]
    assert plan(asked(), {}, summarise(secret), adopt=True) is None
    secret["data"] = {"a": None}
    assert plan(asked(), {"a": b""}, summarise(secret), adopt=True) is None


# Labels and annotations


def test_labels_and_annotations_of_others_stay():
    synced = asked(secretMetadata={"labels": {"ours": "1"}, "annotations": {"ours": "1"}})
    secret = kube_secret({"a": "1"}, labels={"theirs": "x"}, annotations={"theirs": "y", LAST_APPLIED: "{}"})
    after = settle(synced, {"a": b"1"}, secret)["metadata"]
    assert after["labels"] == {"theirs": "x", "ours": "1", MARK: WHOLE}
    assert after["annotations"].items() >= {"theirs": "y", "ours": "1", LAST_APPLIED: "{}"}.items()


def test_ours_go_when_they_are_no_longer_asked_for():
    before = asked(secretMetadata={"labels": {"a": "1", "b": "1"}, "annotations": {"c": "1", "d": "1"}})
    secret = made(before, {"k": b"1"})
    secret["metadata"]["labels"]["theirs"] = secret["metadata"]["annotations"]["theirs"] = "x"
    fewer = asked(secretMetadata={"labels": {"b": "2"}, "annotations": {"d": "1"}})
    after = settle(fewer, {"k": b"1"}, secret)["metadata"]
    assert after["labels"] == {"b": "2", "theirs": "x", MARK: WHOLE}
    assert after["annotations"].keys() == {"d", "theirs", MANAGED_METADATA}
    last = settle(asked(), {"k": b"1"}, {**secret, "metadata": after})["metadata"]
    assert last["labels"] == {"theirs": "x", MARK: WHOLE}
    assert last["annotations"] == {"theirs": "x"}


def test_a_changed_label_or_annotation_is_corrected():
    synced = asked(secretMetadata={"labels": {"a": "1"}, "annotations": {"b": "1"}})
    secret = made(synced, {})
    broken = copy.deepcopy(secret)
    broken["metadata"]["labels"] = {}
    broken["metadata"]["annotations"]["b"] = "2"
    assert settle(synced, {}, broken) == secret


def test_what_the_spec_asks_for_by_our_own_names_does_not_win():
    metadata = {"labels": {MARK: "helm"}, "annotations": {MANAGED_METADATA: "x"}}
    secret = made(asked(secretMetadata=metadata), {})
    assert secret["metadata"]["labels"] == {MARK: WHOLE}
    assert json.loads(secret["metadata"]["annotations"][MANAGED_METADATA])
    assert plan(asked(secretMetadata=metadata), {}, summarise(secret), adopt=False) is None


NOTES = [
    "",
    "null",
    "5",
    "[]",
    '"labels"',
    "{",
    "[" * 100_000,
    '{"labels": 5}',
    '{"labels": true, "annotations": false}',
    '{"labels": "theirs"}',
    '{"labels": {"theirs": 1}}',
    '{"labels": [1, null, ["theirs"]], "annotations": {"theirs": "x"}}',
    '{"labels": null}',
]


@pytest.mark.parametrize("note", NOTES, ids=range(len(NOTES)))
def test_a_broken_record_of_managed_metadata_is_ignored_and_corrected(note):
    synced = asked(secretMetadata={"labels": {"a": "1"}})
    secret = kube_secret({"k": "1"}, labels={"theirs": "x"}, annotations={"theirs": "y", MANAGED_METADATA: note})
    after = settle(synced, {"k": b"1"}, secret)["metadata"]
    assert after["labels"] == {"a": "1", "theirs": "x", MARK: WHOLE}
    assert json.loads(after["annotations"][MANAGED_METADATA]) == {"labels": ["a"], "annotations": []}
    assert after["annotations"]["theirs"] == "y"


def test_an_annotation_of_kubectls_can_be_asked_for_like_any_other():
    synced = asked(secretMetadata={"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}})
    assert plan(synced, {}, summarise(made(synced, {})), adopt=False) is None


def test_kubectls_copy_of_a_manifest_is_not_taken_over_because_it_may_hold_values():
    synced = asked(secretMetadata={"annotations": {LAST_APPLIED: CANARY, "a": "1"}})
    secret = made(synced, {})
    assert CANARY not in json.dumps(secret)
    assert plan(synced, {}, summarise(secret), adopt=False) is None


# Whose it is


FOREIGN = [{}, {MARK: "helm"}, {MARK: ""}, {OLD_MARK: "helm"}, {MARK: "x", OLD_MARK: OLD_VALUE}]


@pytest.mark.parametrize("labels", FOREIGN)
def test_a_secret_of_somebody_else_is_adopted_where_no_key_is_removed(labels):
    foreign = kube_secret({"a": "1", "b": "2"}, ours=False, labels={"team": "web", **labels})
    after = settle(asked(), {"a": b"1", "b": b"new", "c": b"3"}, foreign)
    assert after["metadata"]["labels"] == {"team": "web", **labels, MARK: WHOLE}
    assert after["data"].keys() == {"a", "b", "c"}


@pytest.mark.parametrize("labels", FOREIGN)
@pytest.mark.parametrize("operator", [True, False])
def test_keys_of_somebody_else_are_removed_only_if_the_object_itself_adopts(labels, operator):
    foreign = kube_secret({"a": "1", "admin.password": CANARY, "b": "2"}, ours=False, labels=labels)
    if operator:
        message = conflict(asked(), {"a": b"1"}, foreign)
        assert "its keys admin.password, b would be removed" in message
        assert "spec.adopt: true" in message
    assert conflict(asked(adopt=False), {"a": b"1"}, foreign, adopt=operator)
    assert settle(asked(adopt=True), {"a": b"1"}, foreign, adopt=operator)["data"].keys() == {"a"}


def test_keys_of_somebody_else_are_not_removed_by_recreating_their_secret():
    foreign = kube_secret({"a": "1", "b": "2"}, ours=False, immutable=True)
    assert "its key b would be removed" in conflict(asked(recreateOnTypeChange=True), {"a": b"1"}, foreign)


def test_a_secret_with_the_old_mark_is_ours_and_gets_the_new_one_with_its_next_write():
    mine = kube_secret({"a": "1", "b": "2"}, ours=False, labels={OLD_MARK: OLD_VALUE})
    assert plan(asked(), {"a": b"1", "b": b"2"}, summarise(mine), adopt=False) is None, "an upgrade writes nothing"
    after = settle(asked(), {"a": b"1"}, mine, adopt=False)
    assert after["metadata"]["labels"] == {OLD_MARK: OLD_VALUE, MARK: WHOLE}
    assert after["data"].keys() == {"a"}
    labelled = settle(asked(secretMetadata={"labels": {OLD_MARK: "Helm"}}), {"a": b"1", "b": b"2"}, mine)
    assert labelled["metadata"]["labels"] == {OLD_MARK: "Helm", MARK: WHOLE}


@pytest.mark.parametrize("labels", [{}, {MARK: "helm"}, {MARK: ""}])
@pytest.mark.parametrize("data", [{"a": b"1"}, {"a": b"2"}])
def test_a_secret_of_somebody_else_is_left_alone_where_adopting_is_off(labels, data):
    message = conflict(asked(), data, kube_secret({"a": "1"}, ours=False, labels=labels), adopt=False)
    assert "Secret team/demo exists and is not managed by secretsyncer" in message
    assert "adopt" in message


def test_our_own_secret_is_kept_in_step_where_adopting_is_off():
    assert settle(asked(), {"a": b"2"}, kube_secret({"a": "1"}), adopt=False)


@pytest.mark.parametrize(("operator", "spec", "allowed"), [(True, False, False), (False, True, True)])
def test_the_spec_decides_over_adopting_before_the_operator_does(operator, spec, allowed):
    foreign = kube_secret({"a": "1"}, ours=False)
    if allowed:
        assert settle(asked(adopt=spec), {"a": b"1"}, foreign, adopt=operator)
    else:
        assert conflict(asked(adopt=spec), {"a": b"1"}, foreign, adopt=operator)


# Owner references


def ref(uid="uid-1", name="demo"):
    return {
        "apiVersion": "secrets.contentful.com/v1",
        "kind": "SyncedSecret",
        "name": name,
        "uid": uid,
        "controller": True,
    }


RETAIN, DELETE = {"deletionPolicy": "Retain"}, {"deletionPolicy": "Delete"}


@pytest.mark.parametrize(
    ("spec", "before", "after"),
    [
        (RETAIN, [], []),
        ({}, [], []),
        (RETAIN, [OTHERS_REF], [OTHERS_REF]),
        (RETAIN, [ref()], []),
        ({}, [OTHERS_REF, ref()], [OTHERS_REF]),
        # Left by an object of this name that is gone: with it, Kubernetes would delete the Secret.
        (RETAIN, [ref("uid-0"), OTHERS_REF], [OTHERS_REF]),
        # Left by another object, whose claim has moved here: Kubernetes would delete the Secret with that one.
        (RETAIN, [ref("uid-7", "another")], []),
        (DELETE, [ref("uid-7", "another"), OTHERS_REF], [OTHERS_REF, ref()]),
        (DELETE, [], [ref()]),
        (DELETE, [ref()], [ref()]),
        (DELETE, [OTHERS_REF], [OTHERS_REF, ref()]),
        (DELETE, [ref(), OTHERS_REF], [ref(), OTHERS_REF]),
        (DELETE, [ref("uid-0")], [ref()]),
        (DELETE, [ref("uid-0"), OTHERS_REF, ref()], [OTHERS_REF, ref()]),
    ],
)
def test_the_secret_goes_with_its_object_only_where_that_is_asked_for(spec, before, after):
    secret = kube_secret({"a": "1"}, owners=before)
    if before == after:
        assert plan(asked(**spec), {"a": b"1"}, summarise(secret), adopt=True) is None
    else:
        assert settle(asked(**spec), {"a": b"1"}, secret)["metadata"]["ownerReferences"] == after


# Types and immutability

TYPED = [
    ("kubernetes.io/tls", {"tls.crt": b"", "tls.key": b""}),
    ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": b"{}"}),
    ("kubernetes.io/dockercfg", {".dockercfg": b"{}"}),
    ("kubernetes.io/ssh-auth", {"ssh-privatekey": b""}),
    ("kubernetes.io/basic-auth", {"username": b""}),
    ("kubernetes.io/basic-auth", {"password": b""}),
]


@pytest.mark.parametrize(("kind", "data"), TYPED)
def test_a_missing_key_of_a_type_is_named(kind, data):
    assert plan(asked(type=kind), data, None, adopt=False).body["type"] == kind
    with pytest.raises(Rejected, match=f"type {kind} needs the key ") as raised:
        plan(asked(type=kind), {"other": b"1"}, None, adopt=False)
    assert raised.value.reason is Reason.INVALID_SECRET_VALUE


@pytest.mark.parametrize("value", [b"", b"\xff", CANARY.encode(), b"[" * 100_000])
@pytest.mark.parametrize(("kind", "data"), [pair for pair in TYPED if "docker" in pair[0]])
def test_a_docker_configuration_must_be_json_and_the_message_does_not_show_it(kind, data, value):
    with pytest.raises(Rejected, match="needs JSON at the key") as raised:
        plan(asked(type=kind), dict.fromkeys(data, value), None, adopt=False)
    assert CANARY not in raised.value.message
    assert raised.value.__context__ is None


def test_a_type_of_ones_own_needs_nothing():
    assert plan(asked(type="example.com/any"), {}, None, adopt=False).body["type"] == "example.com/any"


def test_a_secret_of_another_type_is_recreated_only_if_the_spec_permits():
    secret = kube_secret({"username": "u"})
    spec = {"type": "kubernetes.io/basic-auth"}
    assert "has the type Opaque" in conflict(asked(**spec), {"username": b"u"}, secret)
    step = plan(asked(**spec, recreateOnTypeChange=True), {"username": b"u"}, summarise(secret), adopt=True)
    assert isinstance(step, Recreate)
    assert (step.uid, step.body["type"]) == ("secret-uid", "kubernetes.io/basic-auth")


def test_a_secret_whose_type_is_not_asked_for_keeps_it():
    assert (
        plan(asked(), {"a": b"1"}, summarise(kube_secret({"a": "1"}, type="example.com/any")), adopt=True) is None
    )


def test_an_immutable_secret_is_left_until_it_would_have_to_change():
    secret = kube_secret({"a": "1"}, immutable=True)
    assert plan(asked(immutable=True), {"a": b"1"}, summarise(secret), adopt=True) is None
    assert plan(asked(), {"a": b"1"}, summarise(secret), adopt=True) is None
    assert "is immutable" in conflict(asked(immutable=True), {"a": b"2"}, secret)
    # A policy may have made it immutable: that alone is no reason to delete it.
    assert (
        plan(asked(immutable=False, recreateOnTypeChange=True), {"a": b"1"}, summarise(secret), adopt=True) is None
    )
    assert "is immutable" in conflict(asked(immutable=False), {"a": b"2"}, secret)
    again = asked(immutable=True, recreateOnTypeChange=True)
    assert isinstance(plan(again, {"a": b"2"}, summarise(secret), adopt=True), Recreate)


def test_labels_of_an_immutable_secret_still_follow():
    synced = asked(secretMetadata={"labels": {"x": "1"}})
    assert settle(synced, {"a": b"1"}, kube_secret({"a": "1"}, immutable=True))["metadata"]["labels"]["x"] == "1"


def test_a_secret_is_frozen_with_its_last_data_where_asked_for():
    after = settle(asked(immutable=True), {"a": b"2"}, kube_secret({"a": "1"}))
    assert (after["immutable"], after["data"]) == (True, {"a": b64encode(b"2").decode()})
    assert made(asked(immutable=True), {})["immutable"] is True


def test_what_takes_the_place_of_a_secret_keeps_what_others_put_there():
    secret = kube_secret({"a": "1"}, immutable=True)
    secret["metadata"]["labels"]["team"] = "web"
    secret["metadata"]["annotations"] = {"note": "theirs"}
    secret["metadata"]["ownerReferences"] = [OTHERS_REF]
    again = asked(immutable=True, recreateOnTypeChange=True, secretMetadata={"labels": {"x": "1"}})
    step = plan(again, {"a": b"2"}, summarise(secret), adopt=True)
    assert isinstance(step, Recreate)
    metadata = step.body["metadata"]
    assert metadata["labels"] == {"team": "web", "x": "1", MARK: WHOLE}
    assert metadata["annotations"]["note"] == "theirs"
    assert metadata["ownerReferences"] == [OTHERS_REF]
    assert (step.uid, step.resource_version) == ("secret-uid", "7")


@pytest.mark.parametrize(
    "kind", ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"]
)
@pytest.mark.parametrize("spec", [{}, {"adopt": True}, {"recreateOnTypeChange": True}])
def test_credentials_of_the_cluster_are_never_taken_over(kind, spec):
    secret = {**kube_secret({"token": "t"}, ours=False), "type": kind}
    assert f"has the type {kind}, which is never taken over" in conflict(asked(**spec), {"a": b"1"}, secret)


@pytest.mark.parametrize("part", ["labels", "annotations"])
@pytest.mark.parametrize(
    "name",
    [
        "kubernetes.io/service-account.name",
        "kubernetes.io/service-account.uid",
        "node-restriction.kubernetes.io/x",
        "k8s.io/x",
        "sub.k8s.io/x",
    ],
)
def test_metadata_that_steers_kubernetes_is_refused_with_its_path(part, name):
    synced = asked(secretMetadata={part: {name: "admin"}})
    for observed in (None, summarise(kube_secret({"a": "1"}))):
        with pytest.raises(Rejected) as caught:
            plan(synced, {"a": b"1"}, observed, adopt=True)
        assert caught.value.reason is Reason.INVALID_SPEC
        assert caught.value.message.startswith(f"spec.secretMetadata.{part}.{name}: ")


@pytest.mark.parametrize(
    "name",
    [
        "app.kubernetes.io/name",
        "app.kubernetes.io/part-of",
        "kubernetes.io/description",
        "x-k8s.io/a",
        "notk8s.io/a",
        "a",
    ],
)
def test_other_metadata_is_allowed(name):
    assert (
        made(asked(secretMetadata={"annotations": {name: "x"}}), {"a": b"1"})["metadata"]["annotations"][name]
        == "x"
    )


def test_a_secret_that_is_being_deleted_is_waited_for_with_what_holds_it():
    secret = kube_secret({"a": "1"})
    secret["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/hold"]}
    with pytest.raises(Unavailable, match=r"is being deleted \(finalizers: example.com/hold\)"):
        plan(asked(), {"a": b"2"}, summarise(secret), adopt=True)


# No value is kept or shown


def test_the_summary_of_a_secret_keeps_no_value():
    secret = kube_secret({"a": CANARY}, annotations={LAST_APPLIED: CANARY, "kept": "x"})
    summary = summarise(secret)
    assert CANARY not in repr(summary)
    assert b64encode(CANARY.encode()).decode() not in repr(summary)
    assert summary["metadata"]["annotations"] == {"kept": "x"}
    assert (summary["type"], summary["immutable"]) == ("Opaque", False)


def test_a_digest_cannot_be_guessed_without_the_key_of_this_process():
    from hashlib import blake2b

    assert digest("YQ==") == digest("YQ==") != digest("Yg==")
    assert digest("YQ==") != blake2b(b"YQ==", digest_size=12).digest()


def test_a_step_never_shows_the_data_that_it_writes():
    shown = [
        plan(asked(), {"a": CANARY.encode()}, None, adopt=True),
        plan(asked(), {"a": CANARY.encode()}, summarise(kube_secret({"a": "1"})), adopt=True),
        plan(
            asked(type="x/y", recreateOnTypeChange=True),
            {"a": CANARY.encode()},
            summarise(kube_secret({"a": "1"})),
            adopt=True,
        ),
    ]
    assert [type(step) for step in shown] == [Create, Patch, Recreate]
    for step in shown:
        assert b64encode(CANARY.encode()).decode() in json.dumps(step.body)
        assert b64encode(CANARY.encode()).decode()[:8] not in repr(step)


# Whatever is there

NAMES = st.sampled_from(["a", "b", "c", "d"])
TEXTS = st.dictionaries(NAMES, st.sampled_from(["", "1", "2"]), max_size=4)
BESIDE = {**ref("uid-7", "another"), "controller": False}
REFS = st.lists(st.sampled_from([OTHERS_REF, ref(), ref("uid-0"), BESIDE]), max_size=3, unique_by=str)


@given(
    data=TEXTS,
    labels=TEXTS,
    annotations=TEXTS,
    policy=st.sampled_from(["Retain", "Delete", None]),
    there=st.tuples(TEXTS, TEXTS, TEXTS, REFS, st.booleans(), st.sampled_from([None, *NOTES])),
)
def test_one_patch_makes_any_secret_right_and_keeps_what_others_put(data, labels, annotations, policy, there):
    synced = asked(secretMetadata={"labels": labels, "annotations": annotations}, deletionPolicy=policy, adopt=True)
    have, their_labels, their_annotations, owners, ours, note = there
    noted = {} if note is None else {MANAGED_METADATA: note}
    secret = kube_secret(
        have, ours=ours, labels=their_labels, annotations={**their_annotations, **noted}, owners=owners
    )
    wanted = {key: text.encode() for key, text in data.items()}
    step = plan(synced, wanted, summarise(secret), adopt=True)
    after = merge_patch(secret, step.body) if step else secret
    assert plan(synced, wanted, summarise(after), adopt=True) is None
    assert after["data"] == {key: b64encode(value).decode() for key, value in wanted.items()}
    assert after["metadata"]["labels"] == {**their_labels, **labels, MARK: WHOLE}
    assert after["metadata"]["annotations"].items() >= {**their_annotations, **annotations}.items()
    assert (ref() in after["metadata"]["ownerReferences"]) == (policy == "Delete")
    assert (OTHERS_REF in after["metadata"]["ownerReferences"]) == (OTHERS_REF in owners)


# A spec without data


def test_a_spec_without_data_makes_an_empty_secret_and_empties_none():
    nothing = parsed().spec
    synced = asked()._replace(spec=nothing)
    assert isinstance(plan(synced, {}, None, adopt=True), Create)
    assert isinstance(plan(synced, {}, summarise(kube_secret({}, ours=False)), adopt=True), Patch)
    with pytest.raises(
        Rejected, match=r"spec has no value for any key, and Secret .* has 2 keys: the Secret stays"
    ):
        plan(synced, {}, summarise(kube_secret({"a": "1", "b": "2"})), adopt=True)
    may = synced._replace(spec=parsed(allowEmpty=True).spec)
    assert isinstance(plan(may, {}, summarise(kube_secret({"a": "1"})), adopt=True), Patch)
