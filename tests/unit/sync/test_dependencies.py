"""A change in AWS requeues the objects that depend on it, and no others."""

import time

import pytest

from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.listing.changes import diff
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.objects import Key
from secretsyncer.sync.dependencies import (
    FEW,
    MOST_REFS,
    MOST_REFS_OF_NAMESPACE,
    Dependencies,
    DependencyIndex,
    coarse,
)
from tests.support.builders import catalogue, entry, secret_arn

ROLE = Identity("arn:aws:iam::123456789012:role/reader")
A, B, C = (Key("team", name) for name in "abc")
BEFORE = catalogue(entry("app"), entry("db", team="web"), entry("other", team="data"))


def ref(secret_id):
    return SecretRef(ROLE, secret_id)


def on(*ids, filters=(), whole=False):
    return Dependencies(frozenset(map(ref, ids)), frozenset(filters), whole)


def woken(index, after, before=BEFORE, refs=()):
    return index.affected(before, after, diff(before, after), refs)


@pytest.fixture
def index():
    return DependencyIndex()


def with_change(**changed):
    """The listing with other versions or tags of some secrets."""
    return catalogue(*(changed.get(found.name, found) for found in BEFORE.entries.values()))


@pytest.mark.parametrize("spelling", ["app", secret_arn("app"), secret_arn("app")[:-7]])
def test_a_new_version_wakes_the_objects_that_read_the_secret_however_they_name_it(index, spelling):
    index.note(A, on(spelling))
    index.note(B, on("db"))
    assert woken(index, with_change(app=entry("app", version="v2"))) == {A}


def test_a_secret_whose_name_ends_like_a_suffix_is_found_under_both_readings(index):
    name = "app-backup"
    index.note(A, on(secret_arn("x")[:-8] + name))
    after = catalogue(*BEFORE.entries.values(), entry(name))
    assert woken(index, after) == {A}


@pytest.mark.parametrize(
    "after",
    [
        catalogue(entry("app"), entry("other", team="data")),
        catalogue(entry("app"), entry("db"), entry("other", team="data")),
        catalogue(entry("app"), entry("db", version="v2", team="web"), entry("other", team="data")),
    ],
)
def test_a_secret_that_goes_or_changes_tags_or_version_wakes_its_readers(index, after):
    index.note(A, on("db"))
    index.note(B, on("app", "other"))
    assert woken(index, after) == {A}


def test_a_secret_that_comes_wakes_those_that_wait_for_it(index):
    index.note(A, on("later"))
    index.note(B, on("app"))
    assert woken(index, catalogue(*BEFORE.entries.values(), entry("later"))) == {A}


def test_a_secret_that_the_listing_does_not_show_wakes_by_reference(index):
    index.note(A, on("foreign"))
    index.note(B, on("app"))
    assert woken(index, BEFORE, refs=[ref("foreign"), ref("nobody")]) == {A}


def test_a_filter_wakes_when_what_it_selects_changes_and_only_then(index):
    index.note(A, on(filters=[Filter("tagKey", ("team",))]))
    index.note(B, on(filters=[Filter("tag", ("team", "web"))]))
    index.note(C, on(whole=True))
    assert woken(index, with_change(other=entry("other", version="v2", team="data"))) == {A, C}
    assert woken(index, with_change(db=entry("db", version="v2", team="web"))) == {A, B, C}
    assert woken(index, with_change(app=entry("app", version="v2"))) == {C}
    assert woken(index, with_change(app=entry("app", team="web"))) == {A, B, C}
    assert woken(index, with_change()) == set()


def test_the_first_listing_wakes_every_object_that_depends_on_the_whole_catalogue(index):
    index.note(A, on(filters=[Filter("tagKey", ("team",))]))
    index.note(B, on("app"))
    never = catalogue(listed_at=None)
    assert woken(index, catalogue(), before=never) == {A}
    assert woken(index, BEFORE, before=never) == {A, B}


def test_what_was_noted_before_counts_no_more(index):
    index.note(A, on("app", filters=[Filter("tagKey", ("team",))], whole=True))
    index.note(A, on("db"))
    assert woken(index, with_change(app=entry("app", version="v2"))) == set()
    assert woken(index, with_change(db=entry("db", version="v2", team="web"))) == {A}
    assert index.refs() == (ref("db"),)


def test_noting_the_same_again_changes_nothing(index):
    index.note(A, on("app"))
    index.note(A, on("app"))
    assert woken(index, with_change(app=entry("app", version="v2"))) == {A}


