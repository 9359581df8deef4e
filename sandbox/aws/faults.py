"""What goes wrong with calls of the stand-in.

Kinds: `throttle`, `500`, `503`, `502html`, `html`, `reset`, `hang`, `hold`, `slow`, `truncated`, `cut`, `no-list`,
`empty-list`, `half-list`, `odd-list`, `odd-fields`, `token-loop`, `endless`, `expired`, `denied`, `code:<AWS error code>`,
and `body:<text>`. What is held is answered once the fault is removed; what hangs, never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

CODES = {
    "throttle": ("ThrottlingException", 400),
    "500": ("InternalServiceError", 500),
    "503": ("ServiceUnavailable", 503),
    "expired": ("ExpiredTokenException", 400),
    "denied": ("AccessDeniedException", 400),
}


_LISTS = ("SecretList", "Parameters")
"""Fields of a listing."""


@dataclass
class Fault:
    """A failure of calls of this operation and role (None: any), a number of times."""

    kind: str
    operation: str | None = None
    role: str | None = None
    times: float = float("inf")
    delay: float = 10.0
    skip: int = 0
    """The number of calls that succeed before it starts."""

    def applies(self, operation: str, role: str) -> bool:
        if self.times <= 0 or self.operation not in {None, operation} or self.role not in {None, role}:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


def change_content(kind: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Apply a fault to the content of an answer."""
    if kind == "no-list":
        return {}
    if kind == "token-loop":
        return answer | {"NextToken": "MA=="}
    if kind == "empty-list":
        return {field: [] for field in _LISTS if field in answer}
    if kind == "half-list":
        return answer | {field: answer[field][::2] for field in _LISTS if field in answer}
    if kind == "odd-list":
        odd: list[Any] = [None, 1, "secret", {"Name": 1, "ARN": None, "Tags": {}}]
        return answer | {field: odd for field in _LISTS if field in answer}
    if kind == "odd-fields":
        return {field: [value] if isinstance(value, str) else str(value) for field, value in answer.items()}
    return answer


async def send_broken(kind: str, request: web.Request, response: web.Response) -> web.StreamResponse:
    """Apply a fault to the transmission of an answer."""
    body = response.body if isinstance(response.body, bytes) else b""
    if kind.startswith("body:"):
        return web.Response(text=kind.removeprefix("body:"), content_type=response.content_type)
    if kind == "truncated":
        return web.Response(body=body[: len(body) // 2], content_type=response.content_type)
    if kind == "cut":
        stream = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await stream.prepare(request)
        await stream.write(body[: len(body) // 2])
        if request.transport:
            request.transport.close()
        return stream
    return response
