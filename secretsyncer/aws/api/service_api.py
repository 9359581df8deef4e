"""The calls to a service that holds values: the interface for the rest of `aws/`. All raise AwsError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from secretsyncer.aws.failures import AwsError, Failure, unreadable
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.services import Service
from secretsyncer.aws.services.service import tags_of
from secretsyncer.aws.value import SecretValue


class Batch(NamedTuple):
    """The result of one call that reads several values: the values, and the failures."""

    values: Mapping[SecretRef, SecretValue]
    failures: Mapping[SecretRef, Failure]


class Page(NamedTuple):
    """One page of a listing, with its raw entries and the token of the next page."""

    entries: list[dict[str, Any]]
    next_token: str


class ServiceApi(Protocol):
    """Reads one service. The regions of the references are filled in."""

    @property
    def service(self) -> Service:
        """The service that is read."""

    async def get(self, ref: SecretRef) -> SecretValue:
        """The version that the reference names."""

    async def batch_get(self, identity: Identity, region: str, refs: Sequence[SecretRef]) -> Batch:
        """Up to `service.batch_size` of them, all of this identity and region."""

    async def tags(self, ref: SecretRef) -> Mapping[str, str]:
        """The tags."""

    async def describe(self, ref: SecretRef) -> dict[str, Any]:
        """One entry in the form of a listing: for the operator itself."""

    async def list_page(self, identity: Identity, region: str, token: str, *, latest_first: bool = False) -> Page:
        """One page of everything in the identity's account in that region.

        `latest_first`: in the order of the last change, and with what is scheduled for deletion.
        """


def token_of(answer: Mapping[str, Any]) -> Any:
    """The token of the next page, empty at the end. What is no text is left to who lists: it does not say "the end"."""
    token = answer.get("NextToken")
    return "" if token is None else token


def read_tags(answer: Mapping[str, Any], operation: str, ref: SecretRef, field: str = "Tags") -> dict[str, str]:
    """The tags in the answer to a call about one secret or parameter. Raises AwsError if it has something else."""
    try:
        return tags_of(answer, field)
    except (AttributeError, TypeError):
        raise AwsError(unreadable(operation, ref.identity, ref.id)) from None
