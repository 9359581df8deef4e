"""A raw object as a `SyncedSecret`, or `Rejected(InvalidSpec)` that names each wrong field by its path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from secretsyncer.errors import Reason, Rejected
from secretsyncer.expressions import patience
from secretsyncer.kube.objects import Key, key_of, unpacked
from secretsyncer.synced_secret.spec import SyncedSecretSpec

MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "unknown field",
    "string_type": "must be a string",
    "string_too_short": "length must be at least {min_length}",
    "string_too_long": "length must be at most {max_length}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    "greater_than_equal": "must be at least {ge}",
    "literal_error": "must be {expected}",
    "tuple_type": "must be a list",
    "too_long": "must have at most {max_length} items",
    "dict_type": "must be a map",
    "model_type": "must be an object",
}
"""Pydantic's own messages speak of Python. The CRD has these words, too."""


LONGEST = 3.0
"""Seconds of processor time that the expressions of a spec may take to compile."""
MOST_PROBLEMS = 20
"""Wrong fields that one message names."""
_LONGEST_NAME = 100
TOO_LARGE = "tooLarge"
"""Field of an object whose spec was too large to be kept, beside `spec`: how many entries it has."""


class SyncedSecret(NamedTuple):
    """A valid object, with the parts of its metadata that matter."""

    key: Key
    uid: str
    generation: int
    spec: SyncedSecretSpec

    @property
    def secret(self) -> Key:
        """The Secret that it writes."""
        name = self.spec.target and self.spec.target.name
        return Key(self.key.namespace, name) if name else self.key

    @property
    def refresh_interval(self) -> float | None:
        """Seconds between two reads on demand."""
        return self.spec.refresh_interval


def target_of(obj: dict[str, Any]) -> Key:
    """The Secret that a raw object asks for, whether the object is valid or not."""
    key, name = key_of(obj), _target(obj).get("name")
    return Key(key.namespace, name) if isinstance(name, str) and name else key


def merges(obj: dict[str, Any]) -> bool:
    """Whether a raw object asks to fill some keys of its Secret, whether the object is valid or not."""
    return _target(obj).get("policy") == "Merge"


def _target(obj: dict[str, Any]) -> dict[str, Any]:
    spec = unpacked(obj.get("spec"))
    target = spec.get("target") if isinstance(spec, dict) else None
    return target if isinstance(target, dict) else {}


def parse(obj: dict[str, Any], *, seconds: float = LONGEST) -> SyncedSecret:
    """The object, checked. Raises Rejected(InvalidSpec) that names every wrong field.

    Raises OutOfPatience if its expressions take more than these seconds of processor time; `LONGEST`: is rejected.
    """
    metadata = obj["metadata"]
    spec = unpacked(obj.get("spec"))
    if TOO_LARGE in obj:
        raise Rejected(
            Reason.INVALID_SPEC,
            f"spec: has {obj[TOO_LARGE]} entries in lists and maps, more than its fields allow together",
        )
    try:
        if not isinstance(spec, dict | None):
            raise Rejected(Reason.INVALID_SPEC, "spec: must be an object")
        with patience.limited(seconds):
            checked = SyncedSecretSpec.model_validate(spec or {})
    except patience.OutOfPatience:
        if seconds < LONGEST:
            raise
        raise Rejected(
            Reason.INVALID_SPEC,
            f"spec: its regular expressions and JMESPath expressions take more than {LONGEST:g} s of processor time "
            "to compile; use fewer or shorter ones",
        ) from None
    except ValidationError as exc:
        problems = _problems(exc)
    else:
        return SyncedSecret(key_of(obj), metadata.get("uid", ""), metadata.get("generation", 0), checked)
    # Outside of the handler: the causes of pydantic's error hold frames that would hold this failure.
    raise Rejected(Reason.INVALID_SPEC, problems)


def _problems(failure: ValidationError) -> str:
    errors = failure.errors(include_input=False, include_url=False)
    more = [f"and {len(errors) - MOST_PROBLEMS} more"] if len(errors) > MOST_PROBLEMS else []
    return "; ".join([*map(_explain, errors[:MOST_PROBLEMS]), *more])


def _explain(error: Mapping[str, Any]) -> str:
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{_name(part)}" for part in error["loc"])
    known = MESSAGES.get(error["type"])
    message = known.format_map(error.get("ctx", {})) if known else error["msg"].removeprefix("Value error, ")
    return f"{path}: {message}"


def _name(field: str) -> str:
    """The name of a field on one line, clipped, because users may write anything as a name."""
    shown = field if field.isprintable() else ascii(field)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}…"
