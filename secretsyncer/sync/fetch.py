"""The one door to AWS values: nothing is read without a Grant, whatever the form of the reference.

`Reader.read` fetches what a spec names, `Reader.render_template` what a template asks for while it runs; both pass
the grant's tag rule before a value is fetched, and both read as the grant's identity and nobody else.
`reconcile.py` is the only caller in the operator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable
from secretsyncer.gotemplate.engine import (
    EngineCatalogue,
    EngineUnavailable,
    Filter,
    Needs,
    Rendered,
    TemplateEngine,
    TemplateFailure,
)
from secretsyncer.metrics import Metrics
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.render import combine
from secretsyncer.sync.status import Source
from secretsyncer.synced_secret import SecretReference

ROUNDS = 20
"""How often a template may ask for more secrets; each round serves all that it asked for."""

Values = Mapping[SecretRef, SecretValue | SyncFailure]


class ValueSource(Protocol):
    """What is wanted of the cache; `aws.cache.SecretCache` is it."""

    def known(self, ref: SecretRef, catalogue: Catalogue) -> tuple[str, str] | None: ...

    async def get_many(self, refs: Collection[SecretRef], catalogue: Catalogue) -> Values: ...

    def invalidate(self, ids: Collection[str]) -> None: ...

    async def tags(
        self, refs: Collection[SecretRef], catalogue: Catalogue
    ) -> Mapping[SecretRef, Mapping[str, str] | SyncFailure]: ...


@dataclass(frozen=True, slots=True)
class RenderedTemplate:
    """A template's output and everything that it was made from."""

    output: str = field(repr=False)
    read: Mapping[SecretRef, Source]
    filters: frozenset[Filter] = field(repr=False)  # their arguments may come from a value
    whole_catalogue: bool


def ref_of(grant: Grant, reference: SecretReference) -> SecretRef:
    """The secret that a spec names, as the grant's identity asks for it."""
    return grant.ref(
        reference.name,
        region=reference.region or "",
        version_id=reference.version_id or "",
        stage=reference.version_stage or "",
    )


def source_of(value: SecretValue) -> Source:
    return Source(value.name, value.arn, value.version_id)


