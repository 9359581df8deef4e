"""One object's content: everything that its spec asks for, read under a grant and rendered.

The same for the operator and for `secretsyncer render`: only the source of the values differs. The result says what
it was made from, which is what the next pass compares and what wakes the object when AWS changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.dependencies import Dependencies
from secretsyncer.sync.fetch import Reader, RenderedTemplate, Values, check_listed, ref_of, source_of
from secretsyncer.sync.render import Sources, references, render, select, templates
from secretsyncer.sync.status import Source
from secretsyncer.synced_secret import Find, SyncedSecretSpec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Content:
    """What was rendered, and from what; `template_reads` are the ids that templates asked for.

    `complete` is False where an optional secret was not there: then only AWS can tell whether it still is not.
    """

    data: dict[str, bytes] = field(repr=False)
    read: Mapping[SecretRef, Source]
    template_reads: frozenset[str]
    complete: bool
    dependencies: Dependencies


async def render_content(
    reader: Reader, grant: Grant, spec: SyncedSecretSpec, catalogue: Catalogue, *, expected: Iterable[str] = ()
) -> Content:
    """The content. `expected`: ids that its templates read last time. Raises Rejected or Unavailable."""
    refs = {ref_of(grant, reference) for reference in references(spec)}
    find = spec.data_from.find if spec.data_from else None
    found = _found(find, grant, catalogue) if find else []
    values = await reader.read(grant, refs.union(found if isinstance(found, list) else ()), catalogue)
    outputs = {text: await _attempt(reader, grant, text, catalogue, expected) for text in templates(spec)}

    sources = Sources(
        secret=lambda reference: _or_raise(values[ref_of(grant, reference)]),
        template=lambda text: _or_raise(outputs[text]).output,
        found=lambda _: [_or_raise(values[ref]) for ref in _or_raise(found)],
    )
    rendered = [output for output in outputs.values() if isinstance(output, RenderedTemplate)]
    return _content(render(spec, sources), values, rendered, _filters_of(find))


def _found(find: Find, grant: Grant, catalogue: Catalogue) -> list[SecretRef] | SyncFailure:
    """What `find` selects. Nothing at all is a failure: it must not empty a Secret that was full before."""
    try:
        check_listed(catalogue, "find")
    except SyncFailure as failure:
        return failure
    found = [grant.ref(entry.arn) for entry in select(find, catalogue)]
    return found or Rejected(Reason.SECRET_NOT_FOUND, "find matches none of the listed AWS secrets")


def _filters_of(find: Find | None) -> frozenset[Filter]:
    """The narrowest part of the catalogue that `find` looks at."""
    if not find:
        return frozenset()
    if find.tags:
        return frozenset({Filter("tag", min(find.tags.items()))})
    return frozenset({Filter("tagKey", (find.tag_key,)) if find.tag_key else Filter("name", ())})


async def _attempt(
    reader: Reader, grant: Grant, text: str, catalogue: Catalogue, expected: Iterable[str]
) -> RenderedTemplate | SyncFailure:
    """A template that fails must not hide what else is wrong with the object."""
    try:
        return await reader.render_template(grant, text, catalogue, expected=expected)
    except SyncFailure as failure:
        return failure


def _or_raise(value: T | SyncFailure) -> T:
    if isinstance(value, SyncFailure):
        raise value
    return value


def _content(
    data: dict[str, bytes], values: Values, outputs: list[RenderedTemplate], filters: frozenset[Filter]
) -> Content:
    in_templates = {ref: source for output in outputs for ref, source in output.read.items()}
    direct = {ref: source_of(value) for ref, value in values.items() if isinstance(value, SecretValue)}
    read = {**direct, **in_templates}
    return Content(
        data,
        read,
        frozenset(ref.id for ref in in_templates),
        len(direct) == len(values),
        Dependencies(
            frozenset(values) | frozenset(in_templates),
            filters.union(*(output.filters for output in outputs)),
            any(output.whole_catalogue for output in outputs),
        ),
    )
