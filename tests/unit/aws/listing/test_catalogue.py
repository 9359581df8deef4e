"""Entries that the catalogue finds or does not guess, and differences between listings."""

from datetime import UTC, datetime

import pytest

from secretsyncer.aws.identity import OPERATOR, Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.listing.changes import diff

HOME = "123456789012"
REGION = "eu-west-1"
READER = Identity(f"arn:aws:iam::{HOME}:role/reader")
STRANGER = Identity("arn:aws:iam::999999999999:role/reader")


def arn(name, suffix="AbCdEf", region=REGION):
    return f"arn:aws:secretsmanager:{region}:{HOME}:secret:{name}-{suffix}"


def entry(name, version="v1", suffix="AbCdEf", day=1, **tags):
    return Entry(name, arn(name, suffix), tags, version, datetime(2026, 1, day, tzinfo=UTC))


def listing(*entries, own_account=True, **more):
    return Catalogue(entries, region=REGION, round=more.get("round", 1), listed_at=1.0, own_account=own_account)


@pytest.mark.parametrize("identity", [READER, OPERATOR])
@pytest.mark.parametrize("form", ["app/x", arn("app/x"), arn("app/x")[:-7]])
def test_every_spelling_is_found_by_identities_of_the_listed_account(identity, form):
    assert listing(entry("app/x")).find(SecretRef(identity, form)) == entry("app/x")


@pytest.mark.parametrize("form", ["app/x", arn("app/x")[:-7]])
def test_another_accounts_role_means_its_own_secret_by_a_name_or_partial_arn(form):
    assert listing(entry("app/x")).find(SecretRef(STRANGER, form)) is None


def test_another_accounts_role_is_understood_by_a_full_arn():
    assert listing(entry("app/x")).find(SecretRef(STRANGER, arn("app/x"))) == entry("app/x")


def test_a_full_arn_must_be_the_entrys_own():
    made_anew = listing(entry("app/x", suffix="NewOne"))
    assert made_anew.find(SecretRef(READER, arn("app/x", "AbCdEf"))) is None


def test_an_arn_of_another_region_or_account_is_not_found():
    catalogue = listing(entry("app/x"))
    assert catalogue.find(SecretRef(READER, arn("app/x", region="us-east-1"))) is None
    assert catalogue.find(SecretRef(READER, arn("app/x").replace(HOME, "999999999999"))) is None
    assert catalogue.find(SecretRef(READER, arn("app/x")[:-7].replace(HOME, "999999999999"))) is None


def test_a_name_in_another_region_is_not_found():
    catalogue = listing(entry("app/x"))
    assert catalogue.find(SecretRef(READER, "app/x", region="us-east-1")) is None
    assert catalogue.find(SecretRef(READER, "app/x", region=REGION)) is not None


def test_the_operators_own_names_are_not_looked_up_in_another_accounts_listing():
    catalogue = listing(entry("app/x"), own_account=False)
    assert catalogue.find(SecretRef(OPERATOR, "app/x")) is None
    assert catalogue.find(SecretRef(READER, "app/x")) is not None


def test_a_name_that_ends_like_an_arns_suffix_is_still_a_name():
    tricky = entry("app-secret")
    assert listing(tricky).find(SecretRef(READER, "app-secret")) == tricky
    assert listing(tricky).find(SecretRef(READER, tricky.arn)) == tricky


def test_nothing_is_found_before_the_first_listing():
    assert Catalogue().find(SecretRef(READER, "app/x")) is None
    assert not Catalogue().is_home(READER)


def test_a_listing_differs_from_the_last_in_names_versions_tags_and_dates():
    old = listing(
        entry("same"), entry("gone"), entry("new version"), entry("tagged"), entry("touched"), entry("anew")
    )
    new = listing(
        entry("same"),
        entry("added"),
        entry("new version", "v2"),
        entry("tagged", team="a"),
        entry("touched", day=2),
        entry("anew", suffix="Other1"),
    )
    changes = diff(old, new)
    assert changes.added == {"added"}
    assert changes.removed == {"gone"}
    assert changes.updated == {"new version", "anew"}
    assert changes.retagged == {"tagged", "touched"}
    assert changes.names == {"added", "gone", "new version", "anew", "tagged", "touched"}


def test_equal_listings_do_not_differ():
    assert not diff(listing(entry("a")), listing(entry("a"), round=2))


def test_digests_change_with_what_a_filter_selects_and_with_nothing_else():
    old = listing(entry("a", team="x"), entry("b", team="y"), entry("c"))
    new = listing(entry("a", team="x"), entry("b", "v2", team="y"), entry("c", "v2"), round=2)
    assert old.tag_digest("team") != new.tag_digest("team")
    assert old.tag_value_digest("team", "x") == new.tag_value_digest("team", "x")
    assert old.tag_value_digest("team", "y") != new.tag_value_digest("team", "y")
    assert old.tag_digest("other") == new.tag_digest("other")
    assert old.digest() != new.digest()


def test_digests_do_not_depend_on_the_order_of_the_listing():
    one, two = listing(entry("a", k="1"), entry("b", k="2")), listing(entry("b", k="2"), entry("a", k="1"))
    assert (one.digest(), one.tag_digest("k")) == (two.digest(), two.tag_digest("k"))


def test_digests_see_tags_and_dates():
    base = listing(entry("a", k="1"))
    assert base.tag_digest("k") != listing(entry("a", k="1", other="2")).tag_digest("k")
    assert base.tag_digest("k") != listing(entry("a", k="1", day=2)).tag_digest("k")


def test_a_later_round_without_a_listing_keeps_the_entries_and_the_time_of_the_listing():
    later = listing(entry("a")).at_round(7)
    assert (later.round, later.listed_round, later.listed_at) == (7, 1, 1.0)
    assert later.find(SecretRef(READER, "a")) == entry("a")
