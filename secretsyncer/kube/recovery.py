"""What a reflector does after its watch ended: the one table of error classes.

Three questions: how the cause is called in metrics and logs, whether the last version is lost (then list
again), and whether to wait first. To resume is the rule and to list the exception: after a restart of the API
server thousands of watches open again, and lists at that moment would bring it down once more
(client-go's `TestNoRelistOnTooManyRequests`).
"""

from __future__ import annotations

from typing import NamedTuple

from secretsyncer.errors import KubeError
from secretsyncer.kube.errors import TOO_LARGE_VERSION
from secretsyncer.kube.feed import BAD_LINE
from secretsyncer.kube.stream import DISCONNECTED, LINE_TOO_LONG, SILENT

ENDED = "Ended"
"""The server ended the stream in good order: its timeout, or a shutdown."""

PATIENCE = 5
"""Errors inside streams at one version until it is given up: it may be what they are about."""

_VERSION_LOST = {
    TOO_LARGE_VERSION: "version_too_large",
    LINE_TOO_LONG: "line_too_long",
    BAD_LINE: "bad_line",
}


class Stage(NamedTuple):
    """How far things had come.

    `opened`: the server had taken the watch. `proven`: the stream brought something, or lived for a while.
    `settled`: some stream was proven since the last list. `stuck`: failures so far at this version.
    """

    opened: bool = False
    proven: bool = False
    settled: bool = False
    stuck: int = 0


class Recovery(NamedTuple):
    """`relist`: the last version is no good. `pause`: wait by the backoff first."""

    cause: str
    relist: bool
    pause: bool


def recovery(error: KubeError, stage: Stage) -> Recovery:
    """The next step after this error."""
    status, reason = error.status, error.reason
    if status == 410 or reason in {"Expired", "Gone"}:
        # At once: nothing is wrong, we were away too long. Unless the list before helped nothing.
        return Recovery("expired", relist=True, pause=not stage.settled)
    if reason in {ENDED, DISCONNECTED, SILENT}:
        # A stream that dies at once is a broken proxy or server; opening it again at once is a hot loop.
        return Recovery(reason.lower() if stage.proven else "short", relist=False, pause=not stage.proven)
    if reason in _VERSION_LOST:
        return Recovery(_VERSION_LOST[reason], relist=True, pause=True)
    if status == 0:  # in a stream: an ERROR event that tells nothing
        return Recovery("bad_event" if stage.opened else "unanswered", relist=stage.opened, pause=True)
    passing = status in {401, 403, 408, 425, 429} or status >= 500
    given_up = stage.opened and stage.stuck >= PATIENCE
    return Recovery(f"http_{status}", relist=given_up or not passing, pause=True)
