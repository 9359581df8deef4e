"""Who may read AWS as which role: the gate, as pure decisions.

`authorize` takes an object's spec and its namespace and gives a `Grant`, or raises. `reconcile.py` reads AWS only
with a Grant in hand, whatever the form of the reference, so there is no second way in. The rules:

    annotation on the namespace        spec      result
    a JSON list that has the role      role      granted (compared as ARNs)
    a JSON list without it             role      refused
    a JSON list                        no role   refused
    absent                             any       granted, unless REQUIRE_NS_ANNOTATION
    anything else                      any       refused, and the message says why

With `AWSAccountID` every secret must carry a tag that names the namespace's type as well (`Grant.tag`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from secretsyncer.aws.arn import Account, RoleArn, complete_role
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.synced_secret import SyncedSecretSpec

NAMESPACE_TYPE_LABEL = "k8s.contentful.com/namespace-type"
NAMESPACE_TYPE_TAG = "k8s.contentful.com/namespace_type/"
ACCOUNT_ROLE = "secret-syncer"
"""The role of an account that `AWSAccountID` names."""
WARNINGS = 10
"""Entries of an annotation that are warned about one by one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's settings that decide over access."""

    annotation: str
    require_annotation: bool


class Grant(NamedTuple):
    """Leave to read AWS as `identity`, only secrets with the tag `tag` = "1" where `tag` is not empty.

    `region` is where names without one are looked for; empty: the operator's.
    """

    identity: Identity
    tag: str = ""
    region: str = ""
    warnings: tuple[str, ...] = ()

    def ref(self, secret_id: str, *, region: str = "", version_id: str = "", stage: str = "") -> SecretRef:
        """The secret as this grant reads it. An ARN brings its own region."""
        own = "" if secret_id.startswith("arn:") else self.region
        return SecretRef(self.identity, secret_id, region or own, version_id, stage)

    def permits(self, tags: Mapping[str, str]) -> bool:
        """Whether a secret with these tags may be read under this grant."""
        return not self.tag or tags.get(self.tag) == "1"


class Allowed(NamedTuple):
    """What a namespace's annotation says."""

    roles: frozenset[RoleArn]
    warnings: tuple[str, ...]


def authorize(spec: SyncedSecretSpec, namespace: Mapping[str, Any], account: Account | None, rules: Rules) -> Grant:
    """The grant for this spec in this namespace (a raw object).

    `account` is the operator's own, needed to complete bare role names; None while it is not known.
    Raises Rejected(RoleNotAllowed or InvalidSpec), or Unavailable where the account is needed and not known.
    """
    metadata = namespace["metadata"]
    annotation = rules.annotation
    text = (metadata.get("annotations") or {}).get(annotation)
    role = _role_of(spec, account)
    tag = _tag_of(spec, metadata)
    if text is None:
        if rules.require_annotation:
            raise _refused(f"namespace {metadata['name']} has no annotation {annotation}, and one is required")
        return Grant(_identity(spec, role), tag, spec.region or "")
    # The API server lets only text in; a manifest for `secretsyncer render` may hold anything.
    allowed = allowed_roles(text if isinstance(text, str) else "", account, annotation)
    if role is None:
        raise _refused(
            f"namespace {metadata['name']} allows only the roles in its annotation {annotation}; "
            "set spec.IAMRole to one of them"
        )
    if role not in allowed.roles:
        raise _refused(f"role {role} is not in the annotation {annotation} of namespace {metadata['name']}")
    return Grant(_identity(spec, role), tag, spec.region or "", allowed.warnings)


def _identity(spec: SyncedSecretSpec, role: RoleArn | None) -> Identity:
    """No role, no AssumeRole: external id and session name do not apply."""
    return Identity(role, spec.external_id or "", spec.role_session_name or "") if role else Identity("")


def _role_of(spec: SyncedSecretSpec, account: Account | None) -> RoleArn | None:
    if spec.aws_account_id:
        partition = _known(account).partition
        return RoleArn(f"arn:{partition}:iam::{spec.aws_account_id}:role/{ACCOUNT_ROLE}")
    if not spec.iam_role:
        return None
    try:
        return _complete(spec.iam_role, account)
    except ValueError as exc:
        raise Rejected(Reason.INVALID_SPEC, f"spec.IAMRole: {exc}") from None


def _tag_of(spec: SyncedSecretSpec, metadata: Mapping[str, Any]) -> str:
    if not spec.aws_account_id:
        return ""
    kind = (metadata.get("labels") or {}).get(NAMESPACE_TYPE_LABEL)
    if not kind:
        raise _refused(
            f"namespace {metadata['name']} has no label {NAMESPACE_TYPE_LABEL}, which AWSAccountID needs"
        )
    return NAMESPACE_TYPE_TAG + str(kind)


@lru_cache(maxsize=1024)
def allowed_roles(text: str, account: Account | None, annotation: str) -> Allowed:
    """The roles of an annotation's text. Entries that are no roles are skipped, with a warning each."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise _refused(f'the annotation {annotation} is not a JSON list of role names, like ["reader"]')
    roles, warnings = set(), []
    for entry in entries:
        try:
            roles.add(_complete(entry, account))
        except ValueError as exc:
            warnings.append(f"annotation {annotation}: {exc}; entry skipped")
    if len(warnings) > WARNINGS:
        warnings[WARNINGS:] = [f"annotation {annotation}: {len(warnings) - WARNINGS} more entries skipped"]
    return Allowed(frozenset(roles), tuple(warnings))


def _complete(text: str, account: Account | None) -> RoleArn:
    # A full ARN needs no account: such objects go on while STS does not answer.
    return (
        complete_role(text, account or Account("", ""))
        if text.startswith("arn:")
        else complete_role(text, _known(account))
    )


def _known(account: Account | None) -> Account:
    if account is None:
        raise Unavailable(
            Reason.AWS_UNAVAILABLE, "the operator's own AWS account is not known yet (sts:GetCallerIdentity)"
        )
    return account


def _refused(message: str) -> Rejected:
    return Rejected(Reason.ROLE_NOT_ALLOWED, message)
