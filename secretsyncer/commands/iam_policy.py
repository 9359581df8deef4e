"""`secretsyncer iam-policy`: the smallest IAM policy per role that SyncedSecrets need.

To find out what a template reads, the command renders it without any secret, and notes the filters that it calls and
the names that it asks for. If a template computes names from values, the command cannot know them, and reports this.

Rules: BatchGetSecretValue has no resource of its own, and needs GetSecretValue on each secret (AWS, API reference
of BatchGetSecretValue). A secret's ARN ends in six random characters, written as `??????`
(AWS, "Permissions policy examples for Secrets Manager").
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from secretsyncer.aws.arn import Account, complete_role, role_account
from secretsyncer.aws.identity import Identity
from secretsyncer.aws.regions import REGIONS, Regions
from secretsyncer.aws.services import PARAMETER_STORE
from secretsyncer.aws.services.secretsmanager import looks_random, parse_secret_id
from secretsyncer.commands import Subcommands, add_command, iam_parameters, manifests
from secretsyncer.commands.iam_needs import Needed, Place, Search
from secretsyncer.errors import Rejected
from secretsyncer.gotemplate.engine import EngineCatalogue, Filter, Needs, Rendered, TemplateEngine, TemplateFailure
from secretsyncer.kube.objects import Object, key_of
from secretsyncer.settings import REGION, load
from secretsyncer.sync.authorize import Grant, account_role
from secretsyncer.sync.fetch import ref_of
from secretsyncer.sync.render import finds, references, templates
from secretsyncer.sync.template_ids import filter_of, is_path, ref_for
from secretsyncer.synced_secret import Find, SecretReference, SyncedSecretSpec, ValueReference, parse

OPERATOR = "operator"
"""The operator's own identity, for objects without a role."""
_READ = "secretsmanager:GetSecretValue"
_READS = re.compile("getSecret|getParameter|Secrets")
"""A template without this reads nothing from AWS itself."""
_SUFFIX = "-??????"
_STAND_IN = "0" * 12

_DESCRIPTION = """\
Prints the IAM policies that the SyncedSecrets in these files need: one for each role, and one for the operator itself.
The output is a JSON object; its keys are the roles.

  secretsyncer iam-policy -f manifests/samples --account 123456789012 --region eu-west-1
"""


def register(commands: Subcommands) -> None:
    command = add_command(
        commands,
        "iam-policy",
        _action,
        summary="print the smallest IAM policy for each role",
        description=_DESCRIPTION,
    )
    manifests.add_files(command)
    command.add_argument(
        "--account",
        type=_account,
        default="*",
        help="account of the operator and of roles without an ARN (default: *)",
    )
    command.add_argument(
        "--region",
        type=_region,
        default="*",
        help="region of the secrets, if the object does not set one (default: *)",
    )
    command.add_argument(
        "--kms-key",
        type=_kms_key,
        action="append",
        default=[],
        metavar="ARN",
        help="KMS key that parameters are encrypted with; may be repeated. The key aws/ssm needs no permission",
    )
    command.add_argument(
        "--partition",
        type=_partition,
        default="aws",
        help="aws, aws-cn or aws-us-gov (default: aws)",
    )


def _action(chosen: argparse.Namespace) -> int:
    loaded = manifests.load_manifests(chosen.files)
    objects = manifests.synced_secrets(loaded.objects)
    settings = load(os.environ)
    with TemplateEngine(cache_dir=settings.cache_folder) as engine:
        found = policies(
            objects,
            engine,
            partition=chosen.partition,
            region=chosen.region,
            account=chosen.account,
            regions=Regions(settings.extra_regions),
            keys=chosen.kms_key,
        )
    print(json.dumps(found.documents, indent=2))
    manifests.report([*loaded.problems, *found.failures, *found.notes])
    return int(not objects or bool(loaded.problems or found.failures))


def _account(text: str) -> str:
    if text != "*" and not re.fullmatch(r"\d{12}", text, re.ASCII):
        raise argparse.ArgumentTypeError("must be the 12 digits of an AWS account, or *")
    return text


