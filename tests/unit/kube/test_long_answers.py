"""Answers that do not end: reading stops at a bound, whatever was asked."""

from __future__ import annotations

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube import transport
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.resources import SECRETS
from secretsyncer.kube.transport import Transport

MIB = 1 << 20
LONGEST = 100 * MIB


class Endless:
    """A response with a body of 100 MiB. `sent` counts what was read of it."""

    headers = {}  # noqa: RUF012 - never mutated

    def __init__(self, status=200):
        self.status = status
        self.sent = 0
        self.content = self

    def close(self):
        pass

    async def readany(self):
        if self.sent >= LONGEST:
            return b""
        self.sent += MIB
        return b" " * MIB

    async def read(self):
        return b"".join([await self.readany() for _ in range(LONGEST // MIB)])


@pytest.fixture
def client(monkeypatch):
    """A client whose server gives this answer."""

    def make(response):
        async def send(*_):
            return response

        monkeypatch.setattr(Transport, "__init__", lambda self: None)
        monkeypatch.setattr(Transport, "_send", send)
        made = KubeClient.__new__(KubeClient)
        made._transport = transport.Transport()
        return made

    return make


@pytest.mark.parametrize(("limit", "most"), [(500, 4 * MIB), (1, 12 * MIB), (0, 12 * MIB)])
async def test_no_list_is_read_for_ever(client, limit, most):
    response = Endless()
    with pytest.raises(KubeError) as failed:
        await client(response).list(SECRETS, limit=limit)
    assert failed.value.reason == "AnswerTooLarge"
    assert response.sent <= most + MIB


async def test_no_refusal_of_a_watch_is_read_for_ever(client):
    response = Endless(status=500)
    with pytest.raises(KubeError) as failed:
        async with client(response).watch(SECRETS, resource_version="1", timeout_seconds=1, inactivity=1):
            pass
    assert failed.value.reason == "AnswerTooLarge"
    assert response.sent <= 4 * MIB
