"""The state of the AWS model: secrets, roles and sessions, and what tests change about them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"
OPERATOR_ACCOUNT = "123456789012"
REGION = "eu-west-1"


class Refused(Exception):  # noqa: N818 - what AWS does
    """An error response of AWS: code, message and HTTP status."""

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

    rotation: dict[str, Any] = field(default_factory=dict)
    """The fields of ListSecrets about it; dates as datetimes."""

    reads_lag_at: str = ""
    """A version that GetSecretValue still takes for the current one, as a lagging replica does."""

    listed_as: Secret | None = None
    """What ListSecrets still shows in its place."""

    def staged(self, stage: str) -> str:
        """The version with the stage; empty if there is none."""
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
    """Credentials from AssumeRole."""

    principal: Principal
    secret_key: str
    token: str
    expires: datetime
    revoked: bool = False


def utc_now() -> datetime:
    return datetime.now(UTC)


class State:
    """Everything that exists. `open_doors`: every role exists, may be assumed and may read its account."""

    def __init__(self, *, now: Callable[[], datetime] = utc_now, open_doors: bool = False) -> None:
        self.now = now
        self.open_doors = open_doors
        self.secrets: dict[tuple[str, str, str], Secret] = {}
        self.by_arn: dict[str, Secret] = {}
        self.roles: dict[str, Role] = {}
        self.sessions: dict[str, Session] = {}
        self.operator = Role("arn:aws:iam::" + OPERATOR_ACCOUNT + ":role/operator")
        self.frozen: dict[tuple[str, str], list[Secret]] = {}
        self.sorts = True
        """Whether ListSecrets knows SortBy; moto and older stand-ins ignore it."""
        self.messages: dict[str, str] = {}
        """What waits in the queue of events: receipt handle to body."""
        self._ticks = count()
        self._serial = count(1)

    def role(self, name: str, *, account: str = OPERATOR_ACCOUNT, **rules: Any) -> str:
        """Create a role, or change its rules; returns its ARN."""
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
        """Create a secret, with a current version if there is a value."""
        key = (account, region, name)
        if key in self.secrets:
            raise Refused("ResourceExistsException", f"the secret {name} already exists.")
        arn = f"arn:aws:secretsmanager:{region}:{account}:secret:{name}-{_suffix(next(self._serial))}"
        moment = self._moment()
        secret = Secret(name, arn, account, region, moment, moment, dict(tags or {}))
        secret.shared_with = set(shared_with)
        self.secrets[key] = self.by_arn[arn] = secret
        if value is not None:
            self.add_version(secret, value, [CURRENT], version_id)
        return secret

    def secret(self, name: str, *, account: str = OPERATOR_ACCOUNT, region: str = REGION) -> Secret:
        return self.secrets[account, region, name]

    def put(self, name: str, value: str | bytes, *, stage: str = CURRENT, **where: str) -> str:
        """Put a new version; returns its id."""
        return self.add_version(self.secret(name, **where), value, [stage], "")

    def roll_back(self, name: str, **where: str) -> str:
        """Move AWSCURRENT back to the previous version; returns its id."""
        secret = self.secret(name, **where)
        version = secret.staged(PREVIOUS)
        now = secret.staged(CURRENT)
        secret.move(CURRENT, version)
        secret.move(PREVIOUS, now)
        self.touch(secret)
        return version

    def delete(self, name: str, *, force: bool = False, **where: str) -> None:
        secret = self.secret(name, **where)
        if force:
            del self.secrets[secret.account, secret.region, name], self.by_arn[secret.arn]
        else:
            secret.deleted = self._moment()
            self.touch(secret)

    def restore(self, name: str, **where: str) -> None:
        secret = self.secret(name, **where)
        secret.deleted = None
        self.touch(secret)

    def tag(self, name: str, tags: dict[str, str | None], **where: str) -> None:
        """Set these tags; None removes one."""
        secret = self.secret(name, **where)
        for key, value in tags.items():
            if value is None:
                secret.tags.pop(key, None)
            else:
                secret.tags[key] = value
        self.touch(secret)

    def freeze_lists(self, *, account: str = OPERATOR_ACCOUNT, region: str = REGION) -> None:
        """From now on ListSecrets shows what it shows now."""
        self.frozen[account, region] = [deepcopy(secret) for secret in self.listed(account, region)]

    def shown(self, account: str, region: str, *, deleted: bool) -> list[Secret]:
        """What ListSecrets shows, in the order of creation."""
        shown = self.frozen.get((account, region))
        if shown is None:
            shown = [secret.listed_as or secret for secret in self.listed(account, region)]
        return [one for one in shown if deleted or not one.deleted]

    def freeze_entry(self, name: str, **where: str) -> None:
        """From now on ListSecrets shows of this secret what it shows now, until its `listed_as` is None again."""
        secret = self.secret(name, **where)
        secret.listed_as = deepcopy(secret)

    def thaw_lists(self) -> None:
        self.frozen.clear()

    def end_sessions(self, role: str = "") -> None:
        """Expire the sessions of that role, or all."""
        for session in self.sessions.values():
            if not role or session.principal.role == role:
                session.revoked = True

    def listed(self, account: str, region: str) -> list[Secret]:
        place = (account, region)
        return [one for one in self.secrets.values() if (one.account, one.region) == place]

    def entry(self, secret: Secret) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "ARN": secret.arn,
            "Name": secret.name,
            "CreatedDate": secret.created.timestamp(),
            "LastChangedDate": secret.changed.timestamp(),
            "Tags": [{"Key": key, "Value": value} for key, value in secret.tags.items()],
        }
        if staged := {version: list(stages) for version, stages in secret.stages.items() if stages}:
            entry["SecretVersionsToStages"] = staged
        dates = {"DeletedDate": secret.deleted} if secret.deleted else {}
        for name, value in {**secret.rotation, **dates}.items():
            entry[name] = value.timestamp() if isinstance(value, datetime) else value
        return entry

    def add_version(self, secret: Secret, value: str | bytes, stages: list[str], version_id: str) -> str:
        version = version_id or str(uuid.uuid4())
        if CURRENT in stages and (now := secret.staged(CURRENT)):
            secret.move(PREVIOUS, now)
        secret.versions[version] = value
        for stage in stages:
            secret.move(stage, version)
        self.touch(secret)
        return version

    def send(self, body: str) -> None:
        """Put a message into the queue of events."""
        self.messages[str(uuid.uuid4())] = body

    def touch(self, secret: Secret) -> None:
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
