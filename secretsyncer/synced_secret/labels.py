"""Labels and annotations, as Kubernetes accepts them. Each is a type for a field."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from secretsyncer.synced_secret.formats import MOST_ITEMS, SUBDOMAIN, Format

NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_NAME_RULE = "1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
LABEL_KEY = f"({SUBDOMAIN}/)?{NAME}"
# Kubernetes accepts capital letters in the prefix of an annotation, but not in that of a label.
_ANNOTATION_KEY = f"({SUBDOMAIN.replace('a-z', 'a-zA-Z')}/)?{NAME}"
_KEY_LIMIT = 317
"""Characters of the key of a label or an annotation: 253 of the prefix, a slash, and 63 of the name."""
ANNOTATIONS_LIMIT = 256 << 10
"""Bytes of all annotations of an object, keys and values (Kubernetes' TotalAnnotationSizeLimitB)."""
_NOTED = 3
"""Bytes that each key takes in the operator's own annotation, besides its text."""


_WRONG_KEYS = (
    f"the keys %s are not valid; a key is an optional DNS subdomain and a slash, and a name of {_NAME_RULE}"
)


def _keys(pattern: str) -> Any:
    """A check of the keys of a map: an optional DNS subdomain as prefix, a slash, and a name."""
    key_format = re.compile(pattern, re.ASCII)

    def check(entries: dict[str, str]) -> dict[str, str]:
        wrong = [key for key in entries if len(key) > _KEY_LIMIT or not key_format.fullmatch(key)]
        if wrong:
            shown = ", ".join(ascii(key if len(key) <= 80 else f"{key[:80]}...") for key in wrong[:10])
            raise ValueError(_WRONG_KEYS % shown)
        return entries

    return AfterValidator(check)


_TOO_LARGE = f"keys and values take %s bytes; at most {ANNOTATIONS_LIMIT} are possible"


def _size(annotations: dict[str, str]) -> dict[str, str]:
    size = sum(2 * len(key.encode()) + _NOTED + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        raise ValueError(_TOO_LARGE % size)
    return annotations


def _names(pattern: str, *more: Any) -> Any:
    """The check of `_keys` for editors and for the API server, and more checks for the latter."""
    fits = f"size(key) <= {_KEY_LIMIT} && key.matches({json.dumps(f'^{pattern}$')})"
    check: Any = {
        "message": _WRONG_KEYS,
        "cel": f"self.all(key, {fits})",
        "shown": f'self.filter(key, !({fits})).map(key, "\'" + key + "\'")[0]',  # of several, which are in no order
    }
    return Field(
        json_schema_extra={
            "propertyNames": {"pattern": f"^{pattern}$", "maxLength": _KEY_LIMIT},
            "checks": [check, *more],
        }
    )


_SUM = f"self.map(key, 2 * size(key) + {_NOTED} + size(self[key])).sum()"
"""The size of annotations in characters, because CEL's bytes cost too much. The operator counts bytes."""

Labels = Annotated[
    dict[
        str,
        Annotated[
            str,
            Field(description="Value of the label.", max_length=63),
            Format(f"({NAME})?", f"must be empty or {_NAME_RULE}"),
        ],
    ],
    Field(max_length=MOST_ITEMS),
    _keys(LABEL_KEY),
    _names(LABEL_KEY),
]
"""Labels, as Kubernetes accepts them."""

Annotations = Annotated[
    dict[str, Annotated[str, Field(description="Value of the annotation.", max_length=ANNOTATIONS_LIMIT)]],
    Field(max_length=MOST_ITEMS),
    _keys(_ANNOTATION_KEY),
    AfterValidator(_size),
    _names(
        _ANNOTATION_KEY,
        {"message": _TOO_LARGE, "cel": f"{_SUM} <= {ANNOTATIONS_LIMIT}", "shown": f"{_SUM}"},
    ),
]
"""Annotations, as Kubernetes accepts them."""
