"""Parameter Store: names and ARNs, listings, limits, texts and events. Pure; `aws/api/parameterstore.py` has its calls.

The rules come from the Systems Manager API reference: a name has letters, digits and `_.-`, and slashes between up to 15
levels. A name of several levels begins with a slash, which its ARN does not repeat, so the ARN of one level may mean two
names. With the ARN before it, a name has up to 1011 characters.

A listing shows the number of the current version. It begins at 1 again after a parameter was deleted and created again, so
a version is the number with the second in which it was made: AWS asks to wait 30 seconds after a deletion. Users see the
number alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from secretsyncer.aws.arn import Account, shown
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services.service import Listed, SecretId, Service, Texts, moment_of, text_of

_LONGEST = 1011
_LEVELS = 15
_NAME = re.compile(r"[\w.-]+|(/[\w.-]+)+", re.ASCII)
_ARN = re.compile(r"arn:(aws[\w-]*):ssm:([a-z0-9-]{1,64}):(\d{12}):parameter/([\w.-]+(/[\w.-]+)*)", re.ASCII)
_CHANGES = frozenset({"Create", "Update", "Delete", "LabelParameterVersion"})
_ALLOW_READING = (
    "Allow ssm:GetParameters on it, and kms:Decrypt on its key; secretsyncer iam-policy prints the policy."
)


@lru_cache(maxsize=65_536)
def parse_parameter_id(text: str) -> SecretId:
    """Parse the name or the ARN of a parameter. Raises ValueError if AWS would reject it."""
    if not text.startswith("arn:"):
        if len(text) > _LONGEST or not _NAME.fullmatch(text) or text.count("/") > _LEVELS:
            raise ValueError(
                f"{shown(text)} is not the name of a parameter (A-Z a-z 0-9 _ . -; a name of several levels begins "
                f"with / and has at most {_LEVELS})"
            )
        return SecretId(text)
    match = _ARN.fullmatch(text) if len(text) <= _LONGEST else None
    if not match:
        raise ValueError(
            f"{shown(text)} is not a parameter's ARN (arn:aws:ssm:<region>:<account>:parameter/<name>)"
        )
    partition, region, account, name, more = match.groups()
    alias = "" if more else name
    return SecretId(f"/{name}", partition, region, account, exact=True, alias=alias)


def parameter_arn(account: Account, region: str, name: str) -> str:
    """The ARN of a parameter of this name."""
    return f"arn:{account.partition}:ssm:{region}:{account.id}:parameter/{name.removeprefix('/')}"


def version_of(raw: Mapping[str, Any]) -> str:
    """The version of a parameter, with the second in which it was made: a number may come again."""
    version, moment = raw["Version"], raw.get("LastModifiedDate")
    if not isinstance(version, int):
        raise TypeError(type(version).__name__)
    return f"{version}@{int(moment.timestamp())}" if isinstance(moment, datetime) else str(version)


class ParameterStoreService(Service):
    """AWS Systems Manager Parameter Store."""

    name = "ParameterStore"
    title = "Parameter Store"
    price = 0.0  # at the standard throughput
    endpoint = "ssm"
    noun = "parameter"
    kind = "parameter"
    batch_size = 10
    page_size = 50
    batches_versions = True
    repeats_versions = True
    denies_whole_batches = True
    lists_tags = False
    reads_without_listing = True
    lists_recent_changes = False
    reads = frozenset({"GetParameters"})
    reads_as = "GetParameters"
    lists = "DescribeParameters"
    describes = "DescribeParameters"
    event_source = "aws.ssm"
    answers: ClassVar[Mapping[str, Mapping[str, type]]] = {
        "DescribeParameters": {"Parameters": list},
        "GetParameters": {"Parameters": list, "InvalidParameters": list},
        "ListTagsForResource": {"TagList": list},
    }
    codes: ClassVar[Mapping[CallOutcome, tuple[str, ...]]] = {
        CallOutcome.NOT_FOUND: ("ParameterNotFound", "ParameterVersionNotFound", "InvalidResourceId"),
        CallOutcome.DENIED: ("InvalidKeyId",),
        CallOutcome.INVALID: (
            "InvalidFilterKey",
            "InvalidFilterOption",
            "InvalidFilterValue",
            "InvalidResourceType",
        ),
        CallOutcome.ERROR: ("InternalServerError", "InvalidNextToken"),
    }
    texts: ClassVar[Texts] = {
        (CallOutcome.DENIED, "DescribeParameters"): "{identity} is not allowed to list parameters",
        (
            CallOutcome.DENIED,
            "ListTagsForResource",
        ): "{identity} is not allowed to read the tags of parameter {secret}",
    }
    next_steps: ClassVar[Texts] = {
        (CallOutcome.DENIED, "DescribeParameters"): "Allow ssm:DescribeParameters on all resources.",
        (CallOutcome.DENIED, "ListTagsForResource"): "Allow ssm:ListTagsForResource on it.",
        (CallOutcome.DENIED, "GetParameters"): _ALLOW_READING,
    }

    def parse(self, text: str) -> SecretId:
        return parse_parameter_id(text)

    def listed(self, raw: Mapping[str, Any]) -> Listed:
        return Listed(
            text_of(raw["Name"]), text_of(raw["ARN"]), version_of(raw), {}, moment_of(raw.get("LastModifiedDate"))
        )

    def named_by(self, event: Mapping[str, Any], detail: Mapping[str, Any]) -> Iterable[Any] | None:
        """AWS, "Parameter Store events": "Parameter Store Change" with the operation and the name."""
        operation = detail.get("operation")
        if not isinstance(operation, str):
            raise ValueError("operation")  # noqa: TRY004 - as any other malformed event
        if event.get("detail-type") != "Parameter Store Change" or operation not in _CHANGES:
            return None
        resources = event.get("resources")
        return [detail.get("name"), *(resources if isinstance(resources, list) else ())]

    def continues(self, before: str, now: str) -> bool:
        return now == before or int(self.shown_version(now)) > int(self.shown_version(before))

    def shown_version(self, version_id: str) -> str:
        return version_id.partition("@")[0]
