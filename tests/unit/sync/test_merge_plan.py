"""The write of some keys of a Secret: own keys only, whoever else is in it, and whatever its annotation says."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.kubeapi.patches import merge_patch
from secretsyncer.errors import Reason, Rejected
from secretsyncer.sync import held_keys
from secretsyncer.sync.held_keys import HELD, LONGEST, MOST_HOLDERS, Held
from secretsyncer.sync.marks import MARK, OLD_MARK, OLD_VALUE, SOME_KEYS, WHOLE
from secretsyncer.sync.merge_plan import plan_merge, plan_release
from secretsyncer.sync.observed import summarise
from secretsyncer.sync.owners import NOBODY, Peers
from secretsyncer.sync.revision import Revision, annotation, is_revision
from secretsyncer.sync.secret_plan import MANAGED_METADATA, Patch, plan
from tests.support.builders import kube_secret, parsed
from tests.support.specs import literal

THEIRS = {"admin.password": "theirs", "b": "theirs"}
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "u-9", "controller": True}


def asked(policy="Merge", **spec):
    target = {"policy": policy, **spec.pop("target", {})}
    return parsed(literal("a", "1"), target=target, **spec)


def foreign(data=THEIRS, held=None, **fields):
    """A Secret of somebody else; `held` is its annotation, as text or as keys by object."""
    text = (
        held
        if isinstance(held, str)
        else held_keys.written({n: Held(frozenset(k)) for n, k in (held or {}).items()})
    )
    texts = {} if text is None else {HELD: text}
    labels = {"team": "argo", **({MARK: SOME_KEYS} if held is not None else {})}
    made = kube_secret(data, ours=False, labels=labels, annotations={"note": "theirs", **texts}, owners=[OWNER])
    return {**made, **fields}


def settle(synced, data, secret, **options):
    """The Secret after the patch that is planned for it, which must be the last one."""
    step = plan_merge(synced, data, summarise(secret), **options)
    assert isinstance(step, Patch)
    after = merge_patch(secret, step.body)
    assert plan_merge(synced, data, summarise(after), **options) is None
    return after


def conflict(synced, data, secret, reason=Reason.CONFLICT, **options):
    with pytest.raises(Rejected) as raised:
        plan_merge(synced, data, summarise(secret) if secret else None, **options)
    assert raised.value.reason is reason
    return raised.value.message


def held_in(secret):
    return held_keys.read(secret["metadata"]["annotations"])


def encoded(**data):
    return {key: b64encode(value.encode()).decode() for key, value in data.items()}


# Own keys and those of others


def test_only_the_own_keys_are_written():
    before = foreign()
    after = settle(asked(), {"a": b"1"}, before)
    assert after["data"] == {**before["data"], **encoded(a="1")}
    assert after["type"] == before["type"]
    metadata = after["metadata"]
    assert metadata["labels"] == {"team": "argo", MARK: SOME_KEYS}
    assert metadata["ownerReferences"] == [OWNER]
    assert json.loads(metadata["annotations"].pop(HELD)) == {"demo": {"keys": ["a"]}}
    assert metadata["annotations"] == {"note": "theirs"}


def test_drift_of_own_keys_is_corrected_and_that_of_others_stays():
    mine = foreign({"a": "x", "b": "changed"}, held={"demo": ["a"]})
    after = settle(asked(), {"a": b"1"}, mine)
    assert after["data"] == encoded(a="1", b="changed")


def test_keys_that_are_no_longer_asked_for_go_and_others_stay():
    mine = foreign({"a": "1", "old": "1", "b": "theirs"}, held={"demo": ["a", "old"]})
    after = settle(asked(), {"a": b"1"}, mine)
    assert after["data"] == encoded(a="1", b="theirs")
    assert held_in(after) == {"demo": Held(frozenset({"a"}))}


@pytest.mark.parametrize("adopt", [None, False])
def test_a_key_that_nobody_has_written_is_a_conflict_that_names_it(adopt):
    message = conflict(asked(adopt=adopt), {"a": b"1", "b": b"2", "admin.password": b"3"}, foreign())
    assert "has the keys admin.password, b already" in message
    assert "spec.adopt: true" in message
    assert "theirs" not in message


def test_even_one_with_the_same_value():
    assert conflict(asked(), {"b": b"theirs"}, foreign()), "or a status would show whether a guess is right"


def test_it_is_taken_over_with_adopt():
    after = settle(asked(adopt=True), {"b": b"ours"}, foreign())
    assert after["data"] == {**foreign()["data"], **encoded(b="ours")}
    assert held_in(after) == {"demo": Held(frozenset({"b"}))}


# Other objects


def test_two_objects_fill_one_secret():
    one = settle(asked(), {"a": b"1"}, foreign(), peers=Peers(younger=frozenset({"web"})))
    web = parsed(literal("c", "2"), name="web", target={"name": "demo", "policy": "Merge"}, deletionPolicy="Delete")
    both = settle(web, {"c": b"2"}, one, peers=Peers(older=frozenset({"demo"})))
    assert both["data"] == {**foreign()["data"], **encoded(a="1", c="2")}
    assert held_in(both) == {"demo": Held(frozenset({"a"})), "web": Held(frozenset({"c"}), delete=True)}
    assert plan_merge(asked(), {"a": b"1"}, summarise(both), peers=Peers(younger=frozenset({"web"}))) is None


def test_a_key_of_an_older_object_is_a_conflict_that_names_both():
    theirs = foreign({"a": "theirs"}, held={"web": ["a"]})
    message = conflict(asked(adopt=True), {"a": b"1"}, theirs, peers=Peers(older=frozenset({"web"})))
    assert "the older SyncedSecret web writes its key a" in message


def test_a_key_of_a_younger_object_is_taken_whoever_wrote_it_first():
    theirs = foreign({"a": "theirs", "z": "theirs"}, held={"web": ["a", "z"]})
    after = settle(asked(), {"a": b"1"}, theirs, peers=Peers(younger=frozenset({"web"})))
    assert after["data"] == encoded(a="1", z="theirs")
    assert held_in(after) == {"demo": Held(frozenset({"a"})), "web": Held(frozenset({"z"}))}


def test_a_key_of_an_object_that_is_gone_belongs_to_nobody():
    left = foreign({"a": "left"}, held={"gone": ["a"]})
    assert "has the key a already" in conflict(asked(), {"a": b"1"}, left)
    assert settle(asked(adopt=True), {"a": b"1"}, left)["data"] == encoded(a="1")


# Annotations of whoever may write the Secret

FORGED = [
    "", "null", "5", "[]", '"demo"', "{", "[" * 100_000, '{"demo": 5}', '{"demo": {"keys": 5}}', '{"demo": {"keys": [1]}}',
    '{"demo": {"keys": {"a": 1}}}', '{"de mo,x=y": {"keys": ["a"]}}', "x" * (LONGEST + 1),
    json.dumps({f"o{number}": {"keys": []} for number in range(MOST_HOLDERS + 1)}),
]  # fmt: skip


@pytest.mark.parametrize("text", FORGED, ids=range(len(FORGED)))
def test_an_annotation_that_cannot_be_read_says_nothing_and_is_corrected(text):
    assert held_keys.read({HELD: text}) == {}
    damaged = foreign({"a": "1", "b": "theirs"}, held=text)
    assert conflict(asked(), {"a": b"1"}, damaged), "after a restart, nobody knows whose it is"
    after = settle(asked(), {"a": b"1"}, damaged, known=frozenset({"a"}))
    assert held_in(after) == {"demo": Held(frozenset({"a"}))}
    assert after["data"] == damaged["data"]


def test_what_an_annotation_claims_of_a_key_that_is_not_there_removes_nothing():
    after = settle(asked(), {"a": b"1"}, foreign(held={"demo": ["x", "y"], "web": ["z"]}))
    assert after["data"] == {**foreign()["data"], **encoded(a="1")}


def test_an_annotation_that_would_be_too_long_is_a_conflict():
    data = {f"{number}-{'k' * 240}": b"" for number in range(300)}
    assert f"at most {LONGEST} characters" in conflict(asked(), data, foreign())
    many = foreign(held={f"o{number}": ["x"] for number in range(MOST_HOLDERS)})
    assert f"{MOST_HOLDERS} objects" in conflict(asked(), {"a": b"1"}, many)


# Secrets that cannot be filled


def test_a_secret_that_does_not_exist_is_waited_for_unless_it_may_be_created():
    assert "does not exist" in conflict(asked(), {"a": b"1"}, None, Reason.SECRET_MISSING)
    body = plan_merge(asked(target={"create": True}, type="x/y"), {"a": b"1"}, None).body
    assert (body["type"], body["data"]) == ("x/y", encoded(a="1"))
    assert body["metadata"]["labels"] == {MARK: SOME_KEYS}
    assert "ownerReferences" not in body["metadata"]


def test_policy_replace_waits_too_where_it_may_not_create():
    synced = asked("Replace", target={"create": False})
    with pytest.raises(Rejected) as raised:
        plan(synced, {"a": b"1"}, None, adopt=True)
    assert raised.value.reason is Reason.SECRET_MISSING


def test_an_immutable_secret_is_never_recreated():
    assert "is immutable" in conflict(asked(), {"a": b"1"}, foreign(immutable=True))
    same = foreign({"a": "1"}, held={"demo": ["a"]}, immutable=True)
    assert plan_merge(asked(), {"a": b"1"}, summarise(same)) is None


def test_a_type_is_never_changed():
    assert "has the type Opaque, and spec.type is x/y" in conflict(asked(type="x/y"), {"a": b"1"}, foreign())
    assert settle(asked(type="x/y"), {"a": b"1"}, foreign(type="x/y"))["type"] == "x/y"
    assert settle(asked(), {"a": b"1"}, foreign(type="x/y"))["type"] == "x/y"


@pytest.mark.parametrize("kind", ["kubernetes.io/service-account-token", "helm.sh/release.v1"])
def test_credentials_of_the_cluster_are_never_filled(kind):
    assert "never taken over" in conflict(asked(adopt=True), {"a": b"1"}, foreign(type=kind))


def test_a_spec_without_data_removes_no_key():
    nothing = asked()._replace(spec=parsed(target={"policy": "Merge"}).spec)
    mine = foreign({"a": "1", "b": "theirs"}, held={"demo": ["a"]})
    assert "has 1 key" in conflict(nothing, {}, mine, Reason.INVALID_SPEC)
    may = asked()._replace(spec=parsed(target={"policy": "Merge"}, allowEmpty=True).spec)
    assert settle(may, {}, mine)["data"] == encoded(b="theirs")


# From one policy to the other


@pytest.mark.parametrize("mark", [{MARK: WHOLE}, {OLD_MARK: OLD_VALUE}])
def test_from_replace_to_merge_the_secret_goes_to_whoever_wants_it(mark):
    owner = {
        "apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret", "name": "demo", "uid": "uid-1", "controller": True,
    }  # fmt: skip
    managed = {MANAGED_METADATA: '{"labels":["ours"],"annotations":[]}'}
    whole = kube_secret(
        {"a": "1", "b": "2"},
        ours=False,
        labels={**mark, "ours": "x", "team": "y"},
        annotations=managed,
        owners=[owner],
    )
    after = settle(asked(), {"a": b"new"}, whole)
    assert after["data"] == encoded(a="new", b="2")
    assert after["metadata"]["labels"] == {MARK: SOME_KEYS, "team": "y"}
    assert after["metadata"]["annotations"].keys() == {HELD}
    assert after["metadata"]["ownerReferences"] == [], "or Kubernetes would delete all of it with the object"


def test_from_merge_to_replace_keys_of_others_are_removed_only_with_adopt():
    mine = foreign({"a": "1", "old": "1", "b": "theirs"}, held={"demo": ["a", "old"]})
    with pytest.raises(Rejected, match="its key b would be removed"):
        plan(asked("Replace"), {"a": b"1"}, summarise(mine), adopt=True)
    step = plan(asked("Replace", adopt=True), {"a": b"1"}, summarise(mine), adopt=True)
    after = merge_patch(mine, step.body)
    assert after["data"] == encoded(a="1")
    assert after["metadata"]["labels"] == {"team": "argo", MARK: WHOLE}
    assert after["metadata"]["annotations"] == {"note": "theirs"}


def test_from_merge_to_replace_a_secret_with_own_keys_only_is_ours():
    mine = foreign({"a": "1", "old": "1"}, held={"demo": ["a", "old"]})
    step = plan(asked("Replace"), {"a": b"1"}, summarise(mine), adopt=False)
    assert merge_patch(mine, step.body)["data"] == encoded(a="1")


# Leaving


def released(secret, name="demo", *, delete):
    step = plan_release(summarise(secret), [name], delete=delete)
    return merge_patch(secret, step.body) if step else None


def test_the_last_object_leaves_nothing_but_the_keys_of_others():
    mine = foreign({"a": "1", "b": "theirs"}, held={"demo": ["a", "gone"]})
    after = released(mine, delete=True)
    assert after["data"] == encoded(b="theirs")
    assert after["metadata"]["labels"] == {"team": "argo"}
    assert after["metadata"]["annotations"] == {"note": "theirs"}
    assert released(after, delete=True) is None


def test_what_is_retained_belongs_to_nobody_any_more():
    after = released(foreign({"a": "1", "b": "theirs"}, held={"demo": ["a"]}), delete=False)
    assert after["data"] == encoded(a="1", b="theirs")
    assert HELD not in after["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("kind", "data", "left"),
    [
        ("kubernetes.io/tls", {"tls.crt": "c", "tls.key": "k", "more": "1"}, {"tls.crt": "c", "tls.key": "k"}),
        ("kubernetes.io/basic-auth", {"password": "p", "more": "1"}, {"password": "p"}),
        ("Opaque", {"tls.crt": "c"}, {}),
    ],
)
def test_keys_that_the_type_of_the_secret_requires_stay(kind, data, left):
    mine = foreign(data, held={"demo": list(data)})
    after = released({**mine, "type": kind}, delete=True)
    assert after["data"] == encoded(**left)
    assert HELD not in after["metadata"]["annotations"]


def test_a_required_key_goes_if_another_one_is_enough():
    mine = {
        **foreign({"password": "p", "username": "u"}, held={"demo": ["password"]}),
        "type": "kubernetes.io/basic-auth",
    }
    assert released(mine, delete=True)["data"] == encoded(username="u")


def test_a_key_that_another_object_has_taken_stays():
    both = foreign({"a": "1", "c": "1"}, held={"demo": ["a", "c"], "web": ["a"]})
    after = released(both, delete=True)
    assert after["data"] == encoded(a="1")
    assert held_in(after) == {"web": Held(frozenset({"a"}))}
    assert after["metadata"]["labels"][MARK] == SOME_KEYS


# The revision of the data

FIRST, SECOND = Revision(0, "first"), Revision(1, "second")
REVISION = annotation("uid-1")


def noted(secret):
    return {name: text for name, text in secret["metadata"]["annotations"].items() if is_revision(name)}


def test_the_revision_is_written_with_the_keys_and_those_of_other_objects_stay():
    others = {annotation("u-2"): SECOND.text()}
    before = foreign(held={"web": ["c"]})
    before["metadata"]["annotations"].update(others)
    after = settle(asked(), {"a": b"1"}, before, revision=FIRST)
    assert noted(after) == {REVISION: FIRST.text(), **others}
    after = settle(asked(), {"a": b"2"}, after, revision=SECOND)
    assert noted(after) == {REVISION: SECOND.text(), **others}
    after = settle(asked(), {"a": b"2"}, after)  # without spec.restart
    assert noted(after) == others
    assert held_in(after)["demo"] == Held(frozenset({"a"}))


def test_a_created_secret_has_the_revision():
    step = plan_merge(asked(target={"create": True}), {"a": b"1"}, None, revision=FIRST)
    assert noted(step.body) == {REVISION: FIRST.text()}


def test_an_object_that_is_recreated_leaves_no_revision_of_its_predecessor():
    before = settle(asked(), {"a": b"1"}, foreign(), revision=SECOND)
    successor = asked()._replace(uid="u-3")
    assert noted(settle(successor, {"a": b"1"}, before, revision=FIRST)) == {annotation("u-3"): FIRST.text()}
    assert noted(settle(successor, {"a": b"1"}, before)) == {}


@pytest.mark.parametrize("data", [{"a": b"1"}, {}])
def test_an_object_that_is_gone_leaves_no_revision(data):
    spec = {"allowEmpty": True}
    before = settle(asked(**spec), data, foreign(held={"web": ["c"]}), revision=FIRST)
    after = released(before, delete=True)
    assert noted(after) == {}
    assert held_in(after) == {"web": Held(frozenset({"c"}))}


def test_from_replace_to_merge_the_revision_goes_on():
    whole = kube_secret({"a": "1"}, annotations={REVISION: FIRST.text(), annotation("u-2"): SECOND.text()})
    assert noted(settle(asked(), {"a": b"1"}, whole, revision=FIRST)) == {REVISION: FIRST.text()}


# Whatever is there

KEYS = st.sampled_from(["a", "b", "c", "d"])
DATA = st.dictionaries(KEYS, st.sampled_from(["", "1", "2"]), max_size=4)
HOLDERS = st.dictionaries(
    st.sampled_from(["demo", "old", "young", "gone"]), st.lists(KEYS, min_size=1, max_size=3, unique=True)
)
PEERS = Peers(frozenset({"old"}), frozenset({"young"}))


@given(data=DATA.filter(bool), there=DATA, held=HOLDERS, adopt=st.booleans())
def test_one_patch_is_enough_and_touches_no_key_of_others(data, there, held, adopt):
    secret = foreign(there, held=held)
    wanted = {key: text.encode() for key, text in data.items()}
    own = set(held.get("demo", ()))
    theirs = {key for name, keys in held.items() if name == "old" for key in keys}
    taken = (there.keys() & data.keys()) - own - set(held.get("young", ()))
    if theirs & data.keys() or (taken and not adopt):
        conflict(asked(adopt=adopt), wanted, secret, peers=PEERS)
        return
    step = plan_merge(asked(adopt=adopt), wanted, summarise(secret), peers=PEERS)
    after = merge_patch(secret, step.body) if step else secret
    assert plan_merge(asked(adopt=adopt), wanted, summarise(after), peers=PEERS) is None
    assert {key: after["data"][key] for key in data} == encoded(**data)
    others = (there.keys() - data.keys()) - own
    assert {key: after["data"].get(key) for key in others} == encoded(**{key: there[key] for key in others})
    assert after["data"].keys() <= data.keys() | there.keys()
    assert held_in(after)["demo"].keys == data.keys()
    assert Peers() == NOBODY