def _region(text: str) -> str:
    if text != "*" and not REGION.fullmatch(text):
        raise argparse.ArgumentTypeError("must be the name of an AWS region, like eu-west-1, or *")
    return text


def _partition(text: str) -> str:
    if text not in {"aws", "aws-cn", "aws-us-gov"}:
        raise argparse.ArgumentTypeError("must be aws, aws-cn or aws-us-gov")
    return text


def _kms_key(text: str) -> str:
    if not re.fullmatch(r"arn:[\w-]+:kms:[\w*-]+:[\d*]+:key/\S+", text, re.ASCII):
        raise argparse.ArgumentTypeError(
            "must be the ARN of the key itself, and not of an alias: arn:aws:kms:<region>:<account>:key/<id>"
        )
    return text


class Policies(NamedTuple):
    """Documents by role, a line for each object without a policy, and a note for each that may be incomplete."""

    documents: dict[str, Any]
    failures: list[str]
    notes: list[str]


def policies(
    objects: list[Object],
    engine: TemplateEngine,
    *,
    partition: str,
    region: str,
    account: str,
    regions: Regions = REGIONS,
    keys: Sequence[str] = (),
) -> Policies:
    """Policy documents by role. The operator's own may assume the roles. `keys`: what parameters are encrypted with."""
    needed: defaultdict[str, Needed] = defaultdict(Needed)
    failures: list[str] = []
    notes: list[str] = []
    for obj in objects:
        try:
            spec = parse(obj).spec
        except Rejected as failure:
            failures.append(f"{key_of(obj)}: {failure.message}")
            continue
        try:
            role = _role(spec, partition, account)
        except ValueError as exc:
            failures.append(f"{key_of(obj)}: spec.IAMRole: {exc}")
            continue
        home = role_account(role) if role != OPERATOR else Account(partition, account)
        place = Place(home.partition, spec.region or region, home.id)
        try:
            more, unforeseen = _needed(spec, place, engine, regions)
        except ValueError as exc:
            failures.append(f"{key_of(obj)}: {exc}")
            continue
        needed[role].add(more)
        notes += [f"{key_of(obj)}: {note}" for note in unforeseen]
    roles = sorted(role for role in needed if role != OPERATOR)
    documents = {role: _document(needed[role], keys) for role in roles}
    own = _document(needed[OPERATOR], keys) if OPERATOR in needed else {"Version": "2012-10-17", "Statement": []}
    listing = [
        {"Effect": "Allow", "Action": "secretsmanager:ListSecrets", "Resource": "*"},
        *([iam_parameters.LISTING] if any(one.parameters for one in needed.values()) else []),
    ]
    assume = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles}] if roles else []
    documents = {OPERATOR: {**own, "Statement": [*listing, *assume, *own["Statement"]]}, **documents}
    return Policies(documents, failures, notes)


def _role(spec: SyncedSecretSpec, partition: str, account: str) -> str:
    """The role's ARN, by the operator's own rules. Raises ValueError if the spec has an invalid role."""
    if spec.aws_account_id:
        return account_role(Account(partition, spec.aws_account_id))
    if not spec.iam_role:
        return OPERATOR
    role = complete_role(spec.iam_role, Account(partition, _STAND_IN))  # `account` may be *, which is none
    return role if spec.iam_role.startswith("arn:") else role.replace(_STAND_IN, account)


