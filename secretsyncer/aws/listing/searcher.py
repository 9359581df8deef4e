"""Who lists AWS: the search role, or the operator itself. The account and the region that are listed follow from that."""

from __future__ import annotations

from typing import Protocol

from secretsyncer.aws.arn import Account, complete_role, role_account
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.aws.listing.catalogue import account_of
from secretsyncer.aws.listing.pages import Listing
from secretsyncer.errors import SettingsError, SyncFailure


class Operator(Protocol):
    """The operator's own account and region; `Sessions` has them."""

    async def account(self) -> Account:
        """The operator's account. Raises SyncFailure."""

    @property
    def region(self) -> str:
        """The operator's region."""


class Searcher:
    """The identity that lists. `role` is the name or ARN of a role; empty: the operator. Raises SettingsError."""

    def __init__(self, operator: Operator, role: str) -> None:
        try:
            if role:
                complete_role(role, Account("aws", "000000000000"))
        except ValueError as exc:
            raise SettingsError(f"POLL_DEFAULT_SEARCH_ROLE: {exc}") from None
        self._operator = operator
        self._role = role

    def __str__(self) -> str:
        return f"role {self._role}" if self._role else str(OPERATOR)

    @property
    def region(self) -> str:
        """The region that is listed."""
        return self._operator.region

    async def identity(self) -> Identity:
        """The identity of the calls. Raises SyncFailure while the account of a bare role name is not known."""
        if not self._role:
            return OPERATOR
        if self._role.startswith("arn:"):
            return Identity(self._role)
        return Identity(complete_role(self._role, await self._operator.account()))

    async def account(self, identity: Identity) -> Account | None:
        """The account that this identity lists; None while it is not known."""
        return role_account(identity.role) if identity.role else await self._own_account()

    async def lists_own_account(self, identity: Identity, listing: Listing) -> bool:
        """Whether the listing is of the operator's own account. If not known, AWS is asked about its own references."""
        listed = account_of(listing.entries)
        return not identity.role or (listed is not None and listed == await self._own_account())

    async def _own_account(self) -> Account | None:
        try:
            return await self._operator.account()
        except SyncFailure:
            return None
