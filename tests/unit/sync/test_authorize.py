"""The check of the role: every row of its table, in every form of role and annotation, and hostile input."""

import json
import time
import tracemalloc

import pytest

from secretsyncer.aws.arn import Account
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.sync.authorize import Grant, Rules, allowed_roles, authorize
from tests.support.builders import ANNOTATION, namespace, parsed
from tests.support.specs import literal

HOME = Account("aws", "123456789012")
READER = "arn:aws:iam::123456789012:role/reader"
OTHERS = "222222222222"
SYNCER = f"arn:aws:iam::{OTHERS}:role/secret-syncer"
TYPE = {"k8s.contentful.com/namespace-type": "web"}

SPECS = {
    "name": {"IAMRole": "reader"},
    "ARN": {"IAMRole": READER},
    "empty": {"IAMRole": ""},
    "absent": {},
    "account": {"AWSAccountID": OTHERS},
}
ROLES = {"name": READER, "ARN": READER, "empty": "", "absent": "", "account": SYNCER}

LISTS = {
    "nothing": [],
    "the name": ["reader"],
    "the ARN": [READER],
    "both": ["reader", READER],
    "another name": ["writer"],
    "the name in another account": ["arn:aws:iam::999999999999:role/reader"],
    "the name in another partition": ["arn:aws-cn:iam::123456789012:role/reader"],
    "the name under a path": ["team/reader"],
    "another case": ["Reader"],
    "a prefix and a pattern": ["read", "reader*", "*", ".*"],
    "the syncer of the other account": [SYNCER],
    "the syncer's name": ["secret-syncer"],
    "bad entries, then the role": ["", "two words", "arn:aws:iam::1:role/x", "reader"],
    "the role, then bad entries": ["reader", "!", "arn:"],
    "only bad entries": ["", " ", "arn:aws:s3:::bucket"],
}
GRANTED = {
    READER: {"the name", "the ARN", "both", "bad entries, then the role", "the role, then bad entries"},
    SYNCER: {"the syncer of the other account"},
    "": set(),
}
MALFORMED = [
    "",
    " ",
    "reader",
    '"reader"',
    "null",
    "5",
    "NaN",
    '{"reader": true}',
    "[1]",
    "[null]",
    '["reader", null]',
    '[["reader"]]',
    '["reader"',
    '["reader"],',
    "['reader']",
    "[" * 100_000,
    "[" * 500 + "]" * 500,
    f"[{'9' * 5000}]",
    '["reader", ' + '{"a":' * 100_000,
]


def gate(spec, roles=None, *, account=HOME, labels=TYPE, require=False):
    return authorize(
        parsed(literal("a", "1"), **spec).spec,
        namespace(roles=roles, labels=labels),
        account,
        Rules(ANNOTATION, require),
    )


def refusal(*arguments, **options):
    with pytest.raises(Rejected) as raised:
        gate(*arguments, **options)
    assert raised.value.reason is Reason.ROLE_NOT_ALLOWED
    return raised.value.message


# The table


@pytest.mark.parametrize("form", SPECS)
def test_without_the_annotation_any_role_and_none_is_granted(form):
    assert gate(SPECS[form]).identity == Identity(ROLES[form])


@pytest.mark.parametrize("form", SPECS)
def test_without_the_annotation_nothing_is_granted_where_one_is_required(form):
    assert f"no annotation {ANNOTATION}, and one is required" in refusal(SPECS[form], require=True)


@pytest.mark.parametrize("require", [False, True])
@pytest.mark.parametrize("listed", LISTS)
@pytest.mark.parametrize("form", SPECS)
def test_with_a_list_exactly_the_roles_in_it_are_granted(form, listed, require):
    role = ROLES[form]
    if listed in GRANTED[role]:
        assert gate(SPECS[form], LISTS[listed], require=require).identity == Identity(role)
    elif role:
        assert f"role {role} is not in the annotation" in refusal(SPECS[form], LISTS[listed], require=require)
    else:
        assert "set spec.IAMRole" in refusal(SPECS[form], LISTS[listed], require=require)


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("form", SPECS)
def test_an_annotation_that_is_not_a_list_of_texts_grants_nothing_and_is_the_reason(form, text):
    assert f"the annotation {ANNOTATION} is not a JSON list of role names" in refusal(SPECS[form], text)


