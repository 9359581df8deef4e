"""Fetches values in as few calls as possible.

- Requests for the same secret by the same identity share one flight.
- A lane is one identity in one region. Its flights are batched, as many per call as the service allows, with several
  calls at once. Requests of waiting workers go first, in turns; prefetches fill up their batches. Other prefetches are
  held back while too much is ahead (`ahead.py`).
- What the service cannot batch, like another version of a secret, or a single request goes alone.
- If a batch is denied, its ids are fetched one by one for an hour; if that may be because of one of them, only those
  that are denied alone. If a batch fails for one secret, that secret is fetched again, and the second result counts,
  because a condition may deny the batch only.
- A lane that AWS throttles or does not answer backs off. Waiting callers fail at once; prefetches stay queued until a
  single probe succeeds. Other lanes continue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Hashable, Iterator
from functools import partial

from secretsyncer.aws.api.service_api import ServiceApi
from secretsyncer.aws.failures import STOPPING, AwsError, Failure
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.value import SecretValue
from secretsyncer.aws.values.ahead import Ahead
from secretsyncer.aws.values.lanes import Flight, Lane, LaneKey, Rank, Result
from secretsyncer.loops import loop_time

log = logging.getLogger(__name__)

BATCH_REFUSED = 3600.0
"""Seconds without batches after a batch, or a secret in a batch, was denied."""

_LANE_WIDE = frozenset({CallOutcome.THROTTLED, CallOutcome.NO_ANSWER, CallOutcome.CREDENTIALS})
"""Failures of the role or the service, not of one secret."""

_SINGLY_AFTER = 3
"""Consecutive failed batches after which their secrets are fetched one by one: one may be the cause."""


class Batcher:
    """Runs the flights. `deliver` gets each result first, unless the flight was disowned, and returns the result
    for the waiters. `ahead` says whether prefetches may be sent.

    `concurrency` is the maximum number of concurrent calls per lane. Times are those of the event loop.
    """

    def __init__(
        self,
        api: ServiceApi,
        deliver: Callable[[Flight, Result], Result],
        ahead: Ahead,
        *,
        concurrency: int = 8,
    ) -> None:
        self._api = api
        self._service = api.service
        self._deliver = deliver
        self._ahead = ahead
        self._concurrency = concurrency
        self._lanes: dict[LaneKey, Lane] = {}
        self._flights: dict[SecretRef, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    def __contains__(self, ref: object) -> bool:
        return ref in self._flights

    def __iter__(self) -> Iterator[SecretRef]:
        """The references that are queued or being fetched."""
        return iter(list(self._flights))

    def want(
        self,
        ref: SecretRef,
        round_: int,
        *,
        urgent: bool,
        waited: bool = True,
        likely: bool = False,
        party: Hashable = None,
    ) -> Flight:
        """The flight that fetches this reference. It was not sent before round `round_` began.

        `waited`: a caller awaits it, so it is not held back, and fails instead of waiting for a lane that is not available.
        `likely`: nobody needs it for sure, so a denial in a batch is its result. `party`: the read that it is for; these
        take turns.
        """
        lane = self._lane(ref)
        standing = STOPPING if self._stopped else lane.failed.standing(loop_time()) if waited else None
        if standing is not None:
            return Flight.landed(ref, round_, standing)
        rank = Rank.URGENT if urgent else Rank.BULK if waited else Rank.EARLY
        flight = self._flights.get(ref)
        if flight is None or (flight.sent and flight.round < round_):
            # A call of an earlier round may return the version of that round.
            flight = self._flights[ref] = Flight(ref, round_)
            flight.likely = likely
            flight.party = party
            lane.add(flight, rank, alone=lane.must_go_alone(ref, loop_time()))
        else:
            self._join(lane, flight, rank, party)
        if not flight.sent:
            flight.round = max(flight.round, round_)
        flight.likely = flight.likely and likely
        self._schedule(lane)
        return flight

    def disown(self, refs: Container[SecretRef]) -> None:
        """Running calls for these may return old values: later requests start a new call."""
        for ref in [ref for ref, flight in self._flights.items() if flight.sent and ref in refs]:
            del self._flights[ref]

    def forget(self, keep: Container[LaneKey]) -> None:
        """Forget unused lanes and expired failures."""
        now = loop_time()
        for key, lane in list(self._lanes.items()):
            lane.forget_expired(now)
            if key not in keep and not (lane.running or lane.waiting() or lane.held_back):
                del self._lanes[key]

    async def aclose(self) -> None:
        """Stop. All waiting callers get STOPPING."""
        self._stopped = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for flight in list(self._flights.values()):
            self._settle(flight, STOPPING, deliver=False)

    def _lane(self, ref: SecretRef) -> Lane:
        key = LaneKey(ref.identity, ref.region)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._service)
        return lane

    def _join(self, lane: Lane, flight: Flight, rank: Rank, party: Hashable) -> None:
        """Another read wants this flight, too."""
        if not flight.sent:
            lane.promote(flight, rank, party)
        flight.rank = min(flight.rank, rank)

    def _schedule(self, lane: Lane) -> None:
        # On the next tick, so that all requests of this one are batched.
        if not lane.flushing:
            lane.flushing = True
            asyncio.get_running_loop().call_soon(self._flush, lane)

    def _flush(self, lane: Lane) -> None:
        lane.flushing = False
        if self._stopped or lane.failed.standing(loop_time()):
            return
        # A single call shows whether the role works and may batch.
        while lane.running < (self._concurrency if lane.proven else 1):
            chunk = lane.take(loop_time(), early=self._ahead.has_room())
            if not chunk:
                self._hold_back(lane)
                return
            lane.running += 1
            for flight in chunk:
                flight.sent = True
                self._ahead.sent(flight)
            task = asyncio.get_running_loop().create_task(self._run(lane, chunk))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _hold_back(self, lane: Lane) -> None:
        """What is left in the lane, if anything, are prefetches, for which there is no room."""
        if lane.waiting() and not lane.held_back:
            lane.held_back = True
            self._ahead.hold_back(partial(self._go_on, lane))

    def _go_on(self, lane: Lane) -> None:
        lane.held_back = False
        self._flush(lane)

    async def _run(self, lane: Lane, chunk: list[Flight]) -> None:
        try:
            await (self._fetch_one(lane, chunk[0]) if len(chunk) == 1 else self._fetch_batch(lane, chunk))
        except asyncio.CancelledError:
            self._abandon(chunk, STOPPING)
            raise
        except Exception:
            log.exception("fetch crashed", extra={"identity": str(lane.key.identity)})
            self._abandon(chunk, _BUG)
        finally:
            lane.running -= 1
            if lane.waiting():
                self._schedule(lane)

    async def _fetch_one(self, lane: Lane, flight: Flight) -> None:
        try:
            result: Result = await self._api.get(flight.ref)
        except AwsError as exc:
            result = exc.failure
            if result.outcome in _LANE_WIDE or (result.transient and result.operation not in self._service.reads):
                self._block(lane, [flight], result)
                return
            if flight.suspect and not result.transient:
                lane.alone_until[flight.ref] = loop_time() + BATCH_REFUSED
        if isinstance(result, SecretValue) or (result.operation in self._service.reads and not result.transient):
            self._answered(lane)
        self._settle(flight, result)

    async def _fetch_batch(self, lane: Lane, chunk: list[Flight]) -> None:
        try:
            batch = await self._api.batch_get(*lane.key, [flight.ref for flight in chunk])
        except AwsError as exc:
            self._no_batch(lane, chunk, exc.failure)
            return
        self._answered(lane)
        singly = []
        for flight in chunk:
            value, refusal = batch.values.get(flight.ref), batch.failures.get(flight.ref)
            if value is not None:
                self._settle(flight, value)
            elif refusal and refusal.outcome in {CallOutcome.NOT_FOUND, CallOutcome.INVALID}:
                self._settle(flight, refusal)
            else:
                if refusal and refusal.outcome is CallOutcome.DENIED:
                    lane.alone_until[flight.ref] = loop_time() + BATCH_REFUSED
                    if flight.likely:  # not delivered, because a call for this secret alone may succeed
                        self._settle(flight, refusal, deliver=False)
                        continue
                singly.append(flight)
        self._send_alone(lane, singly)

    def _no_batch(self, lane: Lane, chunk: list[Flight], failure: Failure) -> None:
        """The batch failed as a whole."""
        if failure.operation not in self._service.reads and not failure.transient:
            for flight in chunk:  # the role cannot be assumed
                self._settle(flight, failure)
            return
        if failure.transient and (failure.outcome in _LANE_WIDE or lane.failed.count < _SINGLY_AFTER):
            self._block(lane, chunk, failure)
            return
        if failure.outcome is CallOutcome.DENIED and not self._service.denies_whole_batches:
            lane.refused_until = loop_time() + BATCH_REFUSED
            log.info("batch denied", extra={"error": failure.message})
        else:
            for flight in chunk:
                flight.suspect = True
        self._send_alone(lane, chunk)

    def _send_alone(self, lane: Lane, flights: list[Flight]) -> None:
        for flight in flights:
            self._ahead.over(flight)
            newer = self._flights.setdefault(flight.ref, flight)
            if newer is flight:
                flight.sent = False
                lane.add(flight, Rank.URGENT if flight.waited else Rank.EARLY, alone=True)
            else:  # disowned: its waiters get the result of the newer flight
                self._join(lane, newer, flight.rank, flight.party)
                newer.future.add_done_callback(partial(_pass_on, flight))

    def _answered(self, lane: Lane) -> None:
        lane.proven = True
        lane.failed.clear()

    def _block(self, lane: Lane, chunk: list[Flight], failure: Failure) -> None:
        """The lane is not available: fail all waiting callers, and probe later with one call."""
        standing = lane.failed.standing(loop_time())
        lane.proven = False
        if standing is None:
            standing = lane.failed.note(failure, loop_time())
            later = (standing.retry_after or 0) + 0.05
            asyncio.get_running_loop().call_later(later, self._schedule, lane)
        self._abandon([*chunk, *lane.take_waited()], standing)

    def _abandon(self, flights: list[Flight], failure: Failure) -> None:
        for flight in flights:
            self._settle(flight, failure, deliver=False)

    def _settle(self, flight: Flight, result: Result, *, deliver: bool = True) -> None:
        """End the flight. A failure of the lane is not delivered; the lane remembers it."""
        if flight.future.done():
            return
        if self._flights.get(flight.ref) is flight:
            del self._flights[flight.ref]
            if deliver:
                result = self._deliver(flight, result)
        self._ahead.over(flight)
        flight.future.set_result(result)


_BUG = Failure(CallOutcome.ERROR, "the operator failed to fetch the secret; its log has the cause")


def _pass_on(older: Flight, done: asyncio.Future[Result]) -> None:
    if not older.future.done():
        older.future.set_result(done.result())
