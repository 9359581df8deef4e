"""Renders templates in rounds: each round fetches the secrets that the previous one needed.

The engine never calls back (see `gotemplate`): a render returns an output, an error, or the secrets that it needs. They
are read under the grant of the object, and the template is rendered again.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import blake2b

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.services import PARAMETER_STORE, SECRETS_MANAGER
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Awaited, Reason, Rejected, SyncFailure, Unavailable, combine, without_frames
from secretsyncer.gotemplate.engine import (
    EngineCatalogue,
    EngineUnavailable,
    Filter,
    Needs,
    Rendered,
    TemplateEngine,
    TemplateFailure,
)
from secretsyncer.loops import begun
from secretsyncer.metrics import Metrics
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.budget import Budget
from secretsyncer.sync.fetch import GatedReader, source_of
from secretsyncer.sync.slow_templates import SlowTemplates, TemplateTurns
from secretsyncer.sync.status import Source
from secretsyncer.sync.template_ids import filter_of, is_path, ref_for, selection

ROUNDS = 20
"""Maximum number of rounds. Each round fetches everything that the template needs."""

USES_DATA = "Data"
"""A template without this text does not use `.Data`."""

_SILENT = "the template fails; `secretsyncer render` shows the error"
"""Anything more, even the line, depends on the template, whose author could reveal a value by it."""


_KEY = secrets.token_bytes(32)
_DATA = "\0.Data"
"""No AWS secret has such a name."""
_NO_INPUTS: Mapping[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class RenderedTemplate:
    """The output of a template and everything that it depends on."""

    output: str = field(repr=False)
    read: Mapping[SecretRef, Source]
    filters: frozenset[Filter] = field(repr=False)  # their arguments may come from a value
    whole_catalogue: bool
    matched: frozenset[Filter] = field(default=frozenset(), repr=False)


_TURN = 0.25
"""Seconds that a template waits for an instance with a worker that others need."""
_CROWD = 2
"""Templates of one namespace that wait for an instance, and keep a worker each."""


class TemplateRenderer:
    """Renders templates under a grant. Without `template_messages`, failures show nothing that the template decides."""

    def __init__(
        self, reader: GatedReader, engine: TemplateEngine, metrics: Metrics, *, template_messages: bool = True
    ) -> None:
        self._reader = reader
        self._engine = engine
        self._template_messages = template_messages
        self._renders = metrics.template_renders
        self._slow = SlowTemplates()
        self._turns = TemplateTurns()
        self._listing: tuple[Catalogue, EngineCatalogue] | None = None

    async def render(
        self,
        grant: Grant,
        text: str,
        listings: Listings,
        *,
        expected: Iterable[str],
        budget: Budget | None = None,
        inputs: Mapping[str, bytes] = _NO_INPUTS,
    ) -> RenderedTemplate:
        """The output of the template. `expected` are the ids that it read last time; they are fetched first.

        `inputs` is `.Data`.

        Selected secrets that the role may not read are left out, unless the template reads them.
        Raises Rejected(TemplateError), or the failure of a secret that the template needs.
        """
        budget = budget or Budget()
        found: dict[str, SecretValue | SyncFailure] = {}
        wanted = list(dict.fromkeys(expected))[: budget.left("reads")]
        likely: list[str] = []
        tried: set[str] = set()
        for _ in range(ROUNDS):
            # Some hints fill up the call for what is needed. A tag rule would take a call for each of them.
            along = [] if grant.tag else likely[: max(0, SECRETS_MANAGER.batch_size - len(wanted))]
            tried.update(along)
            async with begun(self._likely(grant, along, listings, budget)) as hinted:
                found |= await self._by_id(grant, wanted, listings, budget)
                if not any(isinstance(found[i], SyncFailure) for i in wanted):
                    found |= await hinted
                    tried.update(rest := likely[len(along) :])
                    found |= await self._likely(grant, rest, listings, budget)
            result = await self._round(text, listings, found, inputs, budget)
            if isinstance(result, Rendered):
                budget.charge("produced", len(result.output))
                budget.charge("filters", len(result.filters))
                return _rendered(grant, result, found)
            failures = [value for i in result.required if isinstance(value := found.get(i), SyncFailure)]
            if failures:
                raise self._needed(combine(failures), public=result.public)
            wanted = [i for i in result.required if i not in found]
            if not wanted:
                break
            # Hints are only probable reads, so they come after what is needed, and must not make the object exceed its
            # limit.
            left = max(0, budget.left("reads") - len(wanted))
            likely = [i for i in result.hints if i not in found and i not in tried and i not in wanted][:left]
        raise Rejected(
            Reason.TEMPLATE_ERROR,
            f"the template keeps requesting more secrets (gave up after {ROUNDS} rounds)",
        )

    async def _by_id(
        self, grant: Grant, ids: Collection[str], listings: Listings, budget: Budget
    ) -> dict[str, SecretValue | SyncFailure]:
        found = {i: _selection(i, listings) for i in ids if is_path(i)}
        refs = {ref_for(grant, i): i for i in ids if i not in found}
        fetched = await self._reader.read(grant, list(refs), listings, budget)
        return found | {refs[ref]: value for ref, value in fetched.items()}

    async def _likely(
        self, grant: Grant, ids: Collection[str], listings: Listings, budget: Budget
    ) -> dict[str, SecretValue]:
        refs = {ref_for(grant, i): i for i in ids if not is_path(i)}
        found = await self._reader.likely(grant, list(refs), listings, budget) if refs else {}
        return {refs[ref]: value for ref, value in found.items()}

    async def _round(
        self,
        text: str,
        listings: Listings,
        found: Mapping[str, SecretValue | SyncFailure],
        inputs: Mapping[str, bytes],
        budget: Budget,
    ) -> Rendered | Needs:
        given = {i: value for i, value in found.items() if isinstance(value, SecretValue)}
        catalogue = listings.of(SECRETS_MANAGER.name)
        try:
            result = await self._once(text, catalogue, given, inputs, budget)
        except TemplateFailure as exc:
            _check_listed(exc, catalogue)
            budget.charge("template_seconds", exc.seconds)
            raise Rejected(Reason.TEMPLATE_ERROR, self._said(exc)) from None
        except EngineUnavailable as exc:
            raise Unavailable(Reason.TEMPLATE_ERROR, f"the template engine cannot start: {exc}") from exc
        _check_listed(result, catalogue)
        budget.charge("template_seconds", result.seconds)
        return result

    async def _once(
        self,
        text: str,
        catalogue: Catalogue,
        given: Mapping[str, SecretValue],
        inputs: Mapping[str, bytes],
        budget: Budget,
    ) -> Rendered | Needs:
        """Render, unless this took long before and gave nothing. Raises TemplateFailure, or EngineUnavailable."""
        versions = {i: (value.arn, value.version_id) for i, value in given.items()}
        if inputs:
            versions[_DATA] = ("", _digest(inputs))
        slow = self._slow.recall(text, versions, catalogue)
        if isinstance(slow, TemplateFailure):
            raise slow
        if slow is not None:
            return slow
        budget.long_work.check(crowded=self._turns.waiting(budget.party) >= _CROWD)
        try:
            async with AsyncExitStack() as stack:
                await budget.long_work.turn(self._turns.enter(stack, text, budget.party), _TURN)
                values = {i: payload(value) for i, value in given.items()}
                result = await self._engine.render(text, self._engine_catalogue(catalogue), values, inputs)
        except TemplateFailure as exc:
            self._note_time(text, exc, budget)
            self._renders.labels("failure").inc()
            self._slow.note(text, versions, catalogue, exc)
            raise
        self._note_time(text, result, budget)
        self._renders.labels("success" if isinstance(result, Rendered) else "needs").inc()
        if isinstance(result, Needs):
            self._slow.note(text, versions, catalogue, result)
        return result

    def _note_time(self, text: str, result: Rendered | Needs | TemplateFailure, budget: Budget) -> None:
        own = result.seconds - result.loading
        self._turns.note(text, own)
        budget.long_work.ran(own)

    def _said(self, failure: TemplateFailure) -> str:
        return str(failure) if self._template_messages or failure.static else _SILENT

    def _needed(self, failure: SyncFailure, *, public: bool) -> SyncFailure:
        """The failure of a secret that the template needs, without its name if that may come from a value."""
        if public and self._template_messages:
            return without_frames(failure)
        which = (
            "a secret that the template reads"
            if public
            else "a secret whose name the template computes from another secret"
        )
        text = f"{which} cannot be read ({failure.reason})"
        return type(failure)(failure.reason, text, retry_after=failure.retry_after)

    def _engine_catalogue(self, catalogue: Catalogue) -> EngineCatalogue:
        if self._listing is None or self._listing[0] is not catalogue:
            self._listing = (catalogue, engine_catalogue(catalogue))
        return self._listing[1]


def _digest(inputs: Mapping[str, bytes]) -> str:
    """Stands for the inputs where a render is remembered. Its key is random, so that no value can be guessed from it."""
    made = blake2b(key=_KEY, digest_size=16)
    for key, value in sorted(inputs.items()):
        made.update(f"{len(key)} {len(value)} {key}".encode() + value)
    return made.hexdigest()


def check_listed(catalogue: Catalogue, what: str) -> None:
    """Raises Awaited before the first listing, because a missing listing is not an empty one, and Unavailable if it failed.

    If listing is denied, somebody has to change that: raises Rejected.
    """
    if catalogue.listed_at is not None:
        return
    needed = f"{what} needs the list of {catalogue.service.noun}s"
    if catalogue.denied:
        raise Rejected(Reason.ACCESS_DENIED, f"{needed}: {catalogue.denied}")
    kind = Awaited if catalogue.awaited else Unavailable
    raise kind(Reason.AWS_UNAVAILABLE, f"{needed}, which has not been read yet")


def _check_listed(result: Rendered | Needs | TemplateFailure, catalogue: Catalogue) -> None:
    if result.filters or result.whole_catalogue:
        check_listed(catalogue, "the template")


def engine_catalogue(catalogue: Catalogue) -> EngineCatalogue:
    """`.Secrets` in templates."""
    return EngineCatalogue(
        {
            entry.name: {
                "Tags": entry.tags,
                "CurrentVersionID": entry.version_id,
                "UpdatedAt": entry.last_changed.isoformat() if entry.last_changed else None,
            }
            for entry in catalogue.entries.values()
        }
    )


def payload(value: SecretValue) -> str | bytes:
    return value.text if value.text is not None else value.binary or b""


def _selection(id_: str, listings: Listings) -> SecretValue | SyncFailure:
    try:
        check_listed(listings.of(PARAMETER_STORE.name), "getParameters")
        return selection(id_, listings)
    except SyncFailure as failure:
        return failure


def _rendered(grant: Grant, result: Rendered, found: Mapping[str, SecretValue | SyncFailure]) -> RenderedTemplate:
    values = {i: value for i in result.reads if isinstance(value := found.get(i), SecretValue)}
    read = {ref_for(grant, i): source_of(value) for i, value in values.items() if not is_path(i)}
    paths = {filter_of(i): bool(value.text) for i, value in values.items() if is_path(i)}
    return RenderedTemplate(
        result.output,
        read,
        frozenset(result.filters).union(paths),
        result.whole_catalogue,
        result.matched.union(what for what, selects in paths.items() if selects),
    )
