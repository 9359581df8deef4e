"""`secretsyncer status`: the SyncedSecrets that are not ready, and since when."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from secretsyncer.ages import age
from secretsyncer.commands import Subcommands, add_command
from secretsyncer.commands.terminal import Screen
from secretsyncer.explain.state import Acts, State, blocked_restart, state_of
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.resources import SYNCED_SECRETS

if TYPE_CHECKING:
    from secretsyncer.kube.client import KubeClient

_COLUMNS = ("OBJECT", "STATE", "REASON", "SINCE", "MESSAGE")
_STATE = _COLUMNS.index("STATE")

_DESCRIPTION = """\
Prints the SyncedSecrets that are not ready: who has to act, why, and since when. The last line counts all of them.

  %(prog)s                  the namespace of the current context
  %(prog)s -n team-a        another namespace
  %(prog)s -A               all namespaces

STATE says who acts next:

  change needed   somebody has to change something; `why` says what
  retrying        the operator tries again by itself
  pending         the operator has not reported about the object, or about its last edit
  suspended       spec.suspend is true; `resume` ends it

The exit code is 1 if an object needs a change, is retried or is pending, otherwise 0.
"""


def register(commands: Subcommands) -> None:
    command = add_command(
        commands, "status", _action, summary="show the objects that are not ready", description=_DESCRIPTION
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument("-n", dest="namespace", metavar="NAMESPACE", help="the namespace to show")
    where.add_argument("-A", dest="everywhere", action="store_true", help="show all namespaces")


def _action(chosen: argparse.Namespace) -> int:
    from secretsyncer.commands import cluster  # noqa: PLC0415 - the Kubernetes client takes long to import

    async def shown(client: KubeClient) -> int:
        namespace = None if chosen.everywhere else cluster.namespace_of(chosen, client)
        objects = await cluster.list_all(client, SYNCED_SECRETS, namespace)
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        print("\n".join(report(objects, where, Screen(), now=time.time())))
        return int(any(state_of(obj).acts not in {Acts.NOBODY, Acts.SUSPENDED} for obj in objects))

    return cluster.run(shown)


def report(objects: Iterable[Object], where: str, screen: Screen, *, now: float) -> Iterator[str]:
    """The lines: tables of what is not ready, the most urgent first, and of blocked restarts, and the summary."""
    objects = list(objects)
    found = [(state_of(obj), key_of(obj)) for obj in objects]
    order = list(Acts)
    rest = sorted(
        ((state, key) for state, key in found if state.acts is not Acts.NOBODY),
        key=lambda row: (order.index(row[0].acts), row[1]),
    )
    if rest:
        yield from _table(rest, screen, now)
        yield ""
    if blocked := sorted((key_of(obj), told) for obj in objects if (told := blocked_restart(obj))):
        cells = [(str(key), told.reason, age(told.since, now), told.message) for key, told in blocked]
        yield from screen.table([("OBJECT", "RESTARTS", "SINCE", "MESSAGE"), *cells], _heading(screen))
        yield ""
    yield _summary(found, len(rest), where)


def _table(rows: list[tuple[State, Key]], screen: Screen, now: float) -> Iterator[str]:
    cells = [_COLUMNS]
    cells += [(str(key), s.acts, s.reason, age(s.since, now), s.message) for s, key in rows]

    def paint(row: int, column: int, cell: str) -> str:
        if not row:
            return screen.bold(cell)
        return screen.state(cell, rows[row - 1][0].acts) if column == _STATE else cell

    yield from screen.table(cells, paint)


def _heading(screen: Screen) -> Callable[[int, int, str], str]:
    return lambda row, _column, cell: cell if row else screen.bold(cell)


def _summary(found: list[tuple[State, Key]], not_ready: int, where: str) -> str:
    if not found:
        return f"no SyncedSecret {where}"
    of = f"{len(found)} SyncedSecret{'s' * (len(found) != 1)} {where}"
    if not not_ready:
        return f"{of}; all are ready"
    counts = Counter(state.acts for state, _ in found)
    return f"{of}; {', '.join(f'{acts}: {counts[acts]}' for acts in Acts if counts[acts])}"