@pytest.mark.parametrize("roles", [["reader"], 5, {"a": "b"}])
def test_an_annotation_that_is_no_text_is_refused_like_any_other_mistake(roles):
    place = {"metadata": {"name": "team", "annotations": {ANNOTATION: roles}}}
    with pytest.raises(Rejected, match="not a JSON list of role names"):
        authorize(parsed(literal("a", "1")).spec, place, HOME, Rules(ANNOTATION, require_annotation=False))


def test_another_annotation_can_be_chosen():
    place = namespace(roles=["writer"])
    grant = authorize(
        parsed(literal("a", "1"), IAMRole="reader").spec,
        place,
        HOME,
        Rules("example.com/roles", require_annotation=False),
    )
    assert grant.identity.role == READER


# Roles


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_a_bare_name_means_the_operators_account_and_partition(partition):
    home = Account(partition, "123456789012")
    arn = f"arn:{partition}:iam::123456789012:role/team/reader"
    for spec in ({"IAMRole": "team/reader"}, {"IAMRole": "/team/reader"}, {"IAMRole": arn}):
        for roles in (["team/reader"], [arn]):
            assert gate(spec, roles, account=home).identity.role == arn


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_role_of_an_account_is_in_the_operators_partition(partition):
    grant = gate({"AWSAccountID": OTHERS}, account=Account(partition, "1" * 12))
    assert grant.identity.role == f"arn:{partition}:iam::{OTHERS}:role/secret-syncer"


@pytest.mark.parametrize("name", ["a.b_c+d=e,f@g-h", "aws-reserved/sso.amazonaws.com/x", "R2D2"])
def test_every_legal_name_of_a_role_is_granted_where_it_is_listed(name):
    assert gate({"IAMRole": name}, [name]).identity.role == f"arn:aws:iam::123456789012:role/{name}"


@pytest.mark.parametrize(
    "role",
    ["two words", "r\u00e9ader", "reader\n", "arn:aws:iam::1:role/x", "arn:", "a:b", "/", READER + "\n", "x" * 600],
)
@pytest.mark.parametrize("roles", [None, ["reader"], "malformed"])
def test_a_role_that_is_none_is_a_mistake_in_the_spec(role, roles):
    with pytest.raises(Rejected, match=r"spec\.IAMRole: ") as raised:
        gate({"IAMRole": role}, roles)
    assert raised.value.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize("spec", [{"IAMRole": "reader"}, {"AWSAccountID": OTHERS}])
@pytest.mark.parametrize("roles", [None, ["reader"], [READER]])
def test_while_the_operators_account_is_not_known_a_role_that_needs_it_waits(spec, roles):
    with pytest.raises(Unavailable, match="account is not known yet"):
        gate(spec, roles, account=None)


@pytest.mark.parametrize("roles", [None, [READER]])
def test_while_the_operators_account_is_not_known_whole_arns_go_on(roles):
    assert gate({"IAMRole": READER}, roles, account=None).identity.role == READER


def test_while_the_operators_account_is_not_known_what_needs_no_role_goes_on():
    assert gate({}, account=None).identity == Identity("")
    assert "set spec.IAMRole" in refusal({}, [READER], account=None)


def test_how_the_role_is_assumed_and_where_is_part_of_the_grant():
    spec = {"IAMRole": "reader", "externalId": "abc", "roleSessionName": "me", "region": "eu-west-3"}
    grant = gate(spec, ["reader"])
    assert grant.identity == Identity(READER, "abc", "me")
    assert grant.region == "eu-west-3"
    assert gate({"externalId": "abc", "roleSessionName": "me"}).identity == Identity("")


# The rule of AWSAccountID


def test_with_an_account_each_secret_must_carry_the_tag_of_the_namespaces_type():
    grant = gate({"AWSAccountID": OTHERS})
    tag = "k8s.contentful.com/namespace_type/web"
    assert grant.tag == tag
    assert grant.permits({tag: "1", "other": "x"})
    for tags in ({}, {tag: "0"}, {tag: ""}, {tag: "true"}, {tag + "x": "1"}, {tag.upper(): "1"}):
        assert not grant.permits(tags)


