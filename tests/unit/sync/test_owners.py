"""Which object owns a Secret that several objects name."""

from secretsyncer.kube.objects import Key
from secretsyncer.sync.owners import NOBODY, Owners, Peers
from tests.support.builders import synced_secret
from tests.support.specs import literal

A, B, C = (Key("team", name) for name in "abc")
SHARED = Key("team", "shared")


def claim(key, created, target="shared", policy=None):
    fields = {"name": target, "policy": policy} if target else None
    obj = synced_secret(literal("x", "1"), name=key.name, target=fields)
    obj["metadata"]["creationTimestamp"] = created
    return obj


def test_the_oldest_object_has_the_secret():
    owners = Owners()
    owners.note(B, claim(B, "2026-01-02T00:00:00Z"))
    assert owners.owner(SHARED) == B
    owners.note(A, claim(A, "2026-01-03T00:00:00Z"))
    assert owners.owner(SHARED) == B
    owners.note(C, claim(C, "2026-01-01T00:00:00Z"))
    assert owners.owner(SHARED) == C
    assert set(owners.claimants(SHARED)) == {A, B, C}


def test_of_two_of_the_same_second_the_first_by_name_has_it():
    owners = Owners()
    for key in (C, A, B):
        owners.note(key, claim(key, "2026-01-01T00:00:00Z"))
    assert owners.owner(SHARED) == A


def test_the_next_one_has_it_once_the_owner_is_gone_or_wants_another():
    owners = Owners()
    owners.note(A, claim(A, "2026-01-01T00:00:00Z"))
    owners.note(B, claim(B, "2026-01-02T00:00:00Z"))
    assert owners.note(A, claim(A, "2026-01-01T00:00:00Z", target="other")) == {B}
    assert (owners.owner(SHARED), owners.owner(Key("team", "other"))) == (B, A)
    assert owners.note(B, None) == set()
    assert owners.owner(SHARED) is None
    assert set(owners.claimants(SHARED)) == set()


def test_a_change_reports_the_objects_whose_claim_may_have_changed():
    owners = Owners()
    assert owners.note(A, claim(A, "2026-01-01T00:00:00Z")) == set()
    assert owners.note(A, claim(A, "2026-01-01T00:00:00Z")) == set()
    assert owners.note(B, claim(B, "2026-01-02T00:00:00Z")) == {A}
    assert owners.note(A, None) == {B}
    assert owners.note(C, None) == set()


def test_an_object_without_a_target_has_its_namesake():
    owners = Owners()
    owners.note(A, claim(A, "2026-01-01T00:00:00Z", target=None))
    owners.note(B, claim(B, "2025-01-01T00:00:00Z", target="a"))
    assert owners.owner(A) == B


def test_an_object_that_is_not_valid_keeps_its_claim():
    owners = Owners()
    owners.note(A, {**claim(A, "2026-01-01T00:00:00Z"), "spec": {"target": {"name": "shared"}, "data": 5}})
    owners.note(B, claim(B, "2026-01-02T00:00:00Z"))
    assert owners.owner(SHARED) == A


def test_namespaces_do_not_share_secrets():
    owners = Owners()
    owners.note(A, claim(A, "2026-01-01T00:00:00Z"))
    assert owners.owner(Key("elsewhere", "shared")) is None


def test_objects_that_fill_some_keys_share_a_secret_and_know_who_is_older():
    owners = Owners()
    for key, created in ((A, "2026-01-02T00:00:00Z"), (B, "2026-01-01T00:00:00Z"), (C, "2026-01-02T00:00:00Z")):
        owners.note(key, claim(key, created, policy="Merge"))
    assert [owners.rival(SHARED, key) for key in (A, B, C)] == [None, None, None]
    assert owners.peers(SHARED, A) == Peers(frozenset("b"), frozenset("c"))
    assert owners.peers(SHARED, B) == Peers(frozenset(), frozenset("ac"))
    assert owners.peers(A, A) == NOBODY


def test_one_that_replaces_the_secret_and_others_do_not_share_it():
    owners = Owners()
    owners.note(A, claim(A, "2026-01-01T00:00:00Z", policy="Merge"))
    owners.note(B, claim(B, "2026-01-02T00:00:00Z"))
    owners.note(C, claim(C, "2026-01-03T00:00:00Z", policy="Merge"))
    assert [owners.rival(SHARED, key) for key in (A, B, C)] == [None, A, None]
    assert owners.peers(SHARED, A) == Peers(frozenset(), frozenset("c"))
    assert owners.note(A, claim(A, "2026-01-01T00:00:00Z", policy="Replace")) == {B, C}, "all may be affected"
    assert [owners.rival(SHARED, key) for key in (A, B, C)] == [None, A, A]
