"""`secretsyncer why`: everything about one object on one screen."""

from __future__ import annotations

import argparse
import os
import re
import time
from typing import TYPE_CHECKING

from secretsyncer.commands import Subcommands, add_command
from secretsyncer.commands.explanation import lines
from secretsyncer.commands.terminal import Screen
from secretsyncer.errors import KubeError
from secretsyncer.explain.explanation import Facts, explain
from secretsyncer.explain.state import Acts
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.resources import EVENTS, NAMESPACES, SYNCED_SECRETS
from secretsyncer.settings import load
from secretsyncer.sync.authorize import Rules

if TYPE_CHECKING:
    from secretsyncer.kube.client import KubeClient

_DESCRIPTION = """\
Prints everything about one SyncedSecret: its state and since when, whether its namespace allows its role and which rule
decides that, the AWS secrets with the version that was read, the last Events, and what to do next. It prints no value,
and does not read the Secret.

  %(prog)s team-a/database
  %(prog)s -n team-a database

If the operator has other settings for NS_ANNOTATION and REQUIRE_NS_ANNOTATION than the defaults, set them here, too.
The exit code is 1 if the object needs a change, is retried or is pending, otherwise 0.
"""


def register(commands: Subcommands) -> None:
    command = add_command(
        commands, "why", _action, summary="explain the state of one object", description=_DESCRIPTION
    )
    command.add_argument("object", metavar="[NAMESPACE/]NAME", help="the SyncedSecret")
    command.add_argument("-n", dest="namespace", metavar="NAMESPACE", help="the namespace of a name without one")
    command.add_argument(
        "--account", type=_account, help="the operator's AWS account, which completes names of roles"
    )


def _account(text: str) -> str:
    if not re.fullmatch("[0-9]{12}", text):
        raise argparse.ArgumentTypeError("an AWS account has 12 digits")
    return text


def _action(chosen: argparse.Namespace) -> int:
    from secretsyncer.commands import cluster  # noqa: PLC0415 - the Kubernetes client takes long to import

    settings = load(os.environ)
    rules = Rules(settings.ns_annotation, settings.require_ns_annotation)

    async def explained(client: KubeClient) -> int:
        facts = await _facts(client, cluster.key(chosen.object, chosen, client))
        found = explain(facts, rules, account=chosen.account or "", otherwise="--account ACCOUNT decides it")
        print("\n".join(lines(found, Screen(), now=time.time())))
        return int(found.state.acts not in {Acts.NOBODY, Acts.SUSPENDED})

    return cluster.run(explained)


async def _facts(client: KubeClient, key: Key) -> Facts:
    """What the cluster says. Somebody who may not read namespaces or Events sees the rest."""
    from secretsyncer.commands import cluster  # noqa: PLC0415 - as above

    try:
        obj = await client.get(SYNCED_SECRETS, *key)
    except KubeError as error:
        if error.status != 404:
            raise
        raise KubeError(404, error.reason, f"SyncedSecret {key}: {error.message}") from None
    problems: dict[str, str] = {}
    namespace: Object | None = None
    try:
        namespace = await client.get(NAMESPACES, "", key.namespace)
    except KubeError as error:
        problems["namespace"] = str(error)
    events: list[Object] = []
    selector = f"involvedObject.kind={SYNCED_SECRETS.kind},involvedObject.name={key.name}"
    try:
        events = await cluster.list_all(client, EVENTS, key.namespace, field_selector=selector)
    except KubeError as error:
        problems["events"] = str(error)
    return Facts(obj, namespace, events, problems)
