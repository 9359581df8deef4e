"""What the informers keep: enough for a decision, and no value of a secret."""

from __future__ import annotations

import json

import pytest

from secretsyncer.sync.authorize import NAMESPACE_TYPE_LABEL
from secretsyncer.sync.observed import LAST_APPLIED, digest, namespace_view, summarise, without_last_applied
from tests.support.builders import ANNOTATION, kube_secret, namespace, synced_secret
from tests.support.specs import literal

CANARY = "c4n4ry-v4lu3"


def test_a_summary_shows_which_values_differ_and_contains_none():
    first = summarise(kube_secret({"same": "s", "other": CANARY, "gone": ""}))
    second = summarise(kube_secret({"same": "s", "other": f"{CANARY}!"}))
    assert first["digests"].keys() == {"same", "other", "gone"}
    assert first["digests"]["same"] == second["digests"]["same"]
    assert first["digests"]["other"] != second["digests"]["other"]
    encoded = kube_secret({"other": CANARY})["data"]["other"]
    assert CANARY not in repr(first)
    assert encoded not in repr(first)


def test_a_summary_keeps_what_a_write_is_decided_by():
    owner = {"kind": "App", "name": "x", "uid": "u"}
    secret = kube_secret(
        {}, labels={"a": "b"}, annotations={"c": "d"}, owners=[owner], type="custom", immutable=True
    )
    secret["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]}
    kept = summarise(secret)
    assert kept["metadata"] == secret["metadata"]
    assert (kept["type"], kept["immutable"]) == ("custom", True)


def test_kubectls_copy_of_the_manifest_is_dropped_because_it_holds_values():
    kept = summarise(kube_secret({}, annotations={LAST_APPLIED: CANARY, "other": "x"}))
    assert kept["metadata"]["annotations"] == {"other": "x"}


def test_a_secret_with_nothing_but_a_name_has_a_summary():
    kept = summarise({"metadata": {"name": "demo"}, "data": None})
    assert kept == {
        "metadata": {
            "name": "demo",
            "namespace": "",
            "uid": "",
            "resourceVersion": "",
            "labels": {},
            "annotations": {},
            "ownerReferences": [],
            "deletionTimestamp": "",
            "finalizers": [],
        },
        "type": "",
        "immutable": False,
        "digests": {},
    }


def test_a_null_value_is_an_empty_one():
    assert summarise({"metadata": {"name": "demo"}, "data": {"a": None}})["digests"] == {"a": digest("")}


def test_a_synced_secret_keeps_all_but_kubectls_annotations():
    obj = synced_secret(literal("a", "1"))
    obj["metadata"]["annotations"] = {LAST_APPLIED: CANARY, "kubectl.kubernetes.io/restartedAt": "now", "mine": "x"}
    obj["metadata"]["labels"] = {"team": "web"}
    kept = without_last_applied(obj)
    assert kept["metadata"]["annotations"] == {"mine": "x"}
    assert (kept["spec"], kept["metadata"]["labels"]) == (obj["spec"], {"team": "web"})
    assert CANARY not in json.dumps(kept)
    assert obj["metadata"]["annotations"].keys() == {LAST_APPLIED, "kubectl.kubernetes.io/restartedAt", "mine"}


def test_a_synced_secret_without_annotations_stays_as_it_is():
    obj = synced_secret(literal("a", "1"))
    assert without_last_applied(obj) == {**obj, "metadata": {**obj["metadata"], "annotations": {}}}


@pytest.mark.parametrize("roles", [None, ["reader"]])
def test_of_a_namespace_only_what_decides_over_access_is_kept(roles):
    obj = namespace(roles=roles, labels={NAMESPACE_TYPE_LABEL: "web", "other": "x"})
    obj["metadata"]["annotations"]["other"] = "x"
    obj["metadata"] |= {"uid": "u", "resourceVersion": "7", "deletionTimestamp": "now", "finalizers": ["f"]}
    obj["spec"] = {"finalizers": ["kubernetes"]}
    kept = namespace_view(ANNOTATION)(obj)
    assert kept == {
        "metadata": {
            "name": "team",
            "uid": "u",
            "resourceVersion": "7",
            "deletionTimestamp": "now",
            "annotations": {ANNOTATION: '["reader"]'} if roles else {},
            "labels": {NAMESPACE_TYPE_LABEL: "web"},
        }
    }


def test_a_bare_namespace_is_kept_bare():
    kept = namespace_view(ANNOTATION)({"metadata": {"name": "team"}})
    assert kept == {"metadata": {"name": "team", "annotations": {}, "labels": {}}}
