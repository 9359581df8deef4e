"""What a reflector does after its watch has ended: one table of errors.

The table answers three questions: the name of the cause in metrics and logs, whether the last version is lost (then
relist), and whether to wait first. Resuming is the rule. After a restart of the API server, thousands of watches reopen,
and lists at that moment would bring it down again (client-go's `TestNoRelistOnTooManyRequests`).
"""

from __future__ import annotations

from typing import NamedTuple

from secretsyncer.errors import KubeError
from secretsyncer.kube.errors import TOO_LARGE_VERSION
from secretsyncer.kube.feed import BAD_LINE
from secretsyncer.kube.stream import DISCONNECTED, LINE_TOO_LONG, SILENT

ENDED = "Ended"
"""The server ended the stream normally: its timeout, or a shutdown."""

PATIENCE = 5
"""Errors in streams from one version until a relist: the version may be the cause."""

_VERSION_LOST = {
    TOO_LARGE_VERSION: "version_too_large",
    LINE_TOO_LONG: "line_too_long",
    BAD_LINE: "bad_line",
}


class Stage(NamedTuple):
    """The state of the watch when it ended.

    `opened`: the server had accepted the watch. `proven`: the stream had an event, or lasted for a while. `settled`: a
    stream was proven since the last list. `stuck`: number of failures at this version.
    """

    opened: bool = False
    proven: bool = False
    settled: bool = False
    stuck: int = 0


class Recovery(NamedTuple):
    """`relist`: the last version is lost. `pause`: wait with backoff first."""

    cause: str
    relist: bool
    pause: bool


def recovery(error: KubeError, stage: Stage) -> Recovery:
    """The next step after this error."""
    status, reason = error.status, error.reason
    if status == 410 or reason in {"Expired", "Gone"}:
        # At once, because nothing is wrong; unless the previous list did not help.
        return Recovery("expired", relist=True, pause=not stage.settled)
    if reason in {ENDED, DISCONNECTED, SILENT}:
        # A stream that ends at once means a broken proxy or server. Reopening it at once would be a hot loop.
        return Recovery(reason.lower() if stage.proven else "short", relist=False, pause=not stage.proven)
    if reason in _VERSION_LOST:
        return Recovery(_VERSION_LOST[reason], relist=True, pause=True)
    if status == 0:  # in a stream: an ERROR event without a status
        return Recovery("bad_event" if stage.opened else "unanswered", relist=stage.opened, pause=True)
    passing = status in {401, 403, 408, 425, 429} or status >= 500
    given_up = stage.opened and stage.stuck >= PATIENCE
    return Recovery(f"http_{status}", relist=given_up or not passing, pause=True)