@pytest.mark.parametrize("labels", [{}, {"k8s.contentful.com/namespace-type": ""}, {"namespace-type": "web"}])
@pytest.mark.parametrize("roles", [None, [SYNCER]])
def test_with_an_account_a_namespace_without_a_type_gets_nothing(labels, roles):
    assert "has no label k8s.contentful.com/namespace-type" in refusal(
        {"AWSAccountID": OTHERS}, roles, labels=labels
    )


def test_with_an_account_the_annotation_rules_hold_as_well():
    assert gate({"AWSAccountID": OTHERS}, [SYNCER]).tag
    assert "not in the annotation" in refusal({"AWSAccountID": OTHERS}, ["secret-syncer"])


@pytest.mark.parametrize("form", ["name", "ARN", "absent"])
def test_without_an_account_no_tag_is_asked_for(form):
    grant = gate(SPECS[form])
    assert grant.tag == ""
    assert grant.permits({})


# Grants


def test_a_grant_reads_in_its_own_region_unless_the_arn_or_the_reference_says_where():
    grant = Grant(Identity(READER), region="eu-west-3")
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"
    assert grant.ref("app") == SecretRef(Identity(READER), "app", "eu-west-3")
    assert grant.ref("app", region="us-west-2").region == "us-west-2"
    assert grant.ref(arn).region == ""
    assert grant.ref("app", version_id="v" * 32, stage="AWSPENDING")[3:5] == ("v" * 32, "AWSPENDING")


# Entries that are no roles


def test_an_invalid_entry_is_skipped_with_a_warning_that_shows_it():
    warnings = gate({"IAMRole": "reader"}, ["two words", "reader", "arn:aws:iam::1:role/x"]).warnings
    assert len(warnings) == 2
    assert "'two words'" in warnings[0]
    assert "'arn:aws:iam::1:role/x'" in warnings[1]
    assert all(ANNOTATION in warning for warning in warnings)


def test_many_bad_entries_give_few_warnings_that_say_how_many():
    warnings = gate({"IAMRole": "reader"}, [*(f"bad entry {n}" for n in range(5000)), "reader"]).warnings
    assert len(warnings) <= 11
    assert "4990" in warnings[-1]


@pytest.mark.parametrize("pattern", ["team-*", "arn:aws:iam::123456789012:role/team-*", "team-?"])
@pytest.mark.parametrize("spec", [{"IAMRole": "team-web"}, {}])
def test_a_denial_names_the_skipped_entry_that_was_meant_to_allow(spec, pattern):
    message = refusal(spec, [pattern, "other"])
    assert f"'{pattern}'" in message
    assert "(patterns are not supported); entry skipped" in message


def test_a_denial_names_a_few_skipped_entries_and_says_that_there_are_more():
    message = refusal({"IAMRole": "reader"}, [f"bad entry {n}" for n in range(50)])
    assert message.count("'bad entry") == 3
    assert message.endswith("; more entries skipped")
    assert len(message) < 1024


def test_edits_of_a_large_annotation_are_not_remembered_one_by_one():
    entries = [f"{n:064}" for n in range(3300)]
    tracemalloc.start()
    try:
        for edit in range(20):
            gate({"IAMRole": "reader"}, json.dumps(["reader", str(edit), *entries]))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 8 << 20


def test_hostile_roles_and_annotations_are_checked_quickly():
    started = time.process_time()
    for text in ("a" * 100_000, "a-" * 50_000 + "!", "arn:aws" + "-" * 100_000, READER + "/" * 100_000 + "\u00e9"):
        with pytest.raises(Rejected):
            gate({"IAMRole": text})
        with pytest.raises(Rejected):
            gate({"IAMRole": "reader"}, [text])
        with pytest.raises(Rejected):
            gate({"IAMRole": "reader"}, text)
    allowed_roles(json.dumps(["a b"] * 20_000), HOME, ANNOTATION)
    assert time.process_time() - started < 5  # where each character costs another pass, minutes


def test_no_message_is_longer_than_a_status_takes():
    assert len(refusal({"IAMRole": "reader"}, "x" * 200_000)) < 300
    with pytest.raises(Rejected) as raised:
        gate({"IAMRole": "x" * 200_000})
    assert len(raised.value.message) < 300
