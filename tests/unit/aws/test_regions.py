"""Which regions may be named, in every form of a reference."""

import pytest

from secretsyncer.aws.identity import OPERATOR, SecretRef
from secretsyncer.aws.regions import REGIONS, Regions

ARN = "arn:aws:secretsmanager:{}:123456789012:secret:app"


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-east-1", "cn-north-1", "us-iso-east-1", "il-central-1"])
def test_regions_of_all_partitions_are_known(region):
    assert REGIONS.check(region, "it") == region


@pytest.mark.parametrize(
    "region",
    ["", "eu", "EU-WEST-1", "eu-west-99", "aws-global", "eu-west-1.evil.com", "eu-west-1/", "-x-1", "eu-west-1\n"],
)
def test_what_is_no_region_says_what_to_correct_and_which_setting_allows_it(region):
    with pytest.raises(ValueError, match=r"not an AWS region .* correct spec\.region, .* EXTRA_REGIONS"):
        REGIONS.check(region, "spec.region")


@pytest.mark.parametrize(
    ("ref", "field"),
    [
        (SecretRef(OPERATOR, "app", "xx-west-1"), "the field region"),
        (SecretRef(OPERATOR, ARN.format("xx-west-1")), "the region in the ARN"),
        (SecretRef(OPERATOR, ARN.format("xx-west-1"), "xx-west-1"), "the region in the ARN"),
    ],
)
def test_the_region_of_a_reference_is_checked_wherever_it_stands(ref, field):
    with pytest.raises(ValueError, match=field):
        REGIONS.of(ref)
    assert Regions(["xx-west-1"]).of(ref) == "xx-west-1"


def test_a_reference_without_a_region_names_none():
    assert REGIONS.of(SecretRef(OPERATOR, "app")) == ""


def test_two_regions_in_one_reference_do_not_fit():
    with pytest.raises(ValueError, match="does not fit"):
        REGIONS.of(SecretRef(OPERATOR, ARN.format("eu-west-1"), "us-east-1"))
