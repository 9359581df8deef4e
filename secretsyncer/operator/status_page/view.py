"""What a reader wants to see of the objects: the query of the page, validated, and links to other views. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from secretsyncer.explain.state import Acts
from secretsyncer.kube.objects import Key

SEARCH_LIMIT = 200
"""Characters of a search. The rest is ignored."""
NAME_LIMIT = 1024
"""Characters of a reason or a namespace: more than any has."""

SLUGS = {acts: acts.replace(" ", "-") for acts in Acts}
NOT_READY = "not-ready"
STATES: Mapping[str, frozenset[Acts]] = {
    NOT_READY: frozenset(Acts) - {Acts.NOBODY},
    **{slug: frozenset({acts}) for acts, slug in SLUGS.items()},
}
"""What `state` selects."""
NO_CHANGES: Mapping[str, str] = {}
_PAGE = re.compile("[1-9][0-9]{0,5}", re.ASCII)


class View(NamedTuple):
    """Which objects are shown. Empty texts select all."""

    words: str = ""
    state: str = ""
    reason: str = ""
    namespace: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> View:
        """The view that a query asks for. Raises ValueError. Parameters that it does not know are ignored."""
        state, page = query.get("state", ""), query.get("page", "1")
        if state and state not in STATES:
            raise ValueError(f"state: must be one of {', '.join(STATES)}")
        if not _PAGE.fullmatch(page):
            raise ValueError("page: must be a number from 1 to 999999")
        for name in ("reason", "namespace"):
            if len(query.get(name, "")) > NAME_LIMIT:
                raise ValueError(f"{name}: at most {NAME_LIMIT} characters")
        words = " ".join(query.get("q", "")[:SEARCH_LIMIT].split())
        return cls(words, state, query.get("reason", ""), query.get("namespace", ""), int(page))

    def link(self, changes: Mapping[str, str] = NO_CHANGES, *, page: int = 1) -> str:
        """A relative link to this view with other filters, from its first page on."""
        changed = self._replace(page=page, **changes)
        fields = {"q": changed.words, **changed.filters, "page": "" if page == 1 else str(page)}
        return "?" + urlencode({name: text for name, text in fields.items() if text})

    @property
    def filters(self) -> dict[str, str]:
        """What selects objects, without the search."""
        chosen = {"state": self.state, "reason": self.reason, "namespace": self.namespace}
        return {name: text for name, text in chosen.items() if text}


def object_link(key: Key) -> str:
    """A link to the page of an object, relative to `/`."""
    return f"objects/{quote(key.namespace, safe='')}/{quote(key.name, safe='')}"
