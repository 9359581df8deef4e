"""What the secrets and the parameters of a file have in common: their fields. All raise ValueError."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from secretsyncer.aws.arn import Account

ACCOUNT = Account("aws", "000000000000")
"""The account of roles without an ARN."""
REGION = "us-east-1"


def check_fields(fields: Any, known: set[str]) -> None:
    """Whether it is an object with these fields only."""
    must = f"must be an object with some of {', '.join(sorted(known))}"
    if not isinstance(fields, dict):
        raise ValueError(must)  # noqa: TRY004 - a mistake in a file
    if unknown := sorted(fields.keys() - known):
        raise ValueError(f"{', '.join(unknown)}: unknown field; {must}")


def content(fields: Mapping[str, Any], kinds: Sequence[str]) -> tuple[str | None, bytes | None]:
    """The value as text or as bytes."""
    if sum(part in fields for part in kinds) != 1:
        raise ValueError(f"needs exactly one of {', '.join(kinds[:-1])} and {kinds[-1]}")
    if "json" in fields:
        return json.dumps(fields["json"], ensure_ascii=False), None
    if "binary" in fields:
        try:
            return None, base64.b64decode("".join(fields["binary"].split()), validate=True)
        except (AttributeError, ValueError):
            raise ValueError("binary must be base64") from None
    if not isinstance(fields["value"], str):
        raise ValueError("value must be text; use json for an object, or quote it")  # noqa: TRY004 - a mistake in a file
    return fields["value"], None


def texts(tags: Any) -> dict[str, str]:
    """Tags. Their values may be numbers in YAML."""
    if not isinstance(tags, dict):
        raise ValueError("tags must be a map of keys to values")  # noqa: TRY004 - as above
    return {str(key): str(value) for key, value in tags.items()}


def moment(value: Any) -> datetime | None:
    """A date with a time zone, if there is one."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("lastChanged must be a date, like 2026-01-31T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
