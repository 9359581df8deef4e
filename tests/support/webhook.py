"""A mutating admission webhook for Secrets: it adds what a test wants, in the namespaces with a label."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from tests.support.certificates import Authority

Patch = list[dict[str, Any]]


class MutatingWebhook:
    """`async with MutatingWebhook(folder, change) as made:`; `change` takes a Secret and gives a JSON patch.

    `configuration(label)` is the object that makes the API server call it for Secrets in namespaces with that label.
    """

    def __init__(self, folder: Path, change: Callable[[dict[str, Any]], Patch]) -> None:
        self._authority = Authority()
        self._change = change
        certificate, key = self._authority.issue("webhook")
        (folder / "webhook.pem").write_bytes(certificate + key)
        self._trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._trust.load_cert_chain(folder / "webhook.pem")

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._trust).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def configuration(self, label: str) -> dict[str, Any]:
        port = self._runner.addresses[0][1]
        bundle = base64.b64encode(self._authority.pem).decode()
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["secrets"],
        }
        webhook = {
            "name": f"{label}.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": bundle},
            "rules": [rule],
            "namespaceSelector": {"matchLabels": {"mutated": label}},
        }
        kind = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
        }
        return {**kind, "metadata": {"name": label}, "webhooks": [webhook]}

    async def _answer(self, request: web.Request) -> web.Response:
        asked = (await request.json())["request"]
        patch = base64.b64encode(json.dumps(self._change(asked["object"])).encode()).decode()
        response = {"uid": asked["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        return web.json_response(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        )
