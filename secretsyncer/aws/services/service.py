"""What a service of AWS that holds values has to say about itself. Pure.

A subclass has everything in which a service differs, except its calls (`aws/api/` has a module of the same name): the
grammar of ids, what a listing shows, sizes and limits of calls, error codes and texts, and the events of changes. The
cache, the batcher, the catalogue, the poller and all of `sync/` know a service only by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Any, ClassVar, NamedTuple

from secretsyncer.aws.outcome import CallOutcome

Texts = Mapping[tuple[CallOutcome, str], str]
"""By outcome and operation; the empty operation stands for all others."""


class SecretId(NamedTuple):
    """A parsed reference to a secret or a parameter.

    A plain name has no partition, region and account. `suffix` is the six random characters at the end of the full ARN
    of a secret. `exact`: the id is a full ARN. `alias`: another name that an ARN may mean.
    """

    name: str
    partition: str = ""
    region: str = ""
    account: str = ""
    suffix: str = ""
    exact: bool = False
    alias: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which a listing may show it."""
        return (self.name, self.alias) if self.alias else (self.name,)


class Rotation(NamedTuple):
    """The automatic rotation of a secret: the last one, and when the next one is due; None if there is none."""

    last: datetime | None
    due: datetime | None


class Listed(NamedTuple):
    """One entry of a listing. `version_id` is empty if no version is current.

    `deleted`: it is scheduled for deletion, for `deletion_date` if AWS gives one.
    """

    name: str
    arn: str
    version_id: str
    tags: Mapping[str, str]
    last_changed: datetime | None
    deleted: bool = False
    deletion_date: datetime | None = None
    rotation: Rotation | None = None


class Service(ABC):
    """One service. Stateless; `SERVICES` has the only instance of each."""

    name: ClassVar[str]
    """Its name in references, statuses and metrics."""

    title: ClassVar[str]
    """Its name for people."""

    price: ClassVar[float]
    """Dollars per call (price lists of AWS, also in docs/cost.md)."""

    endpoint: ClassVar[str]
    """Its name in the SDK, in ARNs and in IAM."""

    noun: ClassVar[str]
    """What it holds, in messages about an object."""

    kind: ClassVar[str]
    """The same, in messages about a call to AWS."""

    batch_size: ClassVar[int]
    """Maximum number of ids in one call that reads values."""

    page_size: ClassVar[int]
    """Maximum number of entries in one page of a listing."""

    batches_versions: ClassVar[bool]
    """Whether one call can read other versions than the current ones."""

    repeats_versions: ClassVar[bool]
    """Whether a version can come again with another value, after a deletion."""

    denies_whole_batches: ClassVar[bool]
    """Whether a call fails as a whole because one of its ids may not be read."""

    lists_tags: ClassVar[bool]
    """Whether a listing shows tags."""

    reads_without_listing: ClassVar[bool]
    """Whether what is referenced is read in each round while listing is denied."""

    lists_recent_changes: ClassVar[bool]
    """Whether a listing can be sorted by the date of the last change."""

    reads: ClassVar[frozenset[str]]
    """The operations that read values."""

    reads_as: ClassVar[str]
    """The one of them that messages name: the condition of an object is the same whether its secret was read alone or not."""

    lists: ClassVar[str]
    """The operation that lists."""

    describes: ClassVar[str]
    """The operation that tells whether one exists, named in messages."""

    event_source: ClassVar[str]
    """The source of its events in EventBridge."""

    answers: ClassVar[Mapping[str, Mapping[str, type]]]
    """All operations that are called, with fields of their responses. The SDK parses a proxy's page with status 200 to a
    response without them."""

    codes: ClassVar[Mapping[CallOutcome, tuple[str, ...]]] = {}
    """Error codes that only this service has."""

    texts: ClassVar[Texts] = {}
    """What a failed call means, in place of the general texts."""

    next_steps: ClassVar[Texts] = {}
    """What to do about it."""

    @abstractmethod
    def parse(self, text: str) -> SecretId:
        """Parse a name or an ARN. Raises ValueError if AWS would reject it."""

    @abstractmethod
    def listed(self, raw: Mapping[str, Any]) -> Listed:
        """An entry of a listing. Raises AttributeError, KeyError, TypeError or ValueError if it is malformed."""

    @abstractmethod
    def named_by(self, event: Mapping[str, Any], detail: Mapping[str, Any]) -> Iterable[Any] | None:
        """What may be names and ARNs in an event of this service; None if it is not about a change.

        Raises ValueError if it is malformed.
        """

    def forms_of(self, arn: str) -> tuple[str, ...]:
        """The ARNs that mean the same as this full one."""
        return (arn,)

    def possible_names(self, text: str) -> tuple[str, ...]:
        """The names that an id may mean; the text itself, if it is no id."""
        try:
            return self.parse(text).names
        except ValueError:
            return (text,)

    def continues(self, before: str, now: str) -> bool:
        """Whether the second version can follow the first one without a deletion in between."""
        return before == now or not self.repeats_versions

    def shown_version(self, version_id: str) -> str:
        """A version as users know it."""
        return version_id


def moment_of(value: Any) -> datetime | None:
    """A date of AWS, always with a time zone, because only such dates can be compared."""
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def entries_of(value: Any) -> list[dict[str, Any]]:
    """The entries of a list in a response, without what is none."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def are_texts(value: Any) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def tags_of(raw: Mapping[str, Any], field: str = "Tags") -> dict[str, str]:
    """The tags of an entry or a response. A tag without a value is empty. Raises AttributeError or TypeError."""
    # Interned, because thousands of secrets have the same few keys.
    return {
        intern(tag["Key"]): text_of(value) if (value := tag.get("Value")) else ""
        for tag in raw.get(field) or ()
        if tag.get("Key")
    }


def text_of(value: Any) -> str:
    """A text that must not be empty. Raises TypeError."""
    if not isinstance(value, str) or not value:
        raise TypeError(type(value).__name__)
    return value
