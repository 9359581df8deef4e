"""`secretsyncer refresh`, `suspend` and `resume`: change what the operator does with an object."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from secretsyncer.commands import Subcommands, add_command, manifests
from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.sync.observed import REFRESH_ANNOTATION

if TYPE_CHECKING:
    from secretsyncer.kube.client import KubeClient

_GITOPS = """
If a GitOps tool manages the object, it may undo this: change spec.suspend in Git, too.
"""


class Verb(NamedTuple):
    """One of the commands. `done` is what it prints for each object."""

    summary: str
    description: str
    done: str


VERBS = {
    "refresh": Verb(
        "read the AWS secrets of an object at once",
        f"""\
Makes the operator read the AWS secrets of an object at once, whatever its listing of AWS says. The command
changes the annotation {REFRESH_ANNOTATION}. The operator does this for one object at most every 10 s.
It also tries restarts again that failed.

  %(prog)s team-a/database
  %(prog)s -n team-a database cache
""",
        "its AWS secrets are read again",
    ),
    "suspend": Verb(
        "stop syncing an object; its Secret stays as it is",
        f"""\
Stops syncing an object: sets spec.suspend. Its Secret stays as it is, and nobody corrects it.

  %(prog)s team-a/database
{_GITOPS}""",
        "suspended; its Secret stays as it is",
    ),
    "resume": Verb(
        "sync a suspended object again",
        f"""\
Syncs a suspended object again: removes spec.suspend. What has changed in AWS meanwhile is written at once.

  %(prog)s team-a/database
{_GITOPS}""",
        "synced again",
    ),
}


def register(commands: Subcommands) -> None:
    for name, verb in VERBS.items():
        command = add_command(commands, name, _action, summary=verb.summary, description=verb.description)
        command.set_defaults(verb=name)
        command.add_argument("objects", metavar="[NAMESPACE/]NAME", nargs="+", help="the SyncedSecrets")
        command.add_argument("-n", dest="namespace", metavar="NAMESPACE", help="the namespace of names without one")


def patch(verb: str, now: datetime) -> Object:
    """The merge patch of the command."""
    if verb == "refresh":
        return {"metadata": {"annotations": {REFRESH_ANNOTATION: now.isoformat()}}}
    return {"spec": {"suspend": True if verb == "suspend" else None}}


async def _is_suspended(client: KubeClient, key: Key) -> bool:
    """Whether it is. An empty patch reads the object with the permission that the command needs anyway."""
    obj = await client.merge_patch(SYNCED_SECRETS, *key, {})
    return bool((obj.get("spec") or {}).get("suspend"))


def _action(chosen: argparse.Namespace) -> int:
    from secretsyncer.commands import cluster  # noqa: PLC0415 - the Kubernetes client takes long to import

    async def changed(client: KubeClient) -> int:
        keys = [cluster.key(text, chosen, client) for text in chosen.objects]
        problems = []
        for key in keys:
            try:
                if chosen.verb == "resume" and not await _is_suspended(client, key):
                    print(f"SyncedSecret {key}: was not suspended")
                    continue
                obj = await client.merge_patch(SYNCED_SECRETS, *key, patch(chosen.verb, datetime.now(UTC)))
            except KubeError as error:
                problems.append(f"SyncedSecret {key}: {error}")
                continue
            if chosen.verb == "refresh" and obj["spec"].get("suspend"):
                problems.append(f"SyncedSecret {key}: is suspended, so nothing is read; `resume` ends it")
            else:
                print(f"SyncedSecret {key}: {VERBS[chosen.verb].done}")
        manifests.report(problems)
        return int(bool(problems))

    return cluster.run(changed)
