"""The content of a Secret: everything that the spec references, read under a grant and rendered.

The operator and `secretsyncer render` use it with different sources of values. The result includes its inputs. The next
reconcile compares them, and a change of one in AWS causes a reconcile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache, partial
from typing import TypeVar

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.services import PARAMETER_STORE, SECRETS_MANAGER
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable, without_frames
from secretsyncer.gotemplate.engine import Filter, TemplateEngine
from secretsyncer.metrics import Metrics
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.budget import Budget, Exhausted, Limits, LongWork
from secretsyncer.sync.data_from import is_absent, select
from secretsyncer.sync.dependencies import Dependencies, coarse, filters_of, listing_remarks
from secretsyncer.sync.fetch import Fetched, GatedReader, ValueSource, ref_of, refs_below, source_of
from secretsyncer.sync.last_good import LastGood, Selected, selected_by, vanished
from secretsyncer.sync.render import finds, finish, prepare, references, templates
from secretsyncer.sync.status import Source
from secretsyncer.sync.template_ids import id_of
from secretsyncer.sync.templates import USES_DATA, RenderedTemplate, TemplateRenderer, check_listed
from secretsyncer.synced_secret import (
    Find,
    ParameterReference,
    Parameters,
    Search,
    SecretKeyReference,
    SyncedSecretSpec,
)
from secretsyncer.turns import Places

T = TypeVar("T")

_NOTHING = LastGood()
_THREADS = 2
"""Objects whose content is rendered in threads at the same time: one of a namespace, if it is long."""
_SHORT = 32 << 10
_LONG = 256 << 10
_FEW = 200
_MANY = 2_000


@dataclass(frozen=True, slots=True)
class Content:
    """The rendered data and its inputs. `template_reads` are the ids that templates read.

    `selected`: what each template selected, by its text. `remarks`: what is wrong with the listings, if anything.
    `complete` is False if an optional secret was missing. Then only AWS knows whether it still is.
    """

    data: dict[str, bytes] = field(repr=False)
    read: Mapping[SecretRef, Source]
    template_reads: frozenset[str]
    complete: bool
    dependencies: Dependencies
    selected: Mapping[str, Selected] = field(default_factory=dict, repr=False)
    remarks: tuple[str, ...] = ()


class ContentRenderer:
    """Renders the content of any object, from one source of values.

    `template_messages`: whether failures may show the errors of templates.
    """

    def __init__(
        self,
        values: ValueSource,
        engine: TemplateEngine,
        metrics: Metrics,
        *,
        template_messages: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self._reader = GatedReader(values)
        self._templates = TemplateRenderer(self._reader, engine, metrics, template_messages=template_messages)
        self._limits = limits
        self._threads = Places(_THREADS)

    async def render(
        self,
        grant: Grant,
        spec: SyncedSecretSpec,
        listings: Listings,
        *,
        expected: Iterable[str] = (),
        last_good: LastGood = _NOTHING,
        namespace: str = "",
        long_work: LongWork | None = None,
    ) -> Content:
        """The content. Raises Rejected, Unavailable, or TakesLong.

        `expected`: ids that its templates read last time. `last_good`: what the object was made from last time.
        `namespace`: whose share of the threads it uses.
        """
        budget = Budget(self._limits, namespace, long_work)
        try:
            return await self._render(grant, spec, listings, budget, expected=expected, last_good=last_good)
        except Exhausted as exc:
            exc.read = budget.read
            raise

    async def _render(
        self,
        grant: Grant,
        spec: SyncedSecretSpec,
        listings: Listings,
        budget: Budget,
        *,
        expected: Iterable[str],
        last_good: LastGood,
    ) -> Content:
        refs = {reference: ref_of(grant, reference) for reference in references(spec)}
        known: dict[SecretRef, SecretRef] = {}  # one reference of each secret, however many searches select it
        selected: list[list[SecretRef] | SyncFailure] = []
        for search in finds(spec):
            selection = await self._select(search, grant, listings, budget, spec)
            if isinstance(selection, list):
                selection = [known.setdefault(ref, ref) for ref in selection]
            selected.append(selection)
        wanted = {*refs.values(), *known}
        fetched = _certain(await self._reader.read(grant, wanted, listings, budget), listings, last_good)
        prepare_now = partial(
            prepare,
            spec,
            {reference: fetched[ref] for reference, ref in refs.items()},
            [[fetched[ref] for ref in found] if isinstance(found, list) else found for found in selected],
        )
        in_searches = [ref for found in selected if isinstance(found, list) for ref in found]
        used = [fetched[ref] for ref in (*(refs[reference] for reference in references(spec)), *in_searches)]
        prepared = await self._run(prepare_now, budget, _length_of(spec, used))
        inputs = prepared.inputs
        outputs: dict[str, RenderedTemplate | SyncFailure] = {}
        for text in templates(spec):
            uses_data = USES_DATA in text
            if uses_data and prepared.failed:
                continue  # it would only repeat what is missing
            given = inputs if uses_data else {}
            outputs[text] = await self._attempt(
                self._templates.render(grant, text, listings, expected=expected, budget=budget, inputs=given)
            )
        rendered = {text: output for text, output in outputs.items() if isinstance(output, RenderedTemplate)}
        secrets = listings.of(SECRETS_MANAGER.name)
        lost = {} if spec.allow_empty or not rendered else _lost(last_good, rendered, secrets, fetched)
        made = {text: lost.get(text) or _output(output) for text, output in outputs.items()}
        data = finish(spec, prepared, made, budget)
        return _content(data, fetched, rendered, filters_of(finds(spec)), listings)

    async def _attempt(self, part: Awaitable[T]) -> T | SyncFailure:
        """What it makes, or the failure, so that it does not hide others. A part that exceeds a limit ends the object."""
        try:
            return await part
        except Exhausted:
            raise
        except SyncFailure as failure:
            return without_frames(failure)

    async def _select(
        self, search: Search, grant: Grant, listings: Listings, budget: Budget, spec: SyncedSecretSpec
    ) -> list[SecretRef] | SyncFailure:
        """What a search selects. No result is a failure, because it must not empty a Secret."""
        found = await self._attempt(
            self._find(search, grant, listings, budget)
            if isinstance(search, Find)
            else self._below(search, grant, listings)
        )
        if isinstance(found, SyncFailure):
            return found
        await asyncio.sleep(0)  # there may be a hundred searches
        budget.charge("keys", len(found))
        service = SECRETS_MANAGER if isinstance(search, Find) else PARAMETER_STORE
        where = "find" if isinstance(search, Find) else f"the path {search.path}"
        if not found and search.optional and (doubt := listings.of(service.name).doubt):
            return Unavailable(Reason.AWS_UNAVAILABLE, f"{where} matches none of the {service.noun}s; and {doubt}")
        if found or search.optional or spec.allow_empty:
            return found
        return Rejected(Reason.SECRET_NOT_FOUND, f"{where} matches none of the listed {service.noun}s")

    async def _below(self, search: Parameters, grant: Grant, listings: Listings) -> list[SecretRef]:
        check_listed(listings.of(PARAMETER_STORE.name), "path")
        return refs_below(search, grant, listings)

    async def _find(self, find: Find, grant: Grant, listings: Listings, budget: Budget) -> list[SecretRef]:
        catalogue = listings.of(SECRETS_MANAGER.name)
        check_listed(catalogue, "find")
        entries = await self._run(partial(select, find, catalogue), budget, _Length.UNKNOWN)
        return [grant.ref(entry.arn) for entry in entries]

    async def _run(self, work: Callable[[Budget], T], budget: Budget, length: _Length) -> T:
        """Run work that is long in a thread, a few at a time, so that it does not block the event loop.

        Most patterns and expressions take less than a millisecond. They are tried at once, with very little of the
        budget, because in front of the threads they would wait for work that takes seconds. An object may have a hundred
        searches, so all of its first tries share this little.
        """
        if length is _Length.SHORT:
            return work(budget)
        if length is _Length.UNKNOWN and (glance := budget.glance()):
            try:
                made = work(glance)
            except SyncFailure:
                budget.settle(glance, done=False)
                if not glance.is_exhausted:
                    raise
            else:
                budget.settle(glance, done=True)
                return made
        budget.long_work.begin()
        async with self._threads.of(budget.party):
            return await asyncio.to_thread(work, budget)


class _Length(Enum):
    """How long work may take."""

    SHORT = auto()
    UNKNOWN = auto()
    LONG = auto()


def _length_of(spec: SyncedSecretSpec, values: Sequence[SecretValue | SyncFailure]) -> _Length:
    """How long rendering may take. Patterns and expressions can be short and take seconds.

    `values` has a value as often as the spec uses it: each becomes keys, whose names can be long.
    """
    size = sum(value.size for value in values if isinstance(value, SecretValue))
    if size > _LONG or len(values) > _MANY:
        return _Length.LONG
    if size > _SHORT or len(values) + len(spec.items) > _FEW:
        return _Length.UNKNOWN
    by_path = any(
        isinstance(reference, SecretKeyReference | ParameterReference) and reference.jmes_path is not None
        for reference in references(spec)
    )
    rewritten = any(part.rewrite for part in spec.parts)
    return _Length.UNKNOWN if by_path or rewritten else _Length.SHORT


def _output(made: RenderedTemplate | SyncFailure) -> str | SyncFailure:
    return made.output if isinstance(made, RenderedTemplate) else made


def _certain(fetched: Fetched, listings: Listings, last_good: LastGood) -> Fetched:
    """What was fetched. While the listing is in doubt, a source of the last good content does not count as absent."""
    return {
        ref: Unavailable(Reason.AWS_UNAVAILABLE, f"{result.message}; and {doubt}")
        if isinstance(result, Rejected)
        and (doubt := listings.of(ref.service).doubt)
        and is_absent(result)
        and last_good.had(ref)
        else result
        for ref, result in fetched.items()
    }


def _lost(
    last_good: LastGood, rendered: Mapping[str, RenderedTemplate], catalogue: Catalogue, fetched: Fetched
) -> dict[str, Rejected]:
    """The templates that selected something before and now do not."""
    lost = cache(lambda: last_good.lost([*fetched, *(ref for output in rendered.values() for ref in output.read)]))
    failures = {text: vanished(last_good, text, output, catalogue, lost) for text, output in rendered.items()}
    return {text: failure for text, failure in failures.items() if failure}


def _content(
    data: dict[str, bytes],
    fetched: Fetched,
    rendered: Mapping[str, RenderedTemplate],
    filters: frozenset[Filter],
    listings: Listings,
) -> Content:
    outputs = rendered.values()
    in_templates = {ref: source for output in outputs for ref, source in output.read.items()}
    direct = {ref: source_of(value) for ref, value in fetched.items() if isinstance(value, SecretValue)}
    return Content(
        data,
        {**direct, **in_templates},
        frozenset(id_of(ref) for ref in in_templates),
        len(direct) == len(fetched),
        Dependencies(
            frozenset(fetched) | frozenset(in_templates),
            coarse(filters.union(*(output.filters for output in outputs))),
            any(output.whole_catalogue for output in outputs),
        ),
        {text: selected_by(output, listings.of(SECRETS_MANAGER.name)) for text, output in rendered.items()},
        listing_remarks([*fetched, *in_templates], listings),
    )
