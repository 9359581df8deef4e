"""AWS as a model: accounts, secrets, roles and what they may do. State and rules, no wire and no clients.

Written against the API references of Secrets Manager and STS, not against the operator. `World.perform` takes an
operation as the wire would bring it and gives what AWS would answer, or raises `Refused` with AWS's code
and status. What differs from moto: permissions are per role and per secret, full ARNs work across accounts,
sessions end, a batch takes 20 ids and reports its errors by secret, listings can be frozen (AWS: "might not
reflect changes from the last five minutes") and reads can lag.
"""

from __future__ import annotations

import base64
import re
import secrets as random_tokens
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"
OPERATOR_ACCOUNT = "123456789012"
REGION = "eu-west-1"
READS = frozenset({"GetSecretValue", "BatchGetSecretValue", "DescribeSecret", "ListSecrets"})


class Refused(Exception):  # noqa: N818 - what AWS does
    """AWS says no: its error code, sentence and HTTP status."""

    def __init__(self, code: str, sentence: str, status: int = 400) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence
        self.status = status


@dataclass
class Secret:
    """One secret with its versions: version id -> value, and version id -> stages."""

    name: str
    arn: str
    account: str
    region: str
    created: datetime
    changed: datetime
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str | bytes] = field(default_factory=dict)
    stages: dict[str, list[str]] = field(default_factory=dict)
    deleted: datetime | None = None
    shared_with: set[str] = field(default_factory=set)
    """Accounts and role ARNs that its resource policy lets in."""

    reads_lag_at: str = ""
    """A version that GetSecretValue still takes for the current one, as a lagging replica does."""

    def staged(self, stage: str) -> str:
        """The version that carries the stage, empty if none does."""
        return next((version for version, stages in self.stages.items() if stage in stages), "")

    def move(self, stage: str, version: str) -> None:
        """Put the stage on that version alone (empty: on none)."""
        for stages in self.stages.values():
            if stage in stages:
                stages.remove(stage)
        if version:
            self.stages.setdefault(version, []).append(stage)


@dataclass
class Role:
    """A role: who may assume it, and what it may do.

    `read` are patterns (`*`, `?`) of names or ARNs that it may get and describe; None: all of its own account.
    `deny` are operations refused whatever the secret.
    """

    arn: str
    read: list[str] | None = None
    deny: set[str] = field(default_factory=set)
    trusted: bool = True
    external_id: str = ""
    kms_denied: list[str] = field(default_factory=list)
    """Patterns of secrets whose key it may not use."""

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]


@dataclass(frozen=True)
class Principal:
    """Who calls: the operator (no role), or a session of a role."""

    account: str
    role: str = ""
    session: str = ""

    @property
    def arn(self) -> str:
        if not self.role:
            return f"arn:aws:sts::{self.account}:assumed-role/operator/i-0abc"
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role.rpartition('/')[2]}/{self.session}"


@dataclass
class Session:
    """Credentials that AssumeRole gave out."""

    principal: Principal
    secret_key: str
    token: str
    expires: datetime
    revoked: bool = False


def utc_now() -> datetime:
    return datetime.now(UTC)