def _needed(
    spec: SyncedSecretSpec, place: Place, engine: TemplateEngine, regions: Regions
) -> tuple[Needed, list[str]]:
    """What the spec reads, and notes about what is not known. Raises ValueError for an invalid name."""
    needed = Needed(describes=bool(spec.aws_account_id))
    grant = Grant(Identity(""), region=spec.region or "")
    for reference in references(spec):
        ref = ref_of(grant, reference)
        if not isinstance(reference, SecretReference):
            needed.parameters.add(place.at(regions.of(ref)).parameter(ref.id))
            continue
        absent = reference.optional or (isinstance(reference, ValueReference) and reference.default is not None)
        needed.arns |= _arns(reference.name, place.at(regions.of(ref)), may_be_absent=absent)
    for search in finds(spec):
        if isinstance(search, Find):
            needed.searches.add(_find(search, place))
        else:
            needed.parameters.add(place.parameter(f"{search.folder}*"))
    problems: list[str] = []
    data = {item.name: b"" for item in spec.items}
    for text in templates(spec):
        result: Rendered | Needs | TemplateFailure
        try:
            result = engine.render_sync(text, EngineCatalogue({}), {}, data)
        except TemplateFailure as failure:
            result = failure
            if _READS.search(text):
                problems.append(
                    f"a template fails without its secrets ({failure}), so its policy may be incomplete"
                )
        if isinstance(result, Needs):
            needed.add(_requested(result, grant, place, regions))
            problems.append(
                "the policy has the secrets that a template names, but not names that it computes from their values"
            )
        needed.searches.update(_filter(what, place) for what in result.filters)
    return needed, problems


def _requested(result: Needs, grant: Grant, place: Place, regions: Regions) -> Needed:
    """What a template asks for. The hints are what it names besides: without a catalogue, nothing else is one."""
    needed = Needed()
    for id_ in (*result.required, *result.hints):
        ref = ref_for(grant, id_)
        if is_path(id_):
            needed.parameters.add(place.parameter(f"{filter_of(id_).args[0]}*"))
        elif ref.service == PARAMETER_STORE.name:
            needed.parameters.add(place.at(regions.of(ref)).parameter(ref.id))
        else:
            needed.arns |= _arns(id_, place.at(regions.of(ref)))
    return needed


def _find(find: Find, place: Place) -> Search:
    arn = place.arn((find.name and find.name.prefix) or "", "*")
    return Search(arn, (find.tag_key,) if find.tag_key else (), tuple(sorted((find.tags or {}).items())))


def _filter(what: Filter, place: Place) -> Search:
    arn = place.arn("", "*")
    if what.kind == "tagKey":
        return Search(arn, (what.args[0],))
    return Search(arn, (), ((what.args[0], what.args[1]),)) if what.kind == "tag" else Search(arn)


def _arns(name: str, place: Place, *, may_be_absent: bool = False) -> set[str]:
    """The resources that a reference to this name or ARN may read. Raises ValueError if it is neither.

    The end of an ARN may be the random suffix, or part of the name. A secret that does not exist has no suffix: if a role
    may not read the ARN without suffix, AWS denies access instead of saying that there is no such secret.
    """
    bare = name if name.startswith("arn:") else place.arn(name)
    suffix = parse_secret_id(name).suffix
    if suffix and looks_random(suffix):
        return {bare}
    return {bare + _SUFFIX, bare} if suffix or may_be_absent else {bare + _SUFFIX}


def _document(needed: Needed, keys: Sequence[str]) -> dict[str, Any]:
    actions: Any = [_READ, "secretsmanager:DescribeSecret"] if needed.describes else _READ
    statements: list[dict[str, Any]] = []
    if needed.arns or needed.searches or not needed.parameters:
        statements.append({"Effect": "Allow", "Action": "secretsmanager:BatchGetSecretValue", "Resource": "*"})
    named = needed.arns | {search.arn for search in needed.searches if not search.tag_keys and not search.tags}
    if named:
        statements.append({"Effect": "Allow", "Action": actions, "Resource": sorted(named)})
    statements += [
        {"Effect": "Allow", "Action": actions, "Resource": search.arn, "Condition": condition}
        for search in sorted(needed.searches)
        if (condition := _condition(search))
    ]
    statements += iam_parameters.statements(needed.parameters, keys, describes=needed.describes)
    return {"Version": "2012-10-17", "Statement": statements}


def _condition(search: Search) -> dict[str, Any]:
    """All conditions must hold, as in the search."""
    keys = {f"secretsmanager:ResourceTag/{key}": "false" for key in search.tag_keys}
    tags = {f"secretsmanager:ResourceTag/{key}": value for key, value in search.tags}
    return {**({"Null": keys} if keys else {}), **({"StringEquals": tags} if tags else {})}
