"""`secretsyncer iam-policy`: the smallest IAM policy per role that SyncedSecrets need.

What a template reads is found out by rendering it without any secret: the filters that it calls and the names that
it asks for. A template that computes names cannot be foreseen, and is reported.

Rules: BatchGetSecretValue has no resource of its own, and needs GetSecretValue on each secret (AWS, API reference
of BatchGetSecretValue). A secret's ARN ends in six characters that AWS makes up, written as `??????`
(AWS, "Permissions policy examples for Secrets Manager").
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from secretsyncer.aws.arn import parse_secret_id, role_account
from secretsyncer.commands import Subcommands, manifests
from secretsyncer.errors import Rejected
from secretsyncer.gotemplate.engine import EngineCatalogue, Filter, Needs, Rendered, TemplateEngine, TemplateFailure
from secretsyncer.kube.objects import key_of
from secretsyncer.settings import load
from secretsyncer.sync.authorize import ACCOUNT_ROLE
from secretsyncer.sync.render import references, templates
from secretsyncer.synced_secret import Find, SyncedSecretSpec, parse

OPERATOR = "operator"
"""Stands for the operator's own identity, where an object names no role."""
_READ = "secretsmanager:GetSecretValue"

_DESCRIPTION = """\
Prints, as JSON by role, the IAM policies that the SyncedSecrets of the files need: for the roles they name, and for
the operator itself.

  secretsyncer iam-policy -f manifests/samples --account 123456789012 --region eu-west-1
"""


def register(commands: Subcommands) -> None:
    command = commands.add_parser(
        "iam-policy",
        help="print the smallest IAM policy per role",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    manifests.add_files(command)
    command.add_argument(
        "--account", default="*", help="account of bare role names and of the operator (default: *)"
    )
    command.add_argument("--region", default="*", help="region of secrets that name none (default: *)")
    command.add_argument("--partition", default="aws", help="aws, aws-cn or aws-us-gov (default: aws)")
    command.set_defaults(action=_action)


def _action(chosen: argparse.Namespace) -> int:
    loaded = manifests.load_manifests(chosen.files)
    objects = manifests.synced_secrets(loaded.objects)
    with TemplateEngine(cache_dir=load(os.environ).cache_folder) as engine:
        documents, problems = policies(
            objects, engine, partition=chosen.partition, region=chosen.region, account=chosen.account
        )
    print(json.dumps(documents, indent=2))
    manifests.report([*loaded.problems, *problems])
    return int(not objects or bool(loaded.problems))


class Search(NamedTuple):
    """Secrets that are found: by name, and with all of these tags."""

    arn: str
    tag_keys: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass
class Needed:
    """What one role must be allowed to read."""

    arns: set[str] = field(default_factory=set)
    searches: set[Search] = field(default_factory=set)
    describes: bool = False


def policies(
    objects: list[dict[str, Any]], engine: TemplateEngine, *, partition: str, region: str, account: str
) -> tuple[dict[str, Any], list[str]]:
    """Policy documents by role, and what could not be foreseen. The operator's own may assume the roles."""
    needed: defaultdict[str, Needed] = defaultdict(Needed)
    problems: list[str] = []
    for obj in objects:
        try:
            spec = parse(obj).spec
        except Rejected as failure:
            problems.append(f"{key_of(obj)}: {failure.message}")
            continue
        role = _role(spec, partition, account)
        place = (partition, spec.region or region, role_account(role).id if role != OPERATOR else account)
        problems += [f"{key_of(obj)}: {problem}" for problem in _add(needed[role], spec, place, engine)]
    roles = sorted(role for role in needed if role != OPERATOR)
    documents = {role: _document(needed[role]) for role in roles}
    own = _document(needed[OPERATOR]) if OPERATOR in needed else {"Version": "2012-10-17", "Statement": []}
    listing = {"Effect": "Allow", "Action": "secretsmanager:ListSecrets", "Resource": "*"}
    assume = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles}] if roles else []
    return {OPERATOR: {**own, "Statement": [listing, *assume, *own["Statement"]]}, **documents}, problems


def _role(spec: SyncedSecretSpec, partition: str, account: str) -> str:
    if spec.aws_account_id:
        return f"arn:{partition}:iam::{spec.aws_account_id}:role/{ACCOUNT_ROLE}"
    if not spec.iam_role:
        return OPERATOR
    return (
        spec.iam_role
        if spec.iam_role.startswith("arn:")
        else f"arn:{partition}:iam::{account}:role/{spec.iam_role}"
    )


def _add(needed: Needed, spec: SyncedSecretSpec, place: tuple[str, str, str], engine: TemplateEngine) -> list[str]:
    """Note what the spec reads; what of it cannot be foreseen."""
    needed.describes |= bool(spec.aws_account_id)
    for reference in references(spec):
        needed.arns.add(_arn(reference.name, (place[0], reference.region or place[1], place[2])))
    if spec.data_from and spec.data_from.find:
        needed.searches.add(_find(spec.data_from.find, place))
    problems: list[str] = []
    for text in templates(spec):
        result: Rendered | Needs | TemplateFailure
        try:
            result = engine.render_sync(text, EngineCatalogue({}), {})
        except TemplateFailure as failure:
            result = failure
            problems.append(f"a template fails without its secrets ({failure}); its policy may lack some")
        needed.arns.update(_arn(name, place) for name in (result.required if isinstance(result, Needs) else ()))
        if isinstance(result, Needs):
            problems.append(
                "a template names secrets; those that it names later, from others, are not in the policy"
            )
        needed.searches.update(_filter(what, place) for what in result.filters)
    return problems


def _find(find: Find, place: tuple[str, str, str]) -> Search:
    arn = _arn((find.name and find.name.prefix) or "", place, suffix="*")
    return Search(arn, (find.tag_key,) if find.tag_key else (), tuple(sorted((find.tags or {}).items())))


def _filter(what: Filter, place: tuple[str, str, str]) -> Search:
    arn = _arn("", place, suffix="*")
    if what.kind == "tagKey":
        return Search(arn, (what.args[0],))
    return Search(arn, (), ((what.args[0], what.args[1]),)) if what.kind == "tag" else Search(arn)


def _arn(name: str, place: tuple[str, str, str], *, suffix: str = "-??????") -> str:
    if name.startswith("arn:"):
        return name if parse_secret_id(name).suffix else name + suffix
    partition, region, account = place
    return f"arn:{partition}:secretsmanager:{region}:{account}:secret:{name}{suffix}"


def _document(needed: Needed) -> dict[str, Any]:
    actions: Any = [_READ, "secretsmanager:DescribeSecret"] if needed.describes else _READ
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "secretsmanager:BatchGetSecretValue", "Resource": "*"}
    ]
    named = needed.arns | {search.arn for search in needed.searches if not search.tag_keys and not search.tags}
    if named:
        statements.append({"Effect": "Allow", "Action": actions, "Resource": sorted(named)})
    statements += [
        {"Effect": "Allow", "Action": actions, "Resource": search.arn, "Condition": condition}
        for search in sorted(needed.searches)
        if (condition := _condition(search))
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _condition(search: Search) -> dict[str, Any]:
    """All of it must hold, as in the search."""
    keys = {f"secretsmanager:ResourceTag/{key}": "false" for key in search.tag_keys}
    tags = {f"secretsmanager:ResourceTag/{key}": value for key, value in search.tags}
    return {**({"Null": keys} if keys else {}), **({"StringEquals": tags} if tags else {})}
