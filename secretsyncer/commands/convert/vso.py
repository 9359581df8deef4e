"""Objects of HashiCorp's Vault Secrets Operator. Their secrets are not in AWS: only their restarts have a counterpart."""

from __future__ import annotations

import json

from secretsyncer.commands.convert.draft import Draft
from secretsyncer.kube.objects import Object

GROUP = "secrets.hashicorp.com"


def convert(obj: Object) -> Draft | None:
    """A draft that says which restarts to ask for in the SyncedSecret that takes its place; None without restarts."""
    spec = obj.get("spec")
    asked = spec.get("rolloutRestartTargets") if isinstance(spec, dict) else None
    if not asked or not isinstance(asked, list):
        return None
    targets = [
        {"kind": str(target.get("kind")).removeprefix("argo."), "name": str(target.get("name"))}
        for target in asked
        if isinstance(target, dict)
    ]
    draft = Draft(obj)
    draft.refuse(
        "it reads Vault; when its secret is in AWS, give the SyncedSecret that takes its place spec.restart.targets "
        f"{json.dumps(targets)} in place of rolloutRestartTargets, and the operator the permissions "
        "(docs/restarts.md)"
    )
    return draft
