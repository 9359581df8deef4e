"""Whether an object may read and write now: its grant, by a picture of the cluster that is not old."""

from __future__ import annotations

from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.errors import Reason, SyncFailure, Unavailable, without_frames
from secretsyncer.kube.objects import Object
from secretsyncer.kube.reflector import OUTDATED
from secretsyncer.sync.authorize import Grant, Rules, authorize
from secretsyncer.sync.budget import LongWork
from secretsyncer.sync.stores import Stores
from secretsyncer.synced_secret import SyncedSecret


class Gate:
    """Asked before anything is read, and again immediately before each write."""

    def __init__(self, stores: Stores, operator: Sessions, rules: Rules) -> None:
        self._stores = stores
        self._operator = operator
        self._rules = rules

    async def grant(self, synced: SyncedSecret, namespace: Object, long_work: LongWork) -> Grant:
        """As `authorize`. AWS is asked for the operator's account if the object needs it: others do not wait for STS."""
        try:
            return self.authorize(synced, namespace)
        except Unavailable:
            if self._operator.known_account is not None:
                raise
        why: SyncFailure | None = None
        try:
            await long_work.answer(self._operator.account)
        except SyncFailure as failure:
            why = without_frames(failure)
        try:
            return self.authorize(synced, namespace)
        except Unavailable as unknown:
            if why is None or unknown.reason is not Reason.AWS_UNAVAILABLE:
                raise
            message = f"{unknown.message}: {why.message}"
        raise Unavailable(Reason.AWS_UNAVAILABLE, message, retry_after=why.retry_after)

    def authorize(self, synced: SyncedSecret, namespace: Object) -> Grant:
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
        return authorize(synced.spec, namespace, self._operator.known_account, self._rules)
