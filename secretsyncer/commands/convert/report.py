"""What `convert` says of the objects: a line for each that needs one, and a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secretsyncer.commands.convert.draft import Draft
from secretsyncer.kube.objects import Object

_NAMED = 10
"""Objects that a line for many of them names."""


class Report:
    """The drafts, converted or refused."""

    def __init__(self, drafts: list[Draft]) -> None:
        self.converted = [draft for draft in drafts if not draft.obstacles]
        self.refused = [draft for draft in drafts if draft.obstacles]
        self.noted = [draft for draft in self.converted if draft.notes]

    def results(self) -> list[Object]:
        return [draft.synced_secret() for draft in self.converted]

    def lines(self, problems: Sequence[str] = ()) -> Iterator[str]:
        """What is not converted, then notes, then what depends on the values in AWS, then the summary.

        `problems`: objects that were not even read.
        """
        for problem in problems:
            yield f"not converted: {problem}"
        for draft in self.refused:
            for obstacle in dict.fromkeys(draft.obstacles):
                yield f"not converted: {draft.label}: {obstacle}"
        for draft in self.noted:
            for note in draft.notes:
                yield f"note: {draft.label}: {note}"
        yield from self._common()
        refused = len(problems) + len(self.refused)
        yield f"{len(self.converted)} converted, {len(self.noted)} with notes, {refused} not converted"

    def _common(self) -> Iterator[str]:
        for text in sorted({text for draft in self.converted for text in draft.common}):
            names = [draft.name for draft in self.converted if text in draft.common]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"note on values ({', '.join(names[:_NAMED])}{more}): {text}"
