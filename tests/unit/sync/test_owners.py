"""Which object has a Secret that several ask for."""

from secretsyncer.kube.objects import Key
from secretsyncer.sync.owners import Targets
from tests.support.builders import synced_secret
from tests.support.specs import literal

A, B, C = (Key("team", name) for name in "abc")
SHARED = Key("team", "shared")


def claim(key, created, target="shared"):
    obj = synced_secret(literal("x", "1"), name=key.name, target={"name": target} if target else None)
    obj["metadata"]["creationTimestamp"] = created
    return obj


def test_the_oldest_object_has_the_secret():
    targets = Targets()
    targets.note(B, claim(B, "2026-01-02T00:00:00Z"))
    assert targets.owner(SHARED) == B
    targets.note(A, claim(A, "2026-01-03T00:00:00Z"))
    assert targets.owner(SHARED) == B
    targets.note(C, claim(C, "2026-01-01T00:00:00Z"))
    assert targets.owner(SHARED) == C
    assert set(targets.claimants(SHARED)) == {A, B, C}


def test_of_two_of_the_same_second_the_first_by_name_has_it():
    targets = Targets()
    for key in (C, A, B):
        targets.note(key, claim(key, "2026-01-01T00:00:00Z"))
    assert targets.owner(SHARED) == A


def test_the_next_one_has_it_once_the_owner_is_gone_or_wants_another():
    targets = Targets()
    targets.note(A, claim(A, "2026-01-01T00:00:00Z"))
    targets.note(B, claim(B, "2026-01-02T00:00:00Z"))
    assert targets.note(A, claim(A, "2026-01-01T00:00:00Z", target="other")) == {B}
    assert (targets.owner(SHARED), targets.owner(Key("team", "other"))) == (B, A)
    assert targets.note(B, None) == set()
    assert targets.owner(SHARED) is None
    assert set(targets.claimants(SHARED)) == set()


def test_a_change_tells_whose_claim_may_have_changed_by_it():
    targets = Targets()
    assert targets.note(A, claim(A, "2026-01-01T00:00:00Z")) == set()
    assert targets.note(A, claim(A, "2026-01-01T00:00:00Z")) == set()
    assert targets.note(B, claim(B, "2026-01-02T00:00:00Z")) == {A}
    assert targets.note(A, None) == {B}
    assert targets.note(C, None) == set()


def test_an_object_without_a_target_has_its_namesake():
    targets = Targets()
    targets.note(A, claim(A, "2026-01-01T00:00:00Z", target=None))
    targets.note(B, claim(B, "2025-01-01T00:00:00Z", target="a"))
    assert targets.owner(A) == B


def test_an_object_that_is_not_valid_keeps_its_claim():
    targets = Targets()
    targets.note(A, {**claim(A, "2026-01-01T00:00:00Z"), "spec": {"target": {"name": "shared"}, "data": 5}})
    targets.note(B, claim(B, "2026-01-02T00:00:00Z"))
    assert targets.owner(SHARED) == A


def test_namespaces_do_not_share_secrets():
    targets = Targets()
    targets.note(A, claim(A, "2026-01-01T00:00:00Z"))
    assert targets.owner(Key("elsewhere", "shared")) is None
