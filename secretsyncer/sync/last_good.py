"""The last good content of an object, and the failure of a template that now selects nothing. Pure.

A filter or a loop over `.Secrets` that selects nothing can be correct, or caused by a wrong region, a lost tag or an
empty listing. Therefore, if it selected something before and now selects nothing, the object fails and its Secret stays.
"Before" is the last successful reconcile in this process, or the status of the object after a restart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from secretsyncer.aws.arn import home_of
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.services import PARAMETER_STORE, SECRETS_MANAGER, Named, named, named_by_arn
from secretsyncer.errors import Reason, Rejected
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.objects import Object, unpacked
from secretsyncer.kube.shelf import is_stub
from secretsyncer.sync.status import sources_of
from secretsyncer.sync.templates import RenderedTemplate

_CALLS = {"tagKey": "filterByTagKey", "tag": "filterByTag", "name": "filterByName", "path": "getParameters"}


@dataclass(frozen=True, slots=True)
class Selected:
    """What one template selected: the filters that matched, and whether it saw or read any listed secret.

    Of the filters, only hashes are kept: there may be a thousand, and their arguments may come from a value.
    """

    matched: frozenset[int] = field(repr=False)
    listed: bool
    read: bool


@dataclass(frozen=True)
class LastGood:
    """The last good content of an object: the ARNs of its sources and, if known, what each template selected.

    `complete`: whether these are all sources.
    """

    sources: frozenset[str] = frozenset()
    selected: Mapping[str, Selected] | None = field(default=None, repr=False)
    complete: bool = True

    def had(self, ref: SecretRef) -> bool:
        """Whether a secret or parameter of this name or ARN may have been among the sources."""
        return not self.complete or not self._names.isdisjoint(named(ref.service, ref.id))

    @cached_property
    def _names(self) -> set[Named]:
        return {name for arn in self.sources for name in named_by_arn(arn)}

    def lost(self, refs: Iterable[SecretRef]) -> bool:
        """Whether one of the sources is none of these any more."""
        names = {name for ref in refs for name in named(ref.service, ref.id)}
        return any(names.isdisjoint(named_by_arn(arn)) for arn in self.sources)


def in_use(objects: Iterable[Object], region: str) -> Iterator[str]:
    """The ARNs that the objects were made from, as far as a listing of this region should show them.

    This includes sources of other regions, unless the spec names that region: if the operator's region is wrong, every
    source is of another region.
    """
    for obj in objects:
        text = ""
        for arn in sources_of(unpacked(obj.get("status")) or {}, obj["metadata"].get("generation", 0)):
            home = home_of(arn)
            if home is None or home[1] == region:
                yield arn
                continue
            if is_stub(obj):
                continue  # its spec may name that region, and one doubt too many would hold up a whole listing
            text = text or json.dumps(unpacked(obj.get("spec")))
            if home[1] not in text:
                yield arn


def selected_by(output: RenderedTemplate, catalogue: Catalogue) -> Selected:
    """What a template selected now."""
    return Selected(
        frozenset(map(hash, output.matched)), output.whole_catalogue and bool(catalogue.entries), bool(output.read)
    )


def vanished(
    last_good: LastGood, text: str, output: RenderedTemplate, catalogue: Catalogue, lost: Callable[[], bool]
) -> Rejected | None:
    """The failure, if the template selected something before and now does not.

    `lost`: whether a source is neither read any more nor named by the spec itself.
    """
    if not (output.filters or output.whole_catalogue):
        return None
    now = selected_by(output, catalogue)
    empty = sorted(output.filters - output.matched)
    if last_good.selected is None:
        return _failure(empty) if (empty or not now.read) and lost() else None
    old = last_good.selected.get(text)
    if old is None:
        return None
    gone = [what for what in empty if hash(what) in old.matched]
    if gone or (old.listed and not now.listed) or (old.read and not now.read):
        return _failure(gone)
    return None


def _failure(gone: list[Filter]) -> Rejected:
    # Its arguments may come from a value.
    what = _CALLS[gone[0].kind] if gone else "the loop over .Secrets"
    noun = (PARAMETER_STORE if gone and gone[0].kind == "path" else SECRETS_MANAGER).noun
    return Rejected(
        Reason.SECRET_NOT_FOUND,
        f"{what} selects none of the listed {noun}s any more, and the Secret stays as it is; "
        "if that is meant, edit the template or set spec.allowEmpty",
    )