class Reader:
    """Reads values and renders templates under a grant."""

    def __init__(self, values: ValueSource, engine: TemplateEngine, metrics: Metrics) -> None:
        self._values = values
        self._engine = engine
        self._renders = metrics.template_renders
        self._listing: tuple[Catalogue, EngineCatalogue] | None = None

    async def refusals(
        self, grant: Grant, refs: Collection[SecretRef], catalogue: Catalogue
    ) -> dict[SecretRef, SyncFailure]:
        """Those of the secrets that the grant's tag rule keeps from being read, and why."""
        if not grant.tag or not refs:
            return {}
        refused: dict[SecretRef, SyncFailure] = {}
        for ref, tags in (await self._values.tags(refs, catalogue)).items():
            if isinstance(tags, SyncFailure):
                refused[ref] = tags
            elif not grant.permits(tags):
                refused[ref] = Rejected(
                    Reason.ROLE_NOT_ALLOWED,
                    f"AWS secret {ref.id} does not carry the tag {grant.tag}=1, which this namespace needs",
                )
        return refused

    async def read(self, grant: Grant, refs: Collection[SecretRef], catalogue: Catalogue) -> Values:
        """Each secret's value, or why it may not or cannot be read."""
        refused = await self.refusals(grant, refs, catalogue)
        permitted = [ref for ref in refs if ref not in refused]
        return {**refused, **await self._values.get_many(permitted, catalogue)} if permitted else refused

    async def render_template(
        self, grant: Grant, text: str, catalogue: Catalogue, *, expected: Iterable[str]
    ) -> RenderedTemplate:
        """The template's output. `expected` are the ids that it read last time: fetched up front.

        Secrets that a filter selected and that the role may not read are left out unless the template insists.
        Raises Rejected(TemplateError), or the failure of a secret that the template needs.
        """
        found: dict[str, SecretValue | SyncFailure] = {}
        wanted = set(expected)
        for _ in range(ROUNDS):
            found.update(await self._by_id(grant, wanted, catalogue))
            result = await self._render(text, catalogue, found)
            if isinstance(result, Rendered):
                return _rendered(grant, result, found)
            failures = [value for i in result.required if isinstance(value := found.get(i), SyncFailure)]
            if failures:
                raise combine(failures) if result.public else _unnamed(combine(failures))
            wanted = {i for i in (*result.required, *result.hints) if i not in found}
            if not wanted:
                break
        raise Rejected(
            Reason.TEMPLATE_ERROR,
            f"the template asks for other secrets each time it gets some (gave up after {ROUNDS} rounds)",
        )

    async def _by_id(
        self, grant: Grant, ids: Collection[str], catalogue: Catalogue
    ) -> dict[str, SecretValue | SyncFailure]:
        refs = [grant.ref(i) for i in ids]
        return {ref.id: value for ref, value in (await self.read(grant, refs, catalogue)).items()} if refs else {}

    async def _render(
        self, text: str, catalogue: Catalogue, found: Mapping[str, SecretValue | SyncFailure]
    ) -> Rendered | Needs:
        values = {i: payload(value) for i, value in found.items() if isinstance(value, SecretValue)}
        try:
            result = await self._engine.render(text, self._engine_catalogue(catalogue), values)
        except TemplateFailure as exc:
            self._renders.labels("failure").inc()
            _check_listed(exc, catalogue)
            raise Rejected(Reason.TEMPLATE_ERROR, str(exc)) from None
        except EngineUnavailable as exc:
            raise Unavailable(Reason.TEMPLATE_ERROR, f"the template engine cannot start: {exc}") from exc
        self._renders.labels("success" if isinstance(result, Rendered) else "needs").inc()
        _check_listed(result, catalogue)
        return result

    def _engine_catalogue(self, catalogue: Catalogue) -> EngineCatalogue:
        if self._listing is None or self._listing[0] is not catalogue:
            self._listing = (catalogue, engine_catalogue(catalogue))
        return self._listing[1]


def check_listed(catalogue: Catalogue, what: str) -> None:
    """Raises Unavailable before the first listing: one that never came must not read as one of nothing."""
    if catalogue.listed_at is None:
        raise Unavailable(Reason.AWS_UNAVAILABLE, f"{what} needs the list of AWS secrets, which is not there yet")


def _check_listed(result: Rendered | Needs | TemplateFailure, catalogue: Catalogue) -> None:
    if result.filters or result.whole_catalogue:
        check_listed(catalogue, "the template")


def engine_catalogue(catalogue: Catalogue) -> EngineCatalogue:
    """What templates see as `.Secrets`."""
    return EngineCatalogue(
        {
            entry.name: {
                "Tags": dict(entry.tags),
                "CurrentVersionID": entry.version_id,
                "UpdatedAt": entry.last_changed.isoformat() if entry.last_changed else None,
            }
            for entry in catalogue.entries.values()
        }
    )


def _unnamed(failure: SyncFailure) -> SyncFailure:
    """The failure without its text: a name that was made from a secret's value may be one."""
    text = f"a secret whose name the template takes from another secret cannot be read ({failure.reason})"
    return type(failure)(failure.reason, text, retry_after=failure.retry_after)


def payload(value: SecretValue) -> str | bytes:
    return value.text if value.text is not None else value.binary or b""


def _rendered(grant: Grant, result: Rendered, found: Mapping[str, SecretValue | SyncFailure]) -> RenderedTemplate:
    read = {grant.ref(i): source_of(value) for i in result.reads if isinstance(value := found.get(i), SecretValue)}
    return RenderedTemplate(result.output, read, frozenset(result.filters), result.whole_catalogue)
