"""What one role must be allowed to read, for `secretsyncer iam-policy`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from secretsyncer.commands import iam_parameters


class Place(NamedTuple):
    """The partition, region and account of names. Account and region may be `*`."""

    partition: str
    region: str
    account: str

    def at(self, region: str) -> Place:
        """The same in this region, if one is given."""
        return self._replace(region=region or self.region)

    def parameter(self, name: str) -> str:
        return iam_parameters.arn_of(name, **self._asdict())

    def arn(self, name: str, suffix: str = "") -> str:
        return f"arn:{self.partition}:secretsmanager:{self.region}:{self.account}:secret:{name}{suffix}"


class Search(NamedTuple):
    """Secrets that are found: by name, and with all of these tags."""

    arn: str
    tag_keys: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass
class Needed:
    """What one role must be allowed to read."""

    arns: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    searches: set[Search] = field(default_factory=set)
    describes: bool = False

    def add(self, other: Needed) -> None:
        self.arns |= other.arns
        self.parameters |= other.parameters
        self.searches |= other.searches
        self.describes |= other.describes
