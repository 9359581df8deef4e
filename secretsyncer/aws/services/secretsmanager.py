"""Secrets Manager: names and ARNs, listings, limits, texts and events. Pure; `aws/api/secretsmanager.py` has its calls.

The rules come from the API reference: a name has 1 to 512 of `A-Za-z0-9/_+=.@-`, and `!` in the names that AWS services use
(`rds!cluster-...`). An ARN ends in a hyphen and six random characters, which a reference may omit. Everything is ASCII and
matched as a whole, by patterns that cannot backtrack, because these texts come from users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, ClassVar

from secretsyncer.aws.arn import shown
from secretsyncer.aws.identity import CURRENT
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services.service import (
    Listed,
    Rotation,
    SecretId,
    Service,
    Texts,
    moment_of,
    tags_of,
    text_of,
)

_ARN_PREFIX = r"arn:aws[-\w]*:secretsmanager:[a-z0-9-]{1,64}:\d{12}:secret:"
_NAME_CHARACTER = r"[-\w/+=.@!]"

# As text, because the fields of a SyncedSecret and the rules of its CRD are made of it. It matches as a whole.
SECRET_PATTERN = rf"({_ARN_PREFIX})?{_NAME_CHARACTER}{{1,519}}"
"""The ARN of a secret, or its name, with at most seven characters too many: each alternative costs the API server time."""

_ARN = re.compile(rf"{_ARN_PREFIX}{_NAME_CHARACTER}{{1,519}}", re.ASCII)
_NAME = re.compile(rf"{_NAME_CHARACTER}{{1,512}}", re.ASCII)
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}", re.ASCII)
LONGEST_ROTATION = 10_000
"""Days; AWS allows 1,000."""

_CALLS = frozenset(
    {
        "CreateSecret",
        "DeleteSecret",
        "PutSecretValue",
        "RestoreSecret",
        "RotationSucceeded",
        "TagResource",
        "UntagResource",
        "UpdateSecret",
        "UpdateSecretVersionStage",
    }
)
_ALLOW_READING = "Allow secretsmanager:GetSecretValue on it; secretsyncer iam-policy prints the policy."


@lru_cache(maxsize=65_536)
def parse_secret_id(text: str) -> SecretId:
    """Parse the name, the full ARN or the partial ARN of a secret. Raises ValueError if AWS would reject it.

    As in AWS, an ARN that ends in a hyphen and six letters or digits is a full one.
    """
    if not text.startswith("arn:"):
        if not _NAME.fullmatch(text):
            raise ValueError(f"{shown(text)} is not the name of a secret (1 to 512 of A-Z a-z 0-9 / _ + = . @ - !)")
        return SecretId(text)
    if not _ARN.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is not a secret's ARN (arn:aws:secretsmanager:<region>:<account>:secret:<name>)"
        )
    _, partition, _, region, account, _, name = text.split(":", 6)
    if len(name) > 7 and _SUFFIX.fullmatch(name, len(name) - 7):
        return SecretId(name[:-7], partition, region, account, name[-6:], exact=True)
    return SecretId(name, partition, region, account)


def possible_names(text: str) -> tuple[str, ...]:
    """The names that an id may mean: the end of an ARN may be part of the name, or the random suffix."""
    try:
        secret = parse_secret_id(text)
    except ValueError:
        return (text,)
    return (f"{secret.name}-{secret.suffix}", secret.name) if secret.suffix else (secret.name,)


def without_suffix(arn: str) -> str:
    """The partial ARN of a full one: without the hyphen and the six random characters."""
    return arn[: -len("-xxxxxx")]


def looks_random(suffix: str) -> bool:
    """Whether six characters are probably a random suffix: only 1 in 200 of these has lower-case letters only."""
    return not (suffix.isalpha() and suffix.islower())


class SecretsManagerService(Service):
    """Secrets Manager."""

    name = "SecretsManager"
    title = "Secrets Manager"
    price = 0.05 / 10_000
    endpoint = "secretsmanager"
    noun = "AWS secret"
    kind = "secret"
    batch_size = 20
    page_size = 100
    batches_versions = False
    repeats_versions = False
    denies_whole_batches = False
    lists_tags = True
    reads_without_listing = False
    lists_recent_changes = True
    reads = frozenset({"GetSecretValue", "BatchGetSecretValue"})
    reads_as = "GetSecretValue"
    lists = "ListSecrets"
    describes = "DescribeSecret"
    event_source = "aws.secretsmanager"
    answers: ClassVar[Mapping[str, Mapping[str, type]]] = {
        "BatchGetSecretValue": {"SecretValues": list, "Errors": list},
        "DescribeSecret": {"ARN": str, "Name": str},
        "GetSecretValue": {"ARN": str, "Name": str, "VersionId": str},
        "ListSecrets": {"SecretList": list},
    }
    texts: ClassVar[Texts] = {
        (CallOutcome.DENIED, "ListSecrets"): "{identity} is not allowed to list secrets",
        (CallOutcome.DENIED, "DescribeSecret"): "{identity} is not allowed to read the tags of secret {secret}",
    }
    next_steps: ClassVar[Texts] = {
        (CallOutcome.DENIED, "ListSecrets"): "Allow secretsmanager:ListSecrets.",
        (CallOutcome.DENIED, "DescribeSecret"): "Allow secretsmanager:DescribeSecret on it.",
        (CallOutcome.DENIED, "BatchGetSecretValue"): _ALLOW_READING,
        (CallOutcome.DENIED, "GetSecretValue"): _ALLOW_READING,
    }

    def parse(self, text: str) -> SecretId:
        return parse_secret_id(text)

    def possible_names(self, text: str) -> tuple[str, ...]:
        return possible_names(text)

    def forms_of(self, arn: str) -> tuple[str, ...]:
        return (arn, without_suffix(arn))

    def listed(self, raw: Mapping[str, Any]) -> Listed:
        return Listed(
            text_of(raw["Name"]),
            text_of(raw["ARN"]),
            _current(raw),
            tags_of(raw),
            moment_of(raw.get("LastChangedDate")),
            deleted=bool(raw.get("DeletedDate")),
            deletion_date=moment_of(raw.get("DeletedDate")),
            rotation=_rotation(raw),
        )

    def named_by(self, event: Mapping[str, Any], detail: Mapping[str, Any]) -> Iterable[Any] | None:
        """AWS, "Monitor Secrets Manager secrets with Amazon EventBridge": "Secret Label Updated", and CloudTrail's
        entries for some calls and for rotations.
        """
        name = detail.get("eventName")
        if name is not None and not isinstance(name, str):
            raise ValueError("eventName")
        return None if name is not None and name not in _CALLS else _candidates(event, detail)


def _current(raw: Mapping[str, Any]) -> str:
    versions = raw.get("SecretVersionsToStages") or {}
    current = [text_of(version) for version, stages in versions.items() if CURRENT in _list(stages)]
    return min(current, default="")


def _rotation(raw: Mapping[str, Any]) -> Rotation | None:
    """None for a secret that has never been rotated, and is not going to be."""
    last, due = moment_of(raw.get("LastRotatedDate")), None
    if raw.get("RotationEnabled") is True:
        rules = raw.get("RotationRules")
        days = rules.get("AutomaticallyAfterDays") if isinstance(rules, dict) else None
        due = moment_of(raw.get("NextRotationDate"))
        if due is None and last and isinstance(days, int) and 0 < days <= LONGEST_ROTATION:
            due = last + timedelta(days=days)
    return Rotation(last, due) if last or due else None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    return value


def _candidates(event: Mapping[str, Any], detail: Mapping[str, Any]) -> Iterator[Any]:
    resources = event.get("resources")
    yield from resources if isinstance(resources, list) else ()
    yield from (detail.get(field) for field in ("name", "arn", "secretId"))
    for part, fields in (
        ("requestParameters", ("secretId", "name")),
        ("responseElements", ("arn", "aRN", "ARN", "name")),
        ("additionalEventData", ("SecretId",)),
    ):
        inner = detail.get(part)
        if isinstance(inner, dict):
            yield from (inner.get(field) for field in fields)
