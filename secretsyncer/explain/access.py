"""Which rule lets an object use its role, or denies it: the operator's own check, without AWS. Pure.

The operator's account completes names of roles. If it is not known, the check is made for each account that could make a
difference: those that the spec and the annotation name, and one that they do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from secretsyncer.aws.arn import Account
from secretsyncer.errors import SyncFailure
from secretsyncer.sync.authorize import Rules, authorize
from secretsyncer.synced_secret import SyncedSecretSpec

_ROLE = re.compile(r"arn:(aws[\w-]*):iam::(\d{12}):", re.ASCII)
_OTHER = Account("aws", "0" * 12)
"""An account that nobody has."""


class Decision(NamedTuple):
    """Whether the role may be used, None if that depends on the operator's account; and the rule that decides."""

    allowed: bool | None
    rule: str


def decision(spec: SyncedSecretSpec, namespace: Mapping[str, Any], rules: Rules, account: str = "") -> Decision:
    """The decision for this spec in this namespace, a raw object. `account` is the id of the operator's account."""
    annotation = (namespace["metadata"].get("annotations") or {}).get(rules.annotation)
    named = {Account(*found) for found in _ROLE.findall(f"{spec.iam_role} {annotation}")}
    if account:
        # A partition has its own accounts, so its name follows from the account where one is named.
        partitions = {found.partition for found in named if found.id == account}
        return _decide(spec, namespace, rules, Account(min(partitions, default="aws"), account))
    decisions = {candidate: _decide(spec, namespace, rules, candidate) for candidate in (_OTHER, *sorted(named))}
    if len({found.allowed for found in decisions.values()}) == 1:
        return decisions[_OTHER]
    homes = sorted(candidate.id for candidate, found in decisions.items() if found.allowed)
    return Decision(
        None,
        f"allowed only if the operator's AWS account is {' or '.join(homes)}, because either spec.IAMRole or the "
        f"annotation {rules.annotation} is a name and the other one an ARN",
    )


def _decide(spec: SyncedSecretSpec, namespace: Mapping[str, Any], rules: Rules, account: Account) -> Decision:
    metadata = namespace["metadata"]
    try:
        grant = authorize(spec, namespace, account, rules)
    except SyncFailure as failure:
        return Decision(False, _shown(failure.message))
    if (metadata.get("annotations") or {}).get(rules.annotation) is None:
        rule = f"namespace {metadata['name']} has no annotation {rules.annotation}, so it may use every role"
    else:
        rule = f"{grant.identity} is in the annotation {rules.annotation} of namespace {metadata['name']}"
    if grant.tag:
        rule += f"; only AWS secrets and parameters with the tag {grant.tag} = 1"
    return Decision(True, _shown("; ".join((rule, *grant.warnings))))


def _shown(text: str) -> str:
    return text.replace(_OTHER.id, "<the operator's account>")
