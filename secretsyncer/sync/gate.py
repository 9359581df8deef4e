"""Whether an object may read and write now: its grant, by a picture of the cluster that is not old."""

from __future__ import annotations

from contextlib import suppress

from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.arn import Account
from secretsyncer.errors import Reason, SyncFailure, Unavailable
from secretsyncer.kube.objects import Object
from secretsyncer.kube.reflector import OUTDATED
from secretsyncer.sync.authorize import Grant, Rules, authorize
from secretsyncer.sync.stores import Stores
from secretsyncer.synced_secret import SyncedSecret


class Gate:
    """Asked before anything is read, and again immediately before each write."""

    def __init__(self, stores: Stores, operator: Sessions, rules: Rules) -> None:
        self._stores = stores
        self._operator = operator
        self._rules = rules

    @property
    def known_account(self) -> Account | None:
        """The operator's account, as far as it is known."""
        return self._operator.known_account

    async def account(self) -> Account | None:
        """The operator's account; None while STS does not answer, which affects only some specs."""
        if self.known_account is None:
            with suppress(SyncFailure):
                return await self._operator.account()
        return self.known_account

    def authorize(self, synced: SyncedSecret, namespace: Object, account: Account | None) -> Grant:
        """The grant. An old picture of the object or its namespace decides nothing: access may have been withdrawn.

        The picture of the Secret may be old, because the API server refuses a write to an outdated version.
        """
        for store in (self._stores.namespaces, self._stores.objects):
            if store.is_outdated(synced.key.namespace):
                raise Unavailable(
                    Reason.KUBERNETES_ERROR,
                    f"the Kubernetes API has not confirmed the state of {store.resource.plural} for {OUTDATED:g} s; "
                    "until it does, nothing is read or written",
                )
        return authorize(synced.spec, namespace, account, self._rules)