def test_an_object_that_is_gone_is_not_woken_and_leaves_nothing(index):
    index.note(A, on("app", secret_arn("db"), filters=[Filter("tagKey", ("team",))], whole=True))
    index.note(B, on("app"))
    index.drop(A)
    index.drop(A)
    index.drop(C)
    assert woken(index, catalogue(), refs=[ref("app")]) == {B}
    index.drop(B)
    assert index.refs() == ()
    assert woken(index, catalogue()) == set()


def test_a_reference_that_is_no_name_wakes_nothing_and_breaks_nothing(index):
    index.note(A, on("two words", "arn:aws:s3:::bucket"))
    assert woken(index, catalogue()) == set()
    index.drop(A)
    assert index.refs() == ()


def test_secrets_named_by_an_event_wake_their_readers(index):
    index.note(A, on("app"))
    index.note(B, on(secret_arn("db")))
    index.note(C, on("other"))
    assert index.by_ids({secret_arn("app"), "db", "unknown", "not a name"}) == {A, B}


def test_many_filters_become_few_that_depend_on_at_least_the_same_secrets(index):
    few = [Filter("tag", ("team", "web")), Filter("tagKey", ("env",))]
    assert coarse(few) == frozenset(few)
    values = coarse([Filter("tag", ("team", str(n))) for n in range(1_000)])
    keys = coarse([Filter("tagKey", (str(n),)) for n in range(1_000)])
    names = coarse([Filter("name", (str(n),)) for n in range(1_000)])
    assert values == {Filter("tagKey", ("team",))}
    assert keys == names == {Filter("name", ())}
    index.note(A, on(filters=values))
    index.note(B, on(filters=keys))
    index.note(C, on(filters=few))
    assert woken(index, with_change(other=entry("other", version="v2", team="data"))) == {A, B}
    assert woken(index, with_change(db=entry("db", version="v2", team="web"))) == {A, B, C}


def test_thousands_of_values_of_a_tag_are_compared_in_one_pass(index):
    entries = [entry(f"s/{n}", team="web") for n in range(3_000)]
    before, after = catalogue(*entries), catalogue(*entries, entry("new", team="web"))
    asked = frozenset(Filter("tag", ("team", str(n))) for n in range(20_000))
    index.note(A, on(filters=asked))
    began = time.thread_time()
    assert not index.affected(before, after, diff(before, after), ())
    assert time.thread_time() - began < 3  # a pass for each value takes a quarter of a minute


def many(number):
    return on(*(f"secret-{n}" for n in range(number)))


def full(index, namespaces, each=5_000):
    """Objects that read this much, until each of these namespaces has as much as it may."""
    for namespace in namespaces:
        for number in range(MOST_REFS_OF_NAMESPACE // each):
            assert index.note(Key(namespace, f"o-{number}"), many(each))


def test_objects_of_a_namespace_that_read_too_much_together_depend_on_all_that_is_listed(index):
    full(index, ["hostile"])
    beyond, few = Key("hostile", "beyond"), Key("hostile", "few")
    assert not index.note(beyond, many(FEW + 1))
    assert index.note(few, many(FEW))
    assert index.note(A, many(5_000))
    assert woken(index, with_change(other=entry("other", version="v2"))) == {beyond}
    assert len(index.refs()) == 5_000


def test_objects_of_all_namespaces_that_read_too_much_together_depend_on_all_that_is_listed(index):
    full(index, [f"hostile-{n}" for n in range(MOST_REFS // MOST_REFS_OF_NAMESPACE)])
    assert not index.note(A, many(FEW + 1))
    assert index.note(B, many(FEW))
    assert woken(index, with_change(other=entry("other", version="v2"))) == {A}


@pytest.mark.parametrize("gone", [True, False])
def test_an_object_that_goes_or_reads_less_makes_room(index, gone):
    full(index, ["hostile"])
    for _ in range(3):
        if gone:
            index.drop(Key("hostile", "o-0"))
        else:
            index.note(Key("hostile", "o-0"), many(1))
        assert index.note(Key("hostile", "new"), many(5_000))
        assert not index.note(Key("hostile", "o-0"), many(5_000))
        index.drop(Key("hostile", "new"))
        assert index.note(Key("hostile", "o-0"), many(5_000))


def test_the_metrics_are_made_while_objects_change(index):
    class Interrupted(str):
        """The loop notes another object whenever the thread of the metrics compares with this name of a service."""

        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            index.note(C, on("new"))
            return str(self) == other

    index.note(A, on("app"))
    index.note(B, on("db"))
    assert set(index.refs(Interrupted("SecretsManager"))) == {ref("app"), ref("db")}
    assert set(index.refs()) == {ref("app"), ref("db"), ref("new")}
