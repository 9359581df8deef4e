"""The rule that lets an object use its role, as `why` shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.explain.access import decision
from secretsyncer.sync.authorize import Rules
from tests.support.builders import ACCOUNT, ANNOTATION, namespace, parsed
from tests.support.specs import literal

RULES = Rules(ANNOTATION, require_annotation=False)
OTHER = "210987654321"


def arn(account=ACCOUNT, name="reader"):
    return f"arn:aws:iam::{account}:role/{name}"


def decide(role="reader", *, roles=None, rules=RULES, account="", labels=None, **spec):
    fields = {"IAMRole": role} if role else {}
    made = parsed(literal("a", "1"), **fields, **spec).spec
    return decision(made, namespace(roles=roles, labels=labels), rules, account)


@pytest.mark.parametrize(
    ("role", "roles", "allowed", "rule"),
    [
        (arn(), [arn()], True, f"role {arn()} is in the annotation {ANNOTATION} of namespace team"),
        ("reader", ["reader"], True, "role arn:aws:iam::<the operator's account>:role/reader is in the annotation"),
        ("reader", None, True, f"namespace team has no annotation {ANNOTATION}, so it may use every role"),
        (None, None, True, f"namespace team has no annotation {ANNOTATION}, so it may use every role"),
        (arn(), [arn(OTHER)], False, f"role {arn()} is not in the annotation {ANNOTATION} of namespace team"),
        (None, ["reader"], False, "set spec.IAMRole to one of them"),
        ("reader", "reader", False, "is not a JSON list of role names"),
        (arn(), [arn(), "*"], True, "patterns are not supported"),
        ("reader", [arn()], None, f"allowed only if the operator's AWS account is {ACCOUNT}"),
        (arn(OTHER), ["reader"], None, f"allowed only if the operator's AWS account is {OTHER}"),
        ("reader", [arn(), arn(OTHER)], None, f"AWS account is {ACCOUNT} or {OTHER}"),
    ],
)
def test_the_rule_that_decides_is_named(role, roles, allowed, rule):
    found = decide(role, roles=roles)
    assert found.allowed is allowed
    assert rule in found.rule


def test_the_account_of_the_operator_decides_what_depends_on_it():
    assert decide(roles=[arn()], account=ACCOUNT).allowed
    assert not decide(roles=[arn()], account=OTHER).allowed


def test_an_account_of_another_partition_is_known_by_the_roles_that_name_it():
    china = f"arn:aws-cn:iam::{ACCOUNT}:role/reader"
    assert decide(roles=[china], account=ACCOUNT).allowed


def test_a_missing_annotation_denies_where_it_is_required():
    found = decide(rules=Rules(ANNOTATION, require_annotation=True))
    assert found == (False, f"namespace team has no annotation {ANNOTATION}, and one is required")


def test_the_tag_that_aws_secrets_need_is_named():
    labels = {"k8s.contentful.com/namespace-type": "prod"}
    found = decide(None, AWSAccountID=ACCOUNT, labels=labels)
    assert found.allowed
    assert "only AWS secrets and parameters with the tag k8s.contentful.com/namespace_type/prod = 1" in found.rule


ROLES = st.sampled_from(["reader", "writer", arn(), arn(OTHER), arn(name="writer")])


@given(ROLES, st.lists(ROLES, max_size=3))
def test_a_decision_without_the_account_is_that_of_every_account(role, roles):
    found = decide(role, roles=roles)
    each = {decide(role, roles=roles, account=account).allowed for account in (ACCOUNT, OTHER, "1" * 12)}
    assert each == ({True, False} if found.allowed is None else {found.allowed})
