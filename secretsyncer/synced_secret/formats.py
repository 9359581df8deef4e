"""Formats of text: names, expressions, durations. Each is a type for a field.

Patterns use only the syntax that RE2, Python and ECMAScript share, because the operator, the API server and editors all
use them. They apply to the whole text.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from secretsyncer.aws import arn
from secretsyncer.aws.services.secretsmanager import SECRET_PATTERN
from secretsyncer.expressions import dotted, jmespath, patience, regexp

CLUSTER_CREDENTIALS = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
"""Types that Kubernetes turns into credentials for the cluster (compare CVE-2026-42876 of another operator)."""
MIN_REFRESH = 10.0
MAX_REFRESH = 30 * 86_400.0
EXPRESSION_LIMIT = 1000
"""Characters of a regular expression, and of a replacement."""

MOST_ITEMS = 1000
"""Entries of a list or a map that a person writes. It bounds the memory that one object takes."""
_LONGEST_DURATION = 64

_DURATION = r"([0-9]+([.][0-9]+)?[hms])+"
_NO_DURATION = "must be a duration such as 30s, 5m or 1h30m"
_OUT_OF_BOUNDS = "must be at least 10s and at most 720h (30 days)"
_UNITS = {"h": 3600, "m": 60, "s": 1}


class Format:
    """The pattern that a text must match as a whole, and its description."""

    def __init__(self, pattern: str, message: str) -> None:
        self._pattern = re.compile(pattern, re.ASCII)
        self._message = message

    def fits(self, text: str) -> bool:
        return self._pattern.fullmatch(text) is not None

    def check(self, text: str) -> str:
        if not self.fits(text):
            raise ValueError(self._message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^{self._pattern.pattern}$", "patternErrorMessage": self._message}


SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

_DATA_KEY = Format(
    r"\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*",
    "must consist of letters, digits, '-', '_' and '.', and must not be '.' or begin with '..'",
)
DataKey = Annotated[str, Field(max_length=253), _DATA_KEY]
"""A key of a Secret, as Kubernetes has them (validation.IsConfigMapKey)."""

_OBJECT_NAME = Format(
    SUBDOMAIN, "must be a lowercase RFC 1123 subdomain: a-z, 0-9, '-' and '.', and a letter or digit at both ends"
)
ObjectName = Annotated[str, Field(max_length=253), _OBJECT_NAME]
"""The name of a Kubernetes object."""

Literally = Annotated[str, Field(max_length=2**20)]
"""Text that becomes a value as it is. A Secret can have 1 MiB."""

Region = Annotated[
    str, Field(max_length=64), Format(r"([a-z0-9-]+)?", "must be the name of an AWS region, such as eu-west-1")
]
"""Empty means none. Whether there is such a region, the operator tells: `EXTRA_REGIONS` adds new ones."""

RoleReference = Annotated[
    str,
    Field(max_length=2048),
    Format(
        f"({arn.ROLE_PATTERN})?",
        "must be the name of an IAM role or its ARN (arn:aws:iam::<12 digits>:role/<name>)",
    ),
]
"""The name or the ARN of a role. Empty means none."""

SecretID = Annotated[
    str,
    Field(
        max_length=768
    ),  # the longest ARN has about 650; the API server's estimate of what a rule costs grows with it
    Format(
        SECRET_PATTERN,
        "must be the name of an AWS secret (1 to 512 of A-Z a-z 0-9 / _ + = . @ - !) or its ARN "
        "(arn:aws:secretsmanager:<region>:<account>:secret:<name>)",
    ),
]
"""The name, the ARN or the partial ARN of an AWS secret."""

TagKey = Annotated[str, Field(max_length=128)]
TagValue = Annotated[str, Field(max_length=256, description="Value of the tag.")]
"""AWS's own limits of a tag."""

AccountID = Annotated[
    str, Field(max_length=12), Format(r"([0-9]{12})?", "must be the 12 digits of an AWS account ID")
]
"""Empty means none."""

SessionName = Annotated[
    str,
    Field(max_length=64),
    Format(r"[A-Za-z0-9_+=,.@-]{2,64}", "must have 2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -"),
]
"""The session name of an assumed role, as AWS has them."""


def is_object_name(text: str) -> bool:
    """Whether Kubernetes accepts it as the name of an object."""
    return len(text) <= 253 and _OBJECT_NAME.fits(text)


def is_data_key(text: str) -> bool:
    """Whether Kubernetes accepts it as a key of a Secret."""
    return len(text) <= 253 and _DATA_KEY.fits(text)


def _regular_expression(text: str) -> str:
    patience.check()
    regexp.compile(text)
    return text


RegularExpression = Annotated[str, Field(max_length=EXPRESSION_LIMIT), AfterValidator(_regular_expression)]
"""A regular expression in RE2 syntax."""