class World:
    """All of AWS that matters here. `open_doors`: any role exists, is trusted and reads its account."""

    def __init__(self, *, now: Callable[[], datetime] = utc_now, open_doors: bool = False) -> None:
        self.now = now
        self.open_doors = open_doors
        self.secrets: dict[tuple[str, str, str], Secret] = {}
        self.by_arn: dict[str, Secret] = {}
        self.roles: dict[str, Role] = {}
        self.sessions: dict[str, Session] = {}
        self.operator = Role("arn:aws:iam::" + OPERATOR_ACCOUNT + ":role/operator")
        self.frozen: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._ticks = count()
        self._serial = count(1)

    # What tests do to AWS

    def role(self, name: str, *, account: str = OPERATOR_ACCOUNT, **rules: Any) -> str:
        """Make a role, or change its rules; gives its ARN."""
        arn = name if name.startswith("arn:") else f"arn:aws:iam::{account}:role/{name}"
        known = self.roles.setdefault(arn, Role(arn))
        for rule, value in rules.items():
            setattr(known, rule, value)
        return arn

    def create(
        self,
        name: str,
        value: str | bytes | None = None,
        *,
        account: str = OPERATOR_ACCOUNT,
        region: str = REGION,
        tags: dict[str, str] | None = None,
        version_id: str = "",
        shared_with: Iterable[str] = (),
    ) -> Secret:
        """Make a secret, with a current version if there is a value."""
        key = (account, region, name)
        if key in self.secrets:
            raise Refused("ResourceExistsException", f"the secret {name} already exists.")
        arn = f"arn:aws:secretsmanager:{region}:{account}:secret:{name}-{_suffix(next(self._serial))}"
        moment = self._moment()
        secret = Secret(name, arn, account, region, moment, moment, dict(tags or {}))
        secret.shared_with = set(shared_with)
        self.secrets[key] = self.by_arn[arn] = secret
        if value is not None:
            self._put(secret, value, [CURRENT], version_id)
        return secret

    def secret(self, name: str, *, account: str = OPERATOR_ACCOUNT, region: str = REGION) -> Secret:
        return self.secrets[account, region, name]

    def put(self, name: str, value: str | bytes, *, stage: str = CURRENT, **where: str) -> str:
        """A new version; gives its id."""
        return self._put(self.secret(name, **where), value, [stage], "")

    def roll_back(self, name: str, **where: str) -> str:
        """Put AWSCURRENT back on the previous version; gives its id."""
        secret = self.secret(name, **where)
        version = secret.staged(PREVIOUS)
        now = secret.staged(CURRENT)
        secret.move(CURRENT, version)
        secret.move(PREVIOUS, now)
        self._changed(secret)
        return version

    def delete(self, name: str, *, force: bool = False, **where: str) -> None:
        secret = self.secret(name, **where)
        if force:
            del self.secrets[secret.account, secret.region, name], self.by_arn[secret.arn]
        else:
            secret.deleted = self._moment()

    def restore(self, name: str, **where: str) -> None:
        secret = self.secret(name, **where)
        secret.deleted = None
        self._changed(secret)

    def tag(self, name: str, tags: dict[str, str | None], **where: str) -> None:
        """Set these tags; None takes one away."""
        secret = self.secret(name, **where)
        for key, value in tags.items():
            if value is None:
                secret.tags.pop(key, None)
            else:
                secret.tags[key] = value
        self._changed(secret)

    def freeze_lists(self, *, account: str = OPERATOR_ACCOUNT, region: str = REGION) -> None:
        """From now on ListSecrets shows what it shows now."""
        self.frozen[account, region] = [self._entry(secret) for secret in self._listed(account, region)]

    def thaw_lists(self) -> None:
        self.frozen.clear()

    def end_sessions(self, role: str = "") -> None:
        """Let the sessions of that role (or all) be expired from now on."""
        for session in self.sessions.values():
            if not role or session.principal.role == role:
                session.revoked = True

    # What callers ask of AWS

    def authenticate(self, access_key: str, token: str) -> Principal:
        """Who has these credentials. Keys that STS did not give out are the operator's."""
        session = self.sessions.get(access_key)
        if session is None:
            if access_key.startswith("ASIA"):
                raise Refused(
                    "UnrecognizedClientException", "The security token included in the request is invalid."
                )
            return Principal(OPERATOR_ACCOUNT)
        if session.token != token:
            raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
        if session.revoked or session.expires <= self.now():
            raise Refused("ExpiredTokenException", "The security token included in the request is expired")
        return session.principal

    def perform(self, who: Principal, region: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer to the operation. Raises Refused."""
        handler = getattr(self, "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(), None)
        if handler is None:
            raise Refused("UnknownOperationException", "")
        self._check_operation(who, operation)
        answer: dict[str, Any] = handler(who, region, params)
        return answer

    def _check_operation(self, who: Principal, operation: str) -> None:
        if operation in self._rules(who).deny:
            raise _denied(who, operation, "*")

    def _rules(self, who: Principal) -> Role:
        return self.roles.get(who.role) or (Role(who.role) if who.role else self.operator)

    def _check_secret(self, who: Principal, operation: str, secret_id: str, secret: Secret | None) -> None:
        """Identity policy first, as AWS does: who may not read a name does not learn whether it exists."""
        rules = self._rules(who)
        forms = [secret_id, *([secret.name, secret.arn] if secret else [])]
        allowed = rules.read is None or any(fnmatchcase(form, glob) for glob in rules.read for form in forms)
        foreign = secret is not None and secret.account != who.account
        if foreign and not {who.account, who.role} & secret.shared_with:  # type: ignore[union-attr]
            allowed = False
        if not allowed or operation in rules.deny:
            raise _denied(who, operation, secret.arn if secret else secret_id)
        reads = secret is not None and operation == "GetSecretValue"
        if reads and any(fnmatchcase(secret_id, glob) for glob in rules.kms_denied):
            raise Refused("AccessDeniedException", "Access to KMS is not allowed")

    def _find(self, who: Principal, region: str, secret_id: str) -> Secret | None:
        if not secret_id.startswith("arn:"):
            return self.secrets.get((who.account, region, secret_id))
        secret = self.by_arn.get(secret_id)
        if secret is None and not re.search(r"-[A-Za-z0-9]{6}$", secret_id):
            parts = secret_id.split(":", 6)
            if len(parts) == 7 and parts[4] == who.account:  # across accounts AWS wants the whole ARN
                secret = self.secrets.get((parts[4], parts[3], parts[6]))
        return secret if secret and secret.region == region else None

    def _reach(self, who: Principal, region: str, operation: str, secret_id: str) -> Secret:
        if not secret_id:
            raise Refused("InvalidParameterException", "You must provide a SecretId.")
        secret = self._find(who, region, secret_id)
        self._check_secret(who, operation, secret_id, secret)
        if secret is None:
            raise Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return secret

    def _get_secret_value(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "GetSecretValue", params.get("SecretId", ""))
        if secret.deleted:
            raise Refused(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            )
        wanted, stage = params.get("VersionId", ""), params.get("VersionStage", "")
        version = (
            wanted or (secret.reads_lag_at if stage in {"", CURRENT} else "") or secret.staged(stage or CURRENT)
        )
        lagging = version == secret.reads_lag_at
        if version not in secret.versions or (wanted and stage and stage not in secret.stages.get(wanted, [])):
            what = f"VersionId: {wanted}" if wanted else f"staging label: {stage or CURRENT}"
            raise Refused(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for {what}",
            )
        stages = [CURRENT] if lagging else list(secret.stages.get(version, []))
        value = secret.versions[version]
        answer: dict[str, Any] = {
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": version,
            "VersionStages": stages,
            "CreatedDate": secret.changed.timestamp(),
        }
        if isinstance(value, bytes):
            return answer | {"SecretBinary": base64.b64encode(value).decode()}
        return answer | {"SecretString": value}

    def _batch_get_secret_value(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        ids = params.get("SecretIdList") or []
        if not ids or params.get("Filters"):
            raise Refused("InvalidParameterException", "You must include Filters or SecretIdList, but not both.")
        if len(ids) > 20:
            raise Refused("ValidationException", "SecretIdList must have length less than or equal to 20")
        values, errors = [], []
        for secret_id in ids:
            try:
                values.append(self._get_secret_value(who, region, {"SecretId": secret_id}))
            except Refused as no:
                errors.append({"SecretId": secret_id, "ErrorCode": no.code, "Message": no.sentence})
        return {"SecretValues": values, "Errors": errors}

    def _describe_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "DescribeSecret", params.get("SecretId", ""))
        entry = self._entry(secret)
        entry["VersionIdsToStages"] = entry.pop("SecretVersionsToStages", {})
        return entry

    def _list_secrets(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        size = params.get("MaxResults") or 100
        if not 1 <= size <= 100:
            raise Refused("InvalidParameterException", "MaxResults must be between 1 and 100")
        try:
            start = int(base64.b64decode(params["NextToken"]).decode()) if params.get("NextToken") else 0
        except ValueError:
            raise Refused("InvalidNextTokenException", "The NextToken value is invalid.") from None
        entries = self.frozen.get((who.account, region))
        if entries is None:
            found = self._listed(who.account, region, deleted=bool(params.get("IncludePlannedDeletion")))
            total, page = len(found), [self._entry(secret) for secret in found[start : start + size]]
        else:
            total, page = len(entries), entries[start : start + size]
        answer: dict[str, Any] = {"SecretList": page}
        if start + size < total:
            answer["NextToken"] = base64.b64encode(str(start + size).encode()).decode()
        return answer

    def _listed(self, account: str, region: str, *, deleted: bool = False) -> list[Secret]:
        place = (account, region)
        return [
            one
            for one in self.secrets.values()
            if (one.account, one.region) == place and (deleted or not one.deleted)
        ]

    def _entry(self, secret: Secret) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "ARN": secret.arn,
            "Name": secret.name,
            "CreatedDate": secret.created.timestamp(),
            "LastChangedDate": secret.changed.timestamp(),
            "Tags": [{"Key": key, "Value": value} for key, value in secret.tags.items()],
        }
        if staged := {version: list(stages) for version, stages in secret.stages.items() if stages}:
            entry["SecretVersionsToStages"] = staged
        if secret.deleted:
            entry["DeletedDate"] = secret.deleted.timestamp()
        return entry

    def _create_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self.create(
            params["Name"],
            _value(params),
            account=who.account,
            region=region,
            tags={tag["Key"]: tag["Value"] for tag in params.get("Tags") or ()},
            version_id=params.get("ClientRequestToken", ""),
        )
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": secret.staged(CURRENT)}

    def _put_secret_value(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "PutSecretValue", params.get("SecretId", ""))
        stages = params.get("VersionStages") or [CURRENT]
        value = _value(params)
        if value is None:
            raise Refused("InvalidParameterException", "You must provide either SecretString or SecretBinary.")
        version = self._put(secret, value, stages, params.get("ClientRequestToken", ""))
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": version, "VersionStages": stages}

    def _update_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        return self._put_secret_value(who, region, params)

    def _delete_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "DeleteSecret", params.get("SecretId", ""))
        force = bool(params.get("ForceDeleteWithoutRecovery"))
        self.delete(secret.name, force=force, account=secret.account, region=secret.region)
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": self.now().timestamp()}

    def _restore_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "RestoreSecret", params.get("SecretId", ""))
        self.restore(secret.name, account=secret.account, region=secret.region)
        return {"ARN": secret.arn, "Name": secret.name}

    def _tag_resource(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "TagResource", params.get("SecretId", ""))
        tags = {tag["Key"]: tag["Value"] for tag in params["Tags"]}
        self.tag(secret.name, tags, account=secret.account, region=secret.region)
        return {}

    def _untag_resource(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "UntagResource", params.get("SecretId", ""))
        gone: dict[str, str | None] = dict.fromkeys(params["TagKeys"])
        self.tag(secret.name, gone, account=secret.account, region=secret.region)
        return {}

    def _update_secret_version_stage(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "UpdateSecretVersionStage", params.get("SecretId", ""))
        stage, target = params["VersionStage"], params.get("MoveToVersionId", "")
        if target and target not in secret.versions:
            raise Refused("InvalidParameterException", "MoveToVersionId is not a version of this secret.")
        if target and stage == CURRENT and (now := secret.staged(CURRENT)):
            secret.move(PREVIOUS, now)
        secret.move(stage, target)
        self._changed(secret)
        return {"ARN": secret.arn, "Name": secret.name}

    def _get_caller_identity(self, who: Principal, _region: str, _params: dict[str, Any]) -> dict[str, Any]:
        return {"Account": who.account, "Arn": who.arn, "UserId": "AROAEXAMPLE:session"}

    def _assume_role(self, who: Principal, _region: str, params: dict[str, Any]) -> dict[str, Any]:
        arn, session = params["RoleArn"], params["RoleSessionName"]
        role = self.roles.get(arn) or (Role(arn) if self.open_doors else None)
        seconds = int(params.get("DurationSeconds") or 3600)
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", session) or not 900 <= seconds <= 43_200:
            raise Refused("ValidationError", "1 validation error detected")
        if role is None or not role.trusted or role.external_id not in {"", params.get("ExternalId", "")}:
            raise Refused(
                "AccessDenied",
                f"User: {who.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                403,
            )
        key = f"ASIA{random_tokens.token_hex(8).upper()}"
        expires = self.now() + timedelta(seconds=seconds)
        token = random_tokens.token_hex(16)
        self.sessions[key] = Session(Principal(role.account, arn, session), "secret", token, expires)
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": "secret",
                "SessionToken": token,
                "Expiration": expires.isoformat(timespec="seconds"),
            },
            "AssumedRoleUser": {
                "Arn": Principal(role.account, arn, session).arn,
                "AssumedRoleId": f"AROA:{session}",
            },
        }

    def _put(self, secret: Secret, value: str | bytes, stages: list[str], version_id: str) -> str:
        version = version_id or str(uuid.uuid4())
        if CURRENT in stages and (now := secret.staged(CURRENT)):
            secret.move(PREVIOUS, now)
        secret.versions[version] = value
        for stage in stages:
            secret.move(stage, version)
        self._changed(secret)
        return version

    def _changed(self, secret: Secret) -> None:
        secret.changed = self._moment()

    def _moment(self) -> datetime:
        # Never the same twice, so that a change of the date is always visible.
        return self.now() + timedelta(microseconds=next(self._ticks))


def _suffix(number: int) -> str:
    """Six letters and digits, as AWS puts them at the end of an ARN."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    text = ""
    number = number * 2_654_435_761 % 62**6
    for _ in range(6):
        number, digit = divmod(number, 62)
        text += digits[digit]
    return text


def _value(params: dict[str, Any]) -> str | bytes | None:
    if params.get("SecretBinary") is not None:
        return base64.b64decode(params["SecretBinary"])
    text: str | None = params.get("SecretString")
    return text


def _denied(who: Principal, operation: str, resource: str) -> Refused:
    return Refused(
        "AccessDeniedException",
        f"User: {who.arn} is not authorized to perform: secretsmanager:{operation} on resource: {resource} "
        f"because no identity-based policy allows the secretsmanager:{operation} action",
    )
