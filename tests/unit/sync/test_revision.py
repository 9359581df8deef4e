"""How often the data of a Secret have changed."""

from __future__ import annotations

import pytest

from secretsyncer.sync.observed import summarise
from secretsyncer.sync.revision import Revision, annotation, following, read
from secretsyncer.sync.secret_plan import plan
from tests.support.builders import kube_secret, parsed
from tests.support.specs import literal

SYNCED = parsed(literal("a", "1"), restart={"consumers": True})
A, B = {"a": b"1"}, {"a": b"2"}


def there(data, revision=None, uid=SYNCED.uid):
    """The Secret as the operator observes it, with the revision of this object."""
    return summarise(kube_secret(data, annotations={annotation(uid): revision.text()} if revision else {}))


async def after(data, observed, *, reported=0, managed=True, synced=SYNCED):
    return await following(synced, data, observed, reported=reported, managed=managed)


async def test_nobody_counts_without_restarts():
    assert await after(A, None, synced=parsed(literal("a", "1"))) is None


async def test_a_creation_and_a_first_look_do_not_count():
    assert (await after(A, None)).number == 0
    assert (await after(A, there(A))).number == 0


async def test_a_change_of_the_data_counts():
    first = await after(A, None)
    assert (await after(B, there(A, first))).number == 1
    assert (await after({**A, "b": b""}, there(A, first))).number == 1
    assert (await after({}, there(A, first))).number == 1


async def test_what_was_counted_is_not_counted_again():
    second = await after(B, there(A, await after(A, None)))
    assert await after(B, there(B, second)) == second


async def test_a_repair_to_the_same_data_does_not_count():
    first = await after(A, None)
    assert await after(A, there({"a": "edited"}, first)) == first
    assert await after(A, there({}, first)) == first


async def test_an_edit_together_with_a_change_counts():
    first = await after(A, None)
    assert (await after(B, there({"a": "edited"}, first))).number == 1


async def test_a_change_of_a_secret_that_nobody_has_counted_counts():
    assert (await after(B, there(A))).number == 1


async def test_an_adoption_does_not_count():
    assert (await after(B, there(A), managed=False)).number == 0
    assert (await after(B, there(A, await after(A, None)), managed=False)).number == 1  # it was adopted before


async def test_another_object_that_takes_over_begins_at_zero():
    other = (await after(A, None))._replace(number=7)
    assert await after(A, there(A, other, uid="another")) == other._replace(number=0)
    assert (await after(B, there(A, other, uid="another"))).number == 1
    assert (await after(A, there(B, other, uid="another"))).number == 0  # a repair


async def test_a_lost_annotation_leaves_the_number_of_the_status():
    assert (await after(A, there(A), reported=5)).number == 5
    assert (await after(A, None, reported=5)).number == 5
    assert (await after(B, there(A), reported=5)).number == 6


async def test_equal_data_have_different_digests():
    one, two = await after(A, None), await after(A, None)
    assert one.digest != two.digest
    assert "MQ==" not in one.text()


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "[]", "3", "{}", "[" * 100_000),
        '{"number": "1", "digest": "b"}',
        '{"number": true, "digest": ""}',
        '{"number": -1, "digest": ""}',
        '{"number": 1e400, "digest": ""}',
        '{"number": 1, "digest": 1}',
    ],
)
def test_an_annotation_that_cannot_be_read_is_none(text):
    assert read(text) is None
    assert read(None) is None


@pytest.mark.parametrize("digest", ["", "x", "é", "AAAA", "A" * 10_000])
async def test_a_digest_of_something_else_is_a_change(digest):
    assert (await after(B, there(A, Revision(1, digest)))).number == 2


def test_a_plan_writes_the_number_with_the_data_and_removes_those_of_others():
    revision = Revision(3, "digest")
    observed = there(A, Revision(9, "digest"), uid="another")
    step = plan(SYNCED, B, observed, adopt=False, revision=revision)
    assert step.body["metadata"]["annotations"] == {
        annotation(SYNCED.uid): revision.text(),
        annotation("another"): None,
    }
    assert step.keys == ("a",)
    without = plan(parsed(literal("a", "1")), A, there(A, revision), adopt=False)
    assert without.body["metadata"]["annotations"] == {annotation(SYNCED.uid): None}
    assert plan(SYNCED, A, there(A, revision), adopt=False, revision=revision) is None
    assert plan(SYNCED, A, None, adopt=False, revision=revision).body["metadata"]["annotations"]
