"""Which role an object may use: pure decisions.

`authorize` takes the spec of an object and its namespace, and returns a `Grant` or raises. Every read from AWS requires a
Grant, whatever the form of the reference. The rules:

    annotation on the namespace        spec      result
    a JSON list that has the role      role      granted (compared as ARNs)
    a JSON list without it             role      denied
    a JSON list                        no role   denied
    absent                             any       granted, unless REQUIRE_NS_ANNOTATION
    anything else                      any       denied, and the message says why

With `AWSAccountID`, every secret must also have a tag with the type of the namespace (`Grant.tag`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cachetools import LRUCache, cached

from secretsyncer.aws.arn import Account, RoleArn, complete_role
from secretsyncer.aws.identity import OPERATOR, Identity, SecretRef
from secretsyncer.aws.services import SECRETS_MANAGER
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.synced_secret import SyncedSecretSpec

NAMESPACE_TYPE_LABEL = "k8s.contentful.com/namespace-type"
NAMESPACE_TYPE_TAG = "k8s.contentful.com/namespace_type/"
ACCOUNT_ROLE = "secret-syncer"
"""The role of an account that `AWSAccountID` names."""
WARNINGS = 10
"""Maximum number of entries with a warning of their own."""
WARNINGS_IN_DENIAL = 3
"""As many of them fit into a message beside the denial itself."""
REMEMBERED = 2**20
"""Characters of annotations whose content is remembered. One annotation can have 256 KiB."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide about access."""

    annotation: str
    require_annotation: bool


class Grant(NamedTuple):
    """Permission to read AWS as `identity`; if `tag` is not empty, only secrets with the tag `tag` = "1".

    `region` is for references without one; empty: the operator's.
    """

    identity: Identity
    tag: str = ""
    region: str = ""
    warnings: tuple[str, ...] = ()

    def ref(
        self,
        secret_id: str,
        *,
        region: str = "",
        version_id: str = "",
        stage: str = "",
        service: str = SECRETS_MANAGER.name,
    ) -> SecretRef:
        """The secret or parameter with the identity and region of this grant. An ARN has its own region."""
        own = "" if secret_id.startswith("arn:") else self.region
        return SecretRef(self.identity, secret_id, region or own, version_id, stage, service)

    def permits(self, tags: Mapping[str, str]) -> bool:
        """Whether a secret with these tags may be read under this grant."""
        return not self.tag or tags.get(self.tag) == "1"


class Allowed(NamedTuple):
    """The content of the annotation of a namespace. `size` is the number of characters of its text."""

    roles: frozenset[RoleArn]
    warnings: tuple[str, ...]
    size: int


def authorize(spec: SyncedSecretSpec, namespace: Mapping[str, Any], account: Account | None, rules: Rules) -> Grant:
    """The grant for this spec in this namespace (a raw object).

    `account` is the operator's own. It completes role names. None while it is not known.
    Raises Rejected(RoleNotAllowed or InvalidSpec), or Unavailable if the account is needed but not known.
    """
    metadata = namespace["metadata"]
    annotation = rules.annotation
    text = (metadata.get("annotations") or {}).get(annotation)
    role = _role_of(spec, account)
    tag = _tag_of(role, metadata)
    if text is None:
        if rules.require_annotation:
            raise _refused(f"namespace {metadata['name']} has no annotation {annotation}, and one is required")
        return Grant(_identity(spec, role), tag, spec.region or "")
    # The API server accepts only strings; a manifest for `secretsyncer render` may contain anything.
    allowed = allowed_roles(text if isinstance(text, str) else "", account, annotation)
    if role is None:
        raise _refused(
            f"namespace {metadata['name']} allows only the roles in its annotation {annotation}; "
            f"set spec.IAMRole to one of them{_skipped(allowed)}"
        )
    if role not in allowed.roles:
        raise _refused(
            f"role {role} is not in the annotation {annotation} of namespace {metadata['name']}{_skipped(allowed)}"
        )
    return Grant(_identity(spec, role), tag, spec.region or "", allowed.warnings)


def account_role(account: Account) -> RoleArn:
    """The role that `AWSAccountID` stands for."""
    return RoleArn(f"arn:{account.partition}:iam::{account.id}:role/{ACCOUNT_ROLE}")


def _identity(spec: SyncedSecretSpec, role: RoleArn | None) -> Identity:
    """No role, no AssumeRole: external id and session name do not apply."""
    return Identity(role, spec.external_id or "", spec.role_session_name or "") if role else OPERATOR


def _role_of(spec: SyncedSecretSpec, account: Account | None) -> RoleArn | None:
    if spec.aws_account_id:
        return account_role(Account(_known(account).partition, spec.aws_account_id))
    if not spec.iam_role:
        return None
    try:
        return _complete(spec.iam_role, account)
    except ValueError as exc:
        raise Rejected(Reason.INVALID_SPEC, f"spec.IAMRole: {exc}") from None


def _tag_of(role: RoleArn | None, metadata: Mapping[str, Any]) -> str:
    """The rule belongs to the role: it holds as well where the object names that role itself."""
    if role is None or role.rpartition(":role/")[2].rpartition("/")[2] != ACCOUNT_ROLE:
        return ""
    kind = (metadata.get("labels") or {}).get(NAMESPACE_TYPE_LABEL)
    if not kind:
        raise _refused(
            f"namespace {metadata['name']} has no label {NAMESPACE_TYPE_LABEL}, which the role {ACCOUNT_ROLE} needs"
        )
    return NAMESPACE_TYPE_TAG + str(kind)


@cached(
    LRUCache(REMEMBERED, getsizeof=lambda allowed: allowed.size), lock=threading.Lock()
)  # the status page asks in a thread
def allowed_roles(text: str, account: Account | None, annotation: str) -> Allowed:
    """The roles in the annotation. Invalid entries are skipped with a warning."""
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
            hint = " (patterns are not supported)" if "*" in entry or "?" in entry else ""
            warnings.append(f"annotation {annotation}: {exc}{hint}; entry skipped")
    if len(warnings) > WARNINGS:
        warnings[WARNINGS:] = [f"annotation {annotation}: {len(warnings) - WARNINGS} more entries skipped"]
    return Allowed(frozenset(roles), tuple(warnings), len(text))


def _skipped(allowed: Allowed) -> str:
    """What a denial adds: an entry that was skipped may be the one that was meant to allow it."""
    more = ("more entries skipped",) if len(allowed.warnings) > WARNINGS_IN_DENIAL else ()
    return "".join(f"; {warning}" for warning in (*allowed.warnings[:WARNINGS_IN_DENIAL], *more))


def _complete(text: str, account: Account | None) -> RoleArn:
    # A full ARN needs no account, so these objects work even if STS does not answer.
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
