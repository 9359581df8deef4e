"""Names and ARNs of roles and secrets: validation and parsing, without I/O and without AWS's libraries.

The rules come from the IAM and Secrets Manager API references: a role ARN has a 12-digit account and a path and
name of `A-Za-z0-9_+=,.@/-`; a secret's name has 1 to 512 of `A-Za-z0-9/_+=.@-`, and `!` in the names that
AWS services use (`rds!cluster-...`). Everything is ASCII and matched as a whole, by patterns that cannot
backtrack, because these texts come from users.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, NewType

RoleArn = NewType("RoleArn", str)
"""A role ARN that `parse_role` accepts. Roles are compared in this form."""

_ARN_PREFIX = r"arn:aws[-\w]*:secretsmanager:[a-z0-9-]{1,64}:\d{12}:secret:"
_NAME_CHARACTER = r"[-\w/+=.@!]"
_ROLE_PREFIX = r"arn:aws[-\w]*:iam::\d{12}:role/"
_ROLE_NAMES = r"[-\w+=,.@/]{1,576}"

# As text, because the fields of a SyncedSecret and the rules of its CRD are made of them. Each matches as a whole.
ROLE_PATTERN = rf"({_ROLE_PREFIX})?{_ROLE_NAMES}"
"""The ARN of a role, or its name."""
SECRET_PATTERN = rf"({_ARN_PREFIX})?{_NAME_CHARACTER}{{1,519}}"
"""The ARN of a secret, or its name, with at most seven characters too many: each alternative costs the API server time."""

_ROLE = re.compile(rf"{_ROLE_PREFIX}{_ROLE_NAMES}", re.ASCII)
_ROLE_NAME = re.compile(_ROLE_NAMES, re.ASCII)
_SECRET_ARN = re.compile(rf"{_ARN_PREFIX}{_NAME_CHARACTER}{{1,519}}", re.ASCII)
_SECRET_NAME = re.compile(rf"{_NAME_CHARACTER}{{1,512}}", re.ASCII)
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}", re.ASCII)


class Account(NamedTuple):
    """An AWS account and its partition (`aws`, `aws-cn`, `aws-us-gov`, ...)."""

    partition: str
    id: str


class SecretId(NamedTuple):
    """A parsed reference to a secret.

    A plain name has no partition, region and account. `suffix` is the six random characters at the end of a full
    ARN. It is empty for a name and for a partial ARN. As in AWS, an ARN that ends in a hyphen and six letters or
    digits is a full one.
    """

    name: str
    partition: str = ""
    region: str = ""
    account: str = ""
    suffix: str = ""


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


def without_suffix(secret_arn: str) -> str:
    """The partial ARN of a full one: without the hyphen and the six random characters."""
    return secret_arn[: -len("-xxxxxx")]


def possible_names(secret_id: str) -> tuple[str, ...]:
    """The names that an id may mean: the end of an ARN may be part of the name, or the random suffix."""
    try:
        secret = parse_secret_id(secret_id)
    except ValueError:
        return (secret_id,)
    return (f"{secret.name}-{secret.suffix}", secret.name) if secret.suffix else (secret.name,)


def looks_random(suffix: str) -> bool:
    """Whether six characters are probably a random suffix: only 1 in 200 of these has lower-case letters only."""
    return not (suffix.isalpha() and suffix.islower())


@lru_cache(maxsize=65_536)
def parse_secret_id(text: str) -> SecretId:
    """Parse the name, the full ARN or the partial ARN of a secret. Raises ValueError if AWS would reject it."""
    if not text.startswith("arn:"):
        if not _SECRET_NAME.fullmatch(text):
            raise ValueError(f"{shown(text)} is not the name of a secret (1 to 512 of A-Z a-z 0-9 / _ + = . @ - !)")
        return SecretId(text)
    if not _SECRET_ARN.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is not a secret's ARN (arn:aws:secretsmanager:<region>:<account>:secret:<name>)"
        )
    _, partition, _, region, account, _, name = text.split(":", 6)
    if len(name) > 7 and _SUFFIX.fullmatch(name, len(name) - 7):
        return SecretId(name[:-7], partition, region, account, name[-6:])
    return SecretId(name, partition, region, account)


def shown(text: str) -> str:
    """A text of a user, for a message."""
    return ascii(text if len(text) <= 120 else text[:120] + "...")