def _jmespath(text: str) -> str:
    patience.check()
    jmespath.check(text)
    return text


JMESPath = Annotated[str, Field(max_length=jmespath.LIMIT), AfterValidator(_jmespath)]
"""A JMESPath expression."""


Path = Annotated[
    str,
    Field(max_length=dotted.LIMIT),
    Format(dotted.PATTERN, "names and numbers must not be empty"),
]
"""Names and numbers, separated by dots."""


_NO_PARAMETER = (
    "must be the name of a parameter (A-Z a-z 0-9 _ . -, and a slash before each level if there are several) or its ARN "
    "(arn:aws:ssm:<region>:<account>:parameter/<name>)"
)


_PARAMETER_ID = Format(
    r"[\w.-]+|(arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter)?(/[\w.-]+)+",
    _NO_PARAMETER,
)
ParameterID = Annotated[
    str,
    Field(min_length=1, max_length=1011),
    AfterValidator(_PARAMETER_ID.check),
    # The API server checks what people get wrong: by its estimate, the pattern costs too much.
    Field(
        json_schema_extra={
            "checks": [
                {
                    "message": _NO_PARAMETER,
                    "cel": "self.startsWith('arn:') ? self.contains(':ssm:') : self.startsWith('/') || !self.contains('/')",
                }
            ]
        }
    ),
]
"""The name or the ARN of a parameter. How many levels it may have, the operator tells."""

_NO_PATH = "must begin with a slash and have letters, digits, '_', '.', '-' and '/'"
_PARAMETER_PATH = Format(r"/([A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]*", _NO_PATH)
ParameterPath = Annotated[
    str,
    Field(max_length=1011),
    AfterValidator(_PARAMETER_PATH.check),
    # The API server checks its beginning only: by its estimate, the pattern costs too much in lists of lists.
    Field(json_schema_extra={"checks": [{"message": _NO_PATH, "cel": "self.startsWith('/')"}]}),
]
"""A path of parameters."""

_PARAMETER_LABEL = Format(
    r"(?i:(?!aws|ssm)[A-Z_.-][A-Z0-9_.-]*)",  # AWS would read a number as a version
    "must have letters, digits, '_', '.' and '-', and must not begin with a digit, aws or ssm",
)
ParameterLabel = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_PARAMETER_LABEL.check)]
"""A label of a version of a parameter (AWS, "Working with parameter labels")."""

_CLUSTER_ACCESS = f"{' and '.join(CLUSTER_CREDENTIALS)} grant access to the cluster itself and cannot be synced"


def _secret_type(text: str) -> str:
    if text in CLUSTER_CREDENTIALS:
        raise ValueError(_CLUSTER_ACCESS)
    return text


SecretType = Annotated[
    str,
    Field(max_length=317),
    AfterValidator(_secret_type),
    Field(
        json_schema_extra={
            "not": {"enum": [*CLUSTER_CREDENTIALS]},
            "checks": [{"message": _CLUSTER_ACCESS, "cel": f"!(self in {[*CLUSTER_CREDENTIALS]})"}],
        }
    ),
]
"""The type of a Secret."""


def seconds_of(value: Any) -> float:
    """Seconds of a number, or of text like 30s, 5m and 1h30m. Raises ValueError if it is neither."""
    if isinstance(value, str) and len(value) <= _LONGEST_DURATION and re.fullmatch(_DURATION, value):
        parts = re.findall(r"([0-9.]+)([hms])", value)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value  # an int of JSON may be too large for a float
    raise ValueError(_NO_DURATION)


def duration(value: Any) -> float:
    """Seconds of a time between two reads. Raises ValueError if it is too short or too long."""
    seconds = seconds_of(value)
    if not MIN_REFRESH <= seconds <= MAX_REFRESH:
        raise ValueError(_OUT_OF_BOUNDS)
    return float(seconds)


def duration_schema(message: str, bounds: str) -> WithJsonSchema:
    """The schema of a duration within these bounds, which are CEL on `duration(self)`."""
    return WithJsonSchema(
        {
            "type": "string",
            "maxLength": _LONGEST_DURATION,
            "pattern": f"^{_DURATION}$",
            "patternErrorMessage": _NO_DURATION,
            "checks": [{"message": message, "cel": f"!self.matches('^{_DURATION}$') || {bounds}"}],
        }
    )


Duration = Annotated[
    float,
    BeforeValidator(duration),
    duration_schema(
        _OUT_OF_BOUNDS,
        f"duration(self) >= duration('{MIN_REFRESH:.0f}s') && duration(self) <= duration('{MAX_REFRESH:.0f}s')",
    ),
]
"""A time between two reads of AWS, in seconds."""
