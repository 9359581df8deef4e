"""The operator's label on a Secret: whose the Secret is, and by which selector it is watched. Pure.

`MARK` is a label of the operator's own group. Up to version 1.0, the operator used `app.kubernetes.io/managed-by`, which
belongs to whoever deploys the Secret. Secrets with this old mark are still the operator's. They get the new one with their
next write, so that an upgrade writes nothing. Until then, a second selector watches them. The old label stays on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OWN_GROUP = "secrets.contentful.com/"
MARK = f"{OWN_GROUP}managed"
WHOLE = "true"
"""Value of the mark: all data of the Secret is the operator's."""
SOME_KEYS = "keys"
"""Value of the mark: objects fill some keys of a Secret that belongs to somebody else."""
OLD_MARK = "app.kubernetes.io/managed-by"
OLD_VALUE = "kube-secret-syncer"
SELECTOR = MARK
OLD_SELECTOR = f"{OLD_MARK}={OLD_VALUE},!{MARK}"
"""No Secret matches both."""
MARKED = f"{MARK}={WHOLE}"
MARK_NAMES = frozenset({MARK, OLD_MARK})


def is_managed(secret: Mapping[str, Any]) -> bool:
    """Whether the Secret, summarised or not, is the operator's."""
    labels = secret["metadata"].get("labels") or {}
    return labels.get(MARK) == WHOLE or has_old_mark(labels)


def is_watched(secret: Mapping[str, Any]) -> bool:
    """Whether the Secret has a label by which it is watched."""
    labels = secret["metadata"].get("labels") or {}
    return MARK in labels or has_old_mark(labels)


def has_old_mark(labels: Mapping[str, str]) -> bool:
    return MARK not in labels and labels.get(OLD_MARK) == OLD_VALUE
