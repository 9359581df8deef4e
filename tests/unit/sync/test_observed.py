"""What the informers keep: enough for a decision, and no value of a secret."""

from __future__ import annotations

import json

import pytest

from secretsyncer.errors import Reason, Rejected
from secretsyncer.kube.objects import Key, unpacked
from secretsyncer.sync.authorize import NAMESPACE_TYPE_LABEL
from secretsyncer.sync.marks import MARK
from secretsyncer.sync.observed import (
    FINALIZERS,
    LAST_APPLIED,
    MOST_ENTRIES,
    MOST_ENTRIES_OF_SPEC,
    OTHERS,
    REFRESH_ANNOTATION,
    digest,
    namespace_view,
    summarise,
    synced_secret_view,
)
from secretsyncer.sync.secret_plan import plan
from secretsyncer.synced_secret import TOO_LARGE, parse, target_of
from secretsyncer.synced_secret.formats import MOST_ITEMS
from tests.support.builders import ANNOTATION, kube_secret, namespace, parsed, synced_secret
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
        "entries": 0,
        "whole": True,
    }


def test_a_null_value_is_an_empty_one():
    assert summarise({"metadata": {"name": "demo"}, "data": {"a": None}})["digests"] == {"a": digest("")}


def annotated(**annotations):
    obj = synced_secret(literal("a", "1"))
    obj["metadata"] |= {
        "annotations": annotations,
        "labels": {"team": "web"},
        "managedFields": [{}],
        "ownerReferences": [{}],
    }
    return obj


def test_of_a_synced_secret_everything_is_kept_that_is_read():
    obj = annotated(**{REFRESH_ANNOTATION: "now"})
    obj |= {"status": {"conditions": []}, "other": "x"}
    obj["metadata"] |= {"creationTimestamp": "then", "deletionTimestamp": "later"}
    kept = synced_secret_view(obj)
    assert kept.keys() == {"apiVersion", "kind", "metadata", "spec", "status"}
    assert (unpacked(kept["spec"]), unpacked(kept["status"])) == (obj["spec"], obj["status"])
    assert kept["metadata"].keys() == {
        *("name", "namespace", "uid", "generation", "creationTimestamp", "deletionTimestamp"),
        *("annotations", OTHERS),
    }
    assert kept["metadata"]["annotations"] == {REFRESH_ANNOTATION: "now"}


def test_the_texts_that_an_object_its_keys_and_its_secret_share_are_kept_once():
    def event(obj):
        obj["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z"}
        return json.loads(json.dumps(obj))  # each brings new strings

    first, later = (synced_secret_view(event(synced_secret(name="some-app"))) for _ in range(2))
    for field in ("name", "namespace", "uid", "creationTimestamp"):
        assert first["metadata"][field] is later["metadata"][field]
    secret = summarise(event(kube_secret({}, name="some-app")))
    assert secret["metadata"]["name"] is first["metadata"]["name"]


def test_the_names_that_secrets_share_are_kept_once():
    """The parser makes new ones for each; these are not among those that Python keeps once by itself."""

    def event():
        data = {"a.key-of-the-data": "x"}
        annotations, labels = {"an.annotation/of-all": "1"}, {"a.label/of-all": "1"}
        owners = [{"a-field.of-owners": "x"}]
        secret = kube_secret(data, annotations=annotations, labels=labels, owners=owners)
        return summarise(json.loads(json.dumps(secret)))

    def names(summary):
        metadata = summary["metadata"]
        maps = summary["digests"], metadata["annotations"], metadata["labels"], *metadata["ownerReferences"]
        return [name for each in maps for name in each]

    first, second = names(event()), names(event())
    assert len(first) == len(second) == 5
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_of_the_finalizers_of_a_synced_secret_the_first_are_kept():
    obj = annotated()
    obj["metadata"]["finalizers"] = [f"example.com/{number}" for number in range(100)]
    assert synced_secret_view(obj)["metadata"]["finalizers"] == obj["metadata"]["finalizers"][:FINALIZERS]


