"""Names and ARNs of roles, and what all ARNs have in common: validation and parsing, without I/O and AWS's libraries.

The rules come from the IAM API reference: a role ARN has a 12-digit account and a path and name of `A-Za-z0-9_+=,.@/-`.
Everything is ASCII and matched as a whole, by patterns that cannot backtrack, because these texts come from users.
`services/` has the grammar of secrets and parameters.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NewType

RoleArn = NewType("RoleArn", str)
"""A role ARN that `parse_role` accepts. Roles are compared in this form."""

_ROLE_PREFIX = r"arn:aws[-\w]*:iam::\d{12}:role/"
_ROLE_NAMES = r"[-\w+=,.@/]{1,576}"

# As text, because the fields of a SyncedSecret and the rules of its CRD are made of it. It matches as a whole.
ROLE_PATTERN = rf"({_ROLE_PREFIX})?{_ROLE_NAMES}"
"""The ARN of a role, or its name."""

_ROLE = re.compile(rf"{_ROLE_PREFIX}{_ROLE_NAMES}", re.ASCII)
_ROLE_NAME = re.compile(_ROLE_NAMES, re.ASCII)


class Account(NamedTuple):
    """An AWS account and its partition (`aws`, `aws-cn`, `aws-us-gov`, ...)."""

    partition: str
    id: str


def parse_role(text: str) -> RoleArn:
    """The text, if it is a role ARN. Otherwise raises ValueError."""
    if not _ROLE.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a role ARN (arn:aws:iam::<12 digits>:role/<name>)")
    return RoleArn(text)


def complete_role(text: str, account: Account) -> RoleArn:
    """The ARN of a role that is given as an ARN, or as a name (`reader`, `team/reader`) in that account.

    Raises ValueError if it is neither.
    """
    if text.startswith("arn:"):
        return parse_role(text)
    name = text.lstrip("/")
    if not _ROLE_NAME.fullmatch(name):
        raise ValueError(f"{shown(text)} is neither the name nor the ARN of a role")
    return parse_role(f"arn:{account.partition}:iam::{account.id}:role/{name}")


def role_account(role: str) -> Account:
    """The account that a role ARN belongs to."""
    _, partition, _, _, account, _ = role.split(":", 5)
    return Account(partition, account)


def home_of(arn: str) -> tuple[Account, str] | None:
    """The account and the region of an ARN from AWS; None if it is not an ARN."""
    parts = arn.split(":", 5)
    return (Account(parts[1], parts[4]), parts[3]) if len(parts) == 6 else None


def shown(text: str) -> str:
    """A text of a user, for a message."""
    return ascii(text if len(text) <= 120 else text[:120] + "...")
