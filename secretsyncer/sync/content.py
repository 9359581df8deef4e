"""The content of a Secret: everything that the spec references, read under a grant and rendered.

The operator and `secretsyncer render` use it with different sources of values. The result includes its inputs. The next
reconcile compares them, and a change of one in AWS causes a reconcile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure
from secretsyncer.gotemplate.engine import Filter, TemplateEngine
from secretsyncer.metrics import Metrics
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.dependencies import Dependencies
from secretsyncer.sync.fetch import Fetched, GatedReader, ValueSource, ref_of, source_of
from secretsyncer.sync.render import references, render, select, templates
from secretsyncer.sync.status import Source
from secretsyncer.sync.templates import RenderedTemplate, TemplateRenderer, check_listed
from secretsyncer.synced_secret import Find, SyncedSecretSpec


@dataclass(frozen=True, slots=True)
class Content:
    """The rendered data and its inputs. `template_reads` are the ids that templates read.

    `complete` is False if an optional secret was missing. Then only AWS knows whether it still is.
    """

    data: dict[str, bytes] = field(repr=False)
    read: Mapping[SecretRef, Source]
    template_reads: frozenset[str]
    complete: bool
    dependencies: Dependencies


class ContentRenderer:
    """Renders the content of any object, from one source of values."""

    def __init__(self, values: ValueSource, engine: TemplateEngine, metrics: Metrics) -> None:
        self._reader = GatedReader(values)
        self._templates = TemplateRenderer(self._reader, engine, metrics)

    async def render(
        self, grant: Grant, spec: SyncedSecretSpec, catalogue: Catalogue, *, expected: Iterable[str] = ()
    ) -> Content:
        """The content. `expected`: ids that its templates read last time. Raises Rejected or Unavailable."""
        refs = {reference: ref_of(grant, reference) for reference in references(spec)}
        find = spec.data_from.find if spec.data_from else None
        selected = _select(find, grant, catalogue) if find else []
        also = selected if isinstance(selected, list) else ()
        fetched = await self._reader.read(grant, {*refs.values(), *also}, catalogue)
        outputs = {text: await self._attempt(grant, text, catalogue, expected) for text in templates(spec)}
        data = render(
            spec,
            values={reference: fetched[ref] for reference, ref in refs.items()},
            outputs={text: o.output if isinstance(o, RenderedTemplate) else o for text, o in outputs.items()},
            found=[fetched[ref] for ref in selected] if isinstance(selected, list) else selected,
        )
        rendered = [output for output in outputs.values() if isinstance(output, RenderedTemplate)]
        return _content(data, fetched, rendered, _filters_of(find))

    async def _attempt(
        self, grant: Grant, text: str, catalogue: Catalogue, expected: Iterable[str]
    ) -> RenderedTemplate | SyncFailure:
        """The template's output or its failure, so that one failure does not hide other problems of the object."""
        try:
            return await self._templates.render(grant, text, catalogue, expected=expected)
        except SyncFailure as failure:
            return failure


def _select(find: Find, grant: Grant, catalogue: Catalogue) -> list[SecretRef] | SyncFailure:
    """The secrets that `find` selects. No result is a failure, because it must not empty a Secret."""
    try:
        check_listed(catalogue, "find")
    except SyncFailure as failure:
        return failure
    found = [grant.ref(entry.arn) for entry in select(find, catalogue)]
    return found or Rejected(Reason.SECRET_NOT_FOUND, "find matches none of the listed AWS secrets")


def _filters_of(find: Find | None) -> frozenset[Filter]:
    """The smallest part of the catalogue that `find` depends on."""
    if not find:
        return frozenset()
    if find.tags:
        return frozenset({Filter("tag", min(find.tags.items()))})
    return frozenset({Filter("tagKey", (find.tag_key,)) if find.tag_key else Filter("name", ())})


def _content(
    data: dict[str, bytes], fetched: Fetched, outputs: list[RenderedTemplate], filters: frozenset[Filter]
) -> Content:
    in_templates = {ref: source for output in outputs for ref, source in output.read.items()}
    direct = {ref: source_of(value) for ref, value in fetched.items() if isinstance(value, SecretValue)}
    return Content(
        data,
        {**direct, **in_templates},
        frozenset(ref.id for ref in in_templates),
        len(direct) == len(fetched),
        Dependencies(
            frozenset(fetched) | frozenset(in_templates),
            filters.union(*(output.filters for output in outputs)),
            any(output.whole_catalogue for output in outputs),
        ),
    )