def test_of_other_labels_and_annotations_only_a_change_is_kept():
    kept = [synced_secret_view(annotated(**made))["metadata"][OTHERS] for made in ({}, {"a": "b"}, {"a": CANARY})]
    assert len(set(kept)) == 3
    assert CANARY not in str(kept)
    assert synced_secret_view(annotated(**{LAST_APPLIED: CANARY}))["metadata"][OTHERS] == kept[0]


def test_a_spec_larger_than_any_valid_one_is_counted_and_not_kept():
    obj = synced_secret(data=[{}] * (MOST_ENTRIES_OF_SPEC + 1), target={"name": "web"}, suspend=True)
    kept = synced_secret_view(obj)
    assert unpacked(kept["spec"]) == {"target": {"name": "web"}}
    assert target_of(kept) == Key("team", "web")
    with pytest.raises(Rejected, match="spec: has 30005 entries in lists and maps") as caught:
        parse(kept)
    assert caught.value.reason is Reason.INVALID_SPEC


def test_the_largest_valid_spec_is_kept():
    reference = {
        "name": "n",
        "region": "eu-west-1",
        "versionId": "v" * 32,
        "decode": "base64",
        "optional": True,
        "default": "d",
        "key": "k",
    }
    item = {"name": "k", "valueFrom": {"secretKeyRef": reference}}
    many = {f"k{n}": "v" for n in range(MOST_ITEMS)}
    source = {"name": "n", "region": "eu-west-1", "versionId": "v" * 32, "decode": "base64", "optional": True}
    obj = synced_secret(
        *[item] * MOST_ITEMS,
        dataFrom={"secretRefs": [source] * MOST_ITEMS},
        secretMetadata={"labels": many, "annotations": many},
    )
    parse(obj)
    assert TOO_LARGE not in synced_secret_view(obj)


def test_of_a_secret_with_too_many_keys_only_their_number_is_kept():
    secret = kube_secret(
        {f"k{n}": "" for n in range(MOST_ENTRIES)}, labels={"theirs": "x"}, owners=[{"kind": "App"}]
    )
    kept = summarise(secret)
    assert (kept["digests"], kept["entries"]) == ({}, MOST_ENTRIES + 3)
    assert kept["metadata"]["labels"] == {MARK: "true"}
    with pytest.raises(Rejected, match="has 20003 keys, labels and annotations") as caught:
        plan(parsed(literal("a", "1")), {"a": b"1"}, kept, adopt=True)
    assert caught.value.reason is Reason.CONFLICT


def test_a_secret_with_more_keys_than_can_be_kept_is_not_made():
    with pytest.raises(Rejected, match="would have 10001 keys; at most 10000 are possible"):
        plan(parsed(literal("a", "1")), {f"k{n}": b"" for n in range(10_001)}, None, adopt=True)


def test_a_long_annotation_is_kept_as_a_digest_and_compared_by_it():
    long = "x" * 5000
    kept = summarise(kube_secret({}, annotations={"theirs": long, "short": "x"}))
    assert len(str(kept)) < 1500
    assert not kept["whole"]
    assert summarise(kube_secret({}, annotations={"theirs": long}), whole=True)["metadata"]["annotations"] == {
        "theirs": long
    }
    wanted = parsed(literal("a", "1"), secretMetadata={"annotations": {"theirs": long}})
    written = plan(wanted, {}, None, adopt=True).body
    present = summarise({**written, "metadata": {**written["metadata"], "uid": "u", "resourceVersion": "1"}})
    assert plan(wanted, {}, present, adopt=True) is None
    changed = parsed(literal("a", "1"), secretMetadata={"annotations": {"theirs": f"{long}!"}})
    assert plan(changed, {}, present, adopt=True).body["metadata"]["annotations"] == {"theirs": f"{long}!"}


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
