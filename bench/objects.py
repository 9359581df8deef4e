"""The objects of the benchmarks: SyncedSecrets that read one AWS secret of 1 KiB each.

The bodies of the plain writes have the form and size of the operator's.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from sandbox.kubernetes_client import Object

LABEL = {"secrets.contentful.com/managed": "true"}
FILLING = "x" * 940
"""Makes a value about 1 KiB."""


def value(number: int, revision: int = 0) -> str:
    """The AWS secret's text: a JSON object of three keys."""
    fields = {"user": f"user-{number}", "password": f"password-{number}-{revision}", "filling": FILLING}
    return json.dumps(fields)


def name_of(number: int) -> str:
    """The name of the n-th AWS secret."""
    return f"bench/service-{number:05d}"


def synced(namespace: str, number: int, *, prefix: str = "object", **more: Any) -> Object:
    """A SyncedSecret of the n-th AWS secret, with more in its spec."""
    spec: Object = {"dataFrom": {"secretRef": {"name": name_of(number)}}, **more}
    return {
        "apiVersion": "secrets.contentful.com/v1",
        "kind": "SyncedSecret",
        "metadata": {"namespace": namespace, "name": f"{prefix}-{number:05d}"},
        "spec": spec,
    }


def secret(namespace: str, name: str) -> Object:
    """A Secret like those that the operator creates, but without its label."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app.kubernetes.io/managed-by": "bench"}},
        "type": "Opaque",
        "data": data(name),
    }


def data(name: str, revision: str = "") -> dict[str, str]:
    texts = {"user": name, "password": f"password-{name}-{revision}", "filling": FILLING}
    return {key: b64encode(text.encode()).decode() for key, text in texts.items()}


def status(name: str, revision: str = "") -> Object:
    """A status patch like the operator's."""
    version = f"00000000-0000-0000-0000-{revision:>012}"
    arn = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}-abcdef"
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Synced",
        "message": "3 keys from 1 AWS secret",
        "observedGeneration": 1,
        "lastTransitionTime": "2024-01-01T00:00:00Z",
    }
    return {
        "status": {
            "observedGeneration": 1,
            "currentVersionID": version,
            "generatedSecretHash": "0123456789abcdef0123456789abcdef",
            "sources": [{"name": name, "arn": arn, "versionID": version}],
            "conditions": [condition],
            "lastSyncTime": "2024-01-01T00:00:00Z",
        }
    }
