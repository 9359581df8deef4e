"""The inputs of the last reconcile of an object, and whether one has changed since."""

from __future__ import annotations

import pytest

from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.errors import Rejected
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.objects import Key
from secretsyncer.sync.content import Content
from secretsyncer.sync.dependencies import Dependencies
from secretsyncer.sync.records import Records
from secretsyncer.sync.status import Source, synced
from tests.support.builders import ANNOTATION, catalogue, entry, kube_secret, namespace, synced_secret
from tests.support.core import KEY
from tests.support.specs import literal

APP = SecretRef(Identity("arn:aws:iam::123456789012:role/reader"), "app")
VERSION = ("arn:app", "v1")
LISTED = catalogue(entry("app", team="web"), entry("other"))
OBJECT = synced_secret(literal("a", "1"))


def with_metadata(obj, **metadata):
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


def content(*, filters=(), whole=False):
    return Content(
        {"a": b"1"},
        {APP: Source("app", *VERSION)},
        frozenset({"app"}),
        True,
        Dependencies(frozenset({APP}), frozenset(filters), whole),
    )


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def is_current(records):
    """Whether the object, reconciled once, is current in a world that differs from that one in `changes`."""

    def check(made=None, *, in_step=True, **changes):
        record, _ = records.parse(KEY, OBJECT)
        record.keep(made or content(), LISTED, namespace(roles=["reader"]), secret_version="7", in_step=in_step)
        world = {
            "namespace": namespace(roles=["reader"]),
            "secret": kube_secret({"a": "1"}),
            "listings": LISTED,
            "known": {APP: VERSION},
        } | changes
        known = world.pop("known")
        return record.is_current(**world, known=lambda ref, listing: known.get(ref))

    return check


# Whose record it is


def test_a_record_is_of_one_generation_of_one_object(records):
    record, _ = records.parse(KEY, OBJECT)
    assert record.is_of(OBJECT)
    assert not record.is_of(with_metadata(OBJECT, generation=2))
    assert not record.is_of(with_metadata(OBJECT, uid="another"))
    assert not record.is_of(with_metadata(OBJECT, deletionTimestamp="2026-01-01T00:00:00Z"))


def test_a_record_stays_the_same_in_one_generation(records):
    record, _ = records.parse(KEY, OBJECT)
    record.in_step = True
    assert records.parse(KEY, OBJECT)[0] is record
    newer, _ = records.parse(KEY, with_metadata(OBJECT, generation=2))
    assert (newer.generation, newer.in_step) == (2, False)
    assert records.get(KEY) is newer


def test_of_an_object_that_is_not_valid_little_is_kept(records):
    record, _ = records.parse(KEY, OBJECT)
    record.keep(content(), LISTED, namespace(roles=["reader"]), secret_version="7", in_step=True)
    record.left = frozenset({Key("team", "former")})
    with pytest.raises(Rejected):
        records.parse(KEY, with_metadata({**OBJECT, "spec": 5}, generation=2))
    assert not record.versions
    assert not record.in_step
    again = with_metadata(synced_secret(literal("a", "1"), target={"name": "new"}), generation=3)
    assert records.parse(KEY, again)[0].left == {Key("team", "former"), KEY}


def test_a_dropped_record_is_forgotten(records):
    records.parse(KEY, OBJECT)
    records.drop(KEY)
    records.drop(KEY)
    assert records.get(KEY) is None


# Whether it is current


def test_nothing_has_changed(is_current):
    assert is_current()


def test_before_the_first_success_nothing_is_current(records):
    record, _ = records.parse(KEY, OBJECT)
    assert not record.is_current(namespace(), kube_secret({}), LISTED, lambda ref, listing: VERSION)


def test_values_that_only_aws_can_confirm_are_never_current(is_current):
    assert not is_current(in_step=False)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"namespace": None}, id="the namespace is gone"),
        pytest.param({"namespace": namespace(roles=["another"])}, id="the namespace allows other roles"),
        pytest.param({"namespace": namespace(roles=["reader"], labels={"a": "b"})}, id="the namespace has other labels"),
        pytest.param({"namespace": with_metadata(namespace(roles=["reader"]), uid="2")}, id="another namespace"),
        pytest.param({"secret": None}, id="the Secret is gone"),
        pytest.param({"secret": with_metadata(kube_secret({}), resourceVersion="8")}, id="the Secret has changed"),
        pytest.param({"known": {APP: ("arn:app", "v2")}}, id="another version"),
        pytest.param({"known": {APP: ("arn:made-again", "v1")}}, id="another secret of the name"),
        pytest.param({"known": {}}, id="a version that nobody knows"),
    ],
)  # fmt: skip
def test_a_change_is_seen(is_current, changes):
    assert not is_current(**changes)


@pytest.mark.parametrize(
    ("made", "listing", "current"),
    [
        (content(whole=True), catalogue(entry("app", team="web"), entry("other"), entry("new")), False),
        (content(whole=True), LISTED, True),
        (content(filters=[Filter("tagKey", ("team",))]), catalogue(entry("app", team="web"), entry("x")), True),
        (content(filters=[Filter("tagKey", ("team",))]), catalogue(entry("app"), entry("other")), False),
        (content(filters=[Filter("tag", ("team", "web"))]), catalogue(entry("app", team="ops")), False),
        (content(), catalogue(), True),
    ],
)
def test_the_part_of_the_listing_that_was_looked_at_decides(is_current, made, listing, current):
    assert is_current(made, listings=listing) is current


def test_the_annotation_that_decides_is_the_one_that_the_informer_keeps(is_current):
    kept = namespace(roles=["reader"])
    kept["metadata"]["annotations"] = {ANNOTATION: '["reader"]'}
    assert is_current(namespace=kept)


@pytest.mark.parametrize(("number", "complete"), [(49, True), (50, False), (300, False)])
def test_the_sources_in_a_status_may_not_be_all(records, number, complete):
    """After a start, and if an object reads so many secrets that little is kept of it."""
    sources = tuple(Source(f"s{n:03}", f"arn:s{n:03}", "v1") for n in range(number))
    status = synced({}, generation=OBJECT["metadata"]["generation"], sources=sources, keys=1, now=0)
    record, _ = records.parse(KEY, OBJECT)
    good = record.last_good({**OBJECT, "status": status})
    assert (len(good.sources), good.complete) == (min(number, 50), complete)
