"""The state of Parameter Store in the AWS model, and what tests change about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sandbox.aws.state import OPERATOR_ACCOUNT, REGION

_VERSIONS = 100


@dataclass
class Parameter:
    """One parameter with its versions: number to value and date, and label to number."""

    name: str
    account: str
    region: str
    kind: str = "SecureString"
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    shared_with: set[str] = field(default_factory=set)
    """Accounts and role ARNs that it is shared with."""

    @property
    def arn(self) -> str:
        return f"arn:aws:ssm:{self.region}:{self.account}:parameter/{self.name.removeprefix('/')}"

    @property
    def version(self) -> int:
        return max(self.versions)

    def entry(self) -> dict[str, Any]:
        """What DescribeParameters shows."""
        changed = self.versions[self.version][1]
        return {
            "Name": self.name,
            "ARN": self.arn,
            "Type": self.kind,
            "LastModifiedDate": changed.timestamp(),
            "Version": self.version,
            "Tier": "Standard",
            "DataType": "text",
        }


class ParameterState:
    """All parameters."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._all: dict[tuple[str, str, str], Parameter] = {}
        self._frozen: dict[tuple[str, str], list[Parameter]] = {}
        self._ticks = count()
        self.quota = float("inf")
        """Reads per second in an account and region, after which AWS throttles."""
        self.throttled = 0

    def put(
        self,
        name: str,
        value: str,
        *,
        kind: str = "SecureString",
        tags: dict[str, str] | None = None,
        account: str = OPERATOR_ACCOUNT,
        region: str = REGION,
        shared_with: Iterable[str] = (),
    ) -> Parameter:
        """Create the parameter, or a new version of it."""
        found = self._all.setdefault((account, region, name), Parameter(name, account, region, kind))
        found.tags.update(tags or {})
        found.shared_with |= set(shared_with)
        # Never the same twice, so that a change of the date is always visible.
        moment = self._now() + timedelta(milliseconds=next(self._ticks))
        found.versions[max(found.versions, default=0) + 1] = (value, moment)
        for old in sorted(found.versions)[:-_VERSIONS]:
            del found.versions[old]
        return found

    def get(self, name: str, *, account: str = OPERATOR_ACCOUNT, region: str = REGION) -> Parameter:
        return self._all[account, region, name]

    def delete(self, name: str, *, account: str = OPERATOR_ACCOUNT, region: str = REGION) -> None:
        del self._all[account, region, name]

    def all(self) -> list[Parameter]:
        return list(self._all.values())

    def freeze_lists(self, *, account: str = OPERATOR_ACCOUNT, region: str = REGION) -> None:
        """From now on DescribeParameters shows what it shows now."""
        self._frozen[account, region] = deepcopy(self._listed(account, region))

    def thaw_lists(self) -> None:
        self._frozen.clear()

    def _listed(self, account: str, region: str) -> list[Parameter]:
        return [one for one in self._all.values() if (one.account, one.region) == (account, region)]
