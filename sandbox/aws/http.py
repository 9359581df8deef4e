"""A stand-in for AWS over HTTP: the wire protocols of Secrets Manager, Parameter Store, STS and SQS on top of `model.World`.

For tests that need what moto does not enforce, and for benchmarks, where moto is the bottleneck. In this process:

    async with FakeAws() as aws:            # aws.url is its endpoint
        aws.world.create("app/config", "{}")
        aws.fault("throttle", operation="GetSecretValue", times=3)
        ...
        assert aws.calls["GetSecretValue", role] == 1

As a process of its own: `python -m sandbox.aws.http --port 8123 --latency 0.02 --open` prints one line of JSON with
its URL, and is controlled by requests to `/_fake/` (see `_admin`).

Signatures are not checked, only the access key and the session token that they contain.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import uuid
from collections import Counter
from typing import Any, Self
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from aiohttp import web

from sandbox.aws.faults import CODES, Fault, change_content, send_broken
from sandbox.aws.model import World
from sandbox.aws.state import OPERATOR_ACCOUNT, REGION, Refused

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/")
_HTML = "<html><body><h1>Sign in to the guest network</h1></body></html>"
_STS = {"AssumeRole", "GetCallerIdentity"}
_LOOK_EVERY = 0.01  # seconds


class FakeAws:
    """The stand-in. `async with` serves it on loopback."""

    def __init__(self, world: World | None = None, *, latency: float = 0.0, port: int = 0) -> None:
        self.world = world or World()
        self.latency = latency
        self.calls: Counter[tuple[str, str]] = Counter()
        """Calls by (operation, role ARN; empty: the operator)."""

        self.batches: list[int] = []
        """Sizes of the requested batches."""

        self.faults: list[Fault] = []
        self.url = ""
        self._port = port
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/", self._serve)
        app.router.add_route("*", "/_fake/{what}", self._admin)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        if self._runner:
            await self._runner.cleanup()

    def fault(self, kind: str, operation: str | None = None, role: str | None = None, **more: Any) -> Fault:
        """Fail from now on. Remove the returned fault from `faults` to end it."""
        fault = Fault(kind, operation, role, **more)
        self.faults.append(fault)
        return fault

    def count(self, operation: str) -> int:
        """Calls of that operation by all callers."""
        return sum(number for (name, _), number in self.calls.items() if name == operation)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        operation, params = _parse(request, body)
        service_sts = operation in _STS
        match = _CREDENTIAL.search(request.headers.get("Authorization", ""))
        access_key, region = match.groups() if match else ("", REGION)
        session = self.world.sessions.get(access_key)
        role = session.principal.role if session else ""
        self.calls[operation, role] += 1
        if operation == "BatchGetSecretValue":
            self.batches.append(len(params.get("SecretIdList", ())))
        if self.latency:
            await asyncio.sleep(self.latency)
        # A fault of AssumeRole names the role that is to be assumed.
        about = params.get("RoleArn", "") if operation == "AssumeRole" else role
        struck = next((fault for fault in self.faults if fault.applies(operation, about)), None)
        try:
            if struck and (spoilt := await self._fail(struck, request)):
                return spoilt
            who = self.world.authenticate(access_key, request.headers.get("X-Amz-Security-Token", ""))
            answer = self.world.perform(who, region, operation, params)
        except Refused as refusal:
            return _refusal(refusal, sts=service_sts)
        if struck:
            answer = change_content(struck.kind, answer)
        response = _answer(operation, answer, sts=service_sts)
        return await send_broken(struck.kind, request, response) if struck else response

    async def _fail(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        """Apply a fault that replaces the answer."""
        kind = fault.kind
        if kind in CODES or kind.startswith("code:"):
            code, status = CODES.get(kind, (kind.removeprefix("code:"), 400))
            raise Refused(code, "Rate exceeded" if kind == "throttle" else "on demand", status)
        if kind in {"html", "502html"}:
            return web.Response(status=200 if kind == "html" else 502, text=_HTML, content_type="text/html")
        if kind == "endless":
            nothing: dict[str, Any] = {"SecretList": [], "Parameters": []}
            return _answer("ListSecrets", nothing | {"NextToken": uuid.uuid4().hex}, sts=False)
        if kind == "reset":
            if request.transport:
                request.transport.abort()
            return web.Response()
        while kind == "hold" and fault in self.faults and not self._stopping.is_set():
            await asyncio.sleep(_LOOK_EVERY)
        if kind in {"hang", "slow"}:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.delay if kind == "slow" else None):
                    await self._stopping.wait()
        return None

    async def _admin(self, request: web.Request) -> web.Response:
        """Control from another process.

        GET calls; DELETE calls; DELETE faults; POST faults {Fault's fields}; POST latency {"seconds"};
        POST roles {"name", rules...}; POST seed {"count", "prefix", "value", "account", "region", "tags",
        "start", "service"}; POST put {"name", "value"}; POST quota {"per_second"};
        POST rotate {"count", "prefix", "value", "start"}.
        """
        what = request.match_info["what"]
        data = await request.json() if request.method == "POST" else {}
        if what == "calls" and request.method == "DELETE":
            self.calls.clear()
            self.batches.clear()
        elif what == "faults" and request.method == "DELETE":
            self.faults.clear()
        elif what == "faults":
            self.fault(**data)
        elif what == "quota":
            self.world.parameters.quota = float(data["per_second"])
        elif what == "latency":
            self.latency = float(data["seconds"])
        elif what == "roles":
            return web.json_response({"arn": self.world.role(**data)})
        elif what == "put":
            return web.json_response({"version": self.world.put(**data)})
        elif what in {"seed", "rotate"}:
            self._seed(what, data)
        calls = [{"operation": name, "role": role, "count": number} for (name, role), number in self.calls.items()]
        return web.json_response({"calls": calls, "batches": self.batches})

    def _seed(self, what: str, data: dict[str, Any]) -> None:
        where = {"account": data.get("account", OPERATOR_ACCOUNT), "region": data.get("region", REGION)}
        start = int(data.get("start", 0))
        for number in range(start, start + int(data["count"])):
            name = f"{data['prefix']}{number}"
            value = data["value"].replace("{n}", str(number))
            if data.get("service") == "ParameterStore":
                self.world.parameters.put(name, value, tags=data.get("tags"), **where)
            elif what == "seed":
                self.world.create(name, value, tags=data.get("tags"), **where)
            else:
                self.world.put(name, value, **where)


_STS_CODES = {
    "ThrottlingException": "Throttling",
    "ExpiredTokenException": "ExpiredToken",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "AccessDeniedException": "AccessDenied",
    "InternalServiceError": "InternalFailure",
}


def _parse(request: web.Request, body: bytes) -> tuple[str, dict[str, Any]]:
    target = request.headers.get("X-Amz-Target", "")
    if target:
        return target.rpartition(".")[2], json.loads(body or b"{}")
    form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
    return form.pop("Action", ""), form


def _refusal(refusal: Refused, *, sts: bool) -> web.Response:
    request_id = str(uuid.uuid4())
    if not sts:
        return web.json_response(
            {"__type": refusal.code, "Message": refusal.sentence},
            status=refusal.status,
            headers={"x-amzn-RequestId": request_id},
            content_type="application/x-amz-json-1.1",
        )
    code = _STS_CODES.get(refusal.code, refusal.code)
    status = 403 if code in {"AccessDenied", "ExpiredToken", "InvalidClientTokenId"} else refusal.status
    text = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{escape(refusal.sentence)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return web.Response(status=status, text=text, content_type="text/xml")


def _answer(operation: str, answer: dict[str, Any], *, sts: bool) -> web.Response:
    request_id = str(uuid.uuid4())
    if not sts:
        return web.json_response(
            answer, headers={"x-amzn-RequestId": request_id}, content_type="application/x-amz-json-1.1"
        )
    text = (
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{operation}Result>'
        f"{_xml(answer)}</{operation}Result>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return web.Response(text=text, content_type="text/xml")


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{key}>{_xml(part)}</{key}>" for key, part in value.items())
    return escape(str(value))


async def _main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for AWS Secrets Manager, Parameter Store and STS.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to every call")
    parser.add_argument("--open", action="store_true", help="any role may be assumed and reads its account")
    options = parser.parse_args()
    world = World(open_doors=options.open)
    async with FakeAws(world, latency=options.latency, port=options.port) as aws:
        print(json.dumps({"url": aws.url, "region": REGION}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
