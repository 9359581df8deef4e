"""SecretStores of External Secrets Operator: role, region and external id, and what cannot be said of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from secretsyncer.commands.convert import parameters
from secretsyncer.commands.convert.draft import Draft
from secretsyncer.kube.objects import Object

_ROLE_OF_ACCOUNT = "eks.amazonaws.com/role-arn"


class Home(NamedTuple):
    """Where the operator runs, as far as known: it finds AWS secrets there only."""

    account: str = ""
    region: str = ""


class Around:
    """The other objects of the files: stores, service accounts and config maps."""

    def __init__(self, objects: Iterable[Object], home: Home = Home()) -> None:  # noqa: B008 - a constant
        self._objects = {_key(obj): obj for obj in objects}
        self.home = home

    def get(self, kind: str, namespace: str, name: Any) -> Object | None:
        found = self._objects.get((kind, namespace, str(name)))
        return found or self._objects.get((kind, "", str(name)))


def store_of(draft: Draft, ref: Object, around: Around) -> Object | None:
    """The AWS part of a store that a `secretStoreRef` names; None, with an obstacle, if there is none."""
    if not ref.get("name"):
        draft.refuse(
            "spec.secretStoreRef names no store, which has role and region: add the store that all keys use"
        )
        return None
    kind = ref.get("kind") or "SecretStore"
    store = around.get(kind, draft.namespace if kind == "SecretStore" else "", ref.get("name"))
    if store is None:
        draft.refuse(f"{kind} {ref.get('name')}, which names role and region, is not among the files")
        return None
    spec = store.get("spec") or {}
    aws = _aws(store)
    known = {"SecretsManager", parameters.SERVICE}
    if (spec.get("provider") or {}).get("aws") is None or aws.get("service", "SecretsManager") not in known:
        draft.refuse(f"{kind} {ref['name']} is not one of AWS Secrets Manager or Parameter Store")
        return None
    _usable(draft, f"{kind} {ref['name']}", spec)
    return aws


def _usable(draft: Draft, label: str, spec: Object) -> None:
    """Whether the original lets the object use the store."""
    if spec.get("controller"):
        draft.note(
            f"{label}: only an External Secrets Operator with --controller-class={spec['controller']} uses it"
        )
    conditions = spec.get("conditions") or []
    if not conditions or any(draft.namespace in (each.get("namespaces") or []) for each in conditions):
        return
    if any(each.get("namespaceSelector") or each.get("namespaceRegexes") for each in conditions):
        draft.note(
            f"{label}: its conditions for namespaces are left out; here, the annotation of a namespace lists the roles "
            "that its objects may use"
        )
    else:
        draft.refuse(f"{label}: its conditions do not let the namespace {draft.namespace} use it")


def apply(draft: Draft, aws: Object, around: Around) -> None:
    """Role, region and external id of the object."""
    # Tags of a session are only sent by `customSessionTags`; what is left configures writing to AWS.
    known = {"service", "region", "role", "externalID", "auth", "prefix", "secretsManager", "sessionTagsPolicy"}
    draft.leftovers("store.aws", aws, known)
    if aws.get("sessionTagsPolicy") not in {None, "None", ""}:
        draft.refuse(f"store.aws.sessionTagsPolicy {aws['sessionTagsPolicy']} has no counterpart")
    for field, name in (("role", "IAMRole"), ("region", "region"), ("externalID", "externalId")):
        if aws.get(field):
            draft.spec[name] = aws[field]
    auth = aws.get("auth") or {}
    account = (auth.get("jwt") or {}).get("serviceAccountRef") or {}
    if account:
        _service_account(draft, account, around)
    elif auth.get("secretRef"):
        if not aws.get("role"):
            draft.refuse("store.aws.auth.secretRef: the operator uses its own credentials, or assumes IAMRole")
        draft.note("store.aws.auth.secretRef is left out: the operator itself assumes the role")


def _service_account(draft: Draft, account: Object, around: Around) -> None:
    namespace = account.get("namespace") or draft.namespace
    found = around.get("ServiceAccount", namespace, account.get("name"))
    role = ((found or {}).get("metadata", {}).get("annotations") or {}).get(_ROLE_OF_ACCOUNT)
    if "IAMRole" not in draft.spec:
        if not role:
            draft.refuse(
                f"store.aws.auth: ServiceAccount {account.get('name')} with the annotation {_ROLE_OF_ACCOUNT} is not "
                "among the files"
            )
            return
        draft.spec["IAMRole"] = role
    draft.note(f"store.aws.auth is left out: the operator itself assumes the role {draft.spec['IAMRole']}")


def check_search(draft: Draft, where: str, aws: Object, around: Around) -> None:
    """The operator finds AWS secrets and parameters in its own account and region only."""
    home = around.home
    for place, wanted, own in (
        ("account", _account(aws), home.account),
        ("region", aws.get("region"), home.region),
    ):
        if wanted and not own:
            draft.refuse(
                f"{where}: find lists the operator's own {place}, and the store names {wanted}: convert with --{place}, "
                "and the operator's, to see whether they are the same"
            )
        elif wanted and wanted != own:
            draft.refuse(f"{where}: find lists {place} {own}, where the operator is, and the store names {wanted}")
    if aws.get("prefix"):
        draft.refuse(f"{where}: find with the prefix of a store has no counterpart")
    draft.note(
        f"{where}: while find matches nothing and there is no other key, the object is not ready, and its Secret stays"
    )


def searches(objects: Iterable[Object]) -> bool:
    """Whether any of these objects finds AWS secrets."""
    specs = [obj.get("spec") for obj in objects if obj.get("kind") == "ExternalSecret"]
    entries = [entry for spec in specs if isinstance(spec, dict) for entry in spec.get("dataFrom") or []]
    return any(isinstance(entry, dict) and entry.get("find") for entry in entries)


def _aws(store: Object) -> Object:
    return ((store.get("spec") or {}).get("provider") or {}).get("aws") or {}


def _account(aws: Object) -> str:
    parts = str(aws.get("role") or "").split(":")
    return parts[4] if len(parts) > 5 else ""


def _key(obj: Object) -> tuple[str, str, str]:
    kind = str(obj.get("kind"))
    namespace = "" if kind == "ClusterSecretStore" else obj["metadata"].get("namespace") or ""
    return kind, namespace, obj["metadata"]["name"]
