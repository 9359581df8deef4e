"""The bounds of the HTTP port: whatever clients do, a probe is answered and memory stays small."""

from __future__ import annotations

import asyncio
import threading

import pytest

from secretsyncer.operator import connections, http_server
from secretsyncer.operator.status_page.view import View
from tests.support.eventually import LIMIT, eventually
from tests.support.http import Checks, closed, connect, kernel_buffers
from tests.support.pages import Pages

HEALTHZ = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_request_has_to_arrive_in_time(serve, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_TIME", 0.5)
    ask = await serve(health=Checks(a=None))
    reader, writer = await connect(ask.port, "GET /healthz HTTP/1.1\r\nHost: a\r\n")
    silent, other = await connect(ask.port)
    end = asyncio.create_task(closed(reader))
    while not end.done():
        writer.write(b"X: y\r\n")  # less than the headers' limit until the end of the test's patience
        await asyncio.wait([end], timeout=0.2)
    await end
    await closed(silent)
    writer.close()
    other.close()
    monkeypatch.setattr(connections, "REQUEST_TIME", 60)
    assert (await ask("/healthz"))[0] == 200


async def test_a_body_has_to_arrive_in_time(serve, monkeypatch):
    monkeypatch.setattr(connections, "LIFETIME", 0.5)
    ask = await serve()
    reader, writer = await connect(ask.port, "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    await closed(reader)
    writer.close()


async def test_a_client_that_does_not_read_is_cut_off_while_others_are_served(serve, monkeypatch):
    monkeypatch.setattr(connections, "LIFETIME", 3)
    ask = await serve(page=Pages(lambda: b"x" * 50_000_000), health=Checks(a=None))
    reader, writer = await connect(ask.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", limit=1024)
    await reader.read(1)  # the answer is under way; nobody takes the rest for longer than it has
    (answering,) = server_transports(ask.port)

    async def cut_off():
        assert (await ask("/healthz"))[0] == 200
        assert answering.is_closing()

    await eventually(cut_off)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(50_000_000)
    writer.close()


async def test_when_there_are_too_many_connections_the_oldest_ends(serve, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS", 3)
    ask = await serve(health=Checks(a=None))
    opened = [await connect(ask.port) for _ in range(4)]
    await closed(opened[0][0])
    for _ in range(20):
        assert (await ask("/healthz"))[0] == 200
    for reader, _ in opened:
        await closed(reader)
    for _, writer in opened:
        writer.close()


async def test_the_client_address_with_the_most_connections_gives_way(serve, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS", 4)
    monkeypatch.setattr(connections, "REQUEST_TIME", 60)
    ask = await serve(health=Checks(a=None))
    single, writer = await connect(ask.port, local_addr=("127.0.0.2", 0))
    many = [await connect(ask.port) for _ in range(10)]
    for reader, _ in many[:7]:
        await closed(reader)
    writer.write(HEALTHZ.encode())
    async with asyncio.timeout(LIMIT):
        assert (await single.read()).endswith(b"ok\n")
    for one in [writer, *(writer for _, writer in many)]:
        one.close()


async def test_more_than_a_request_is_not_read_before_it_is_answered(serve, monkeypatch):
    monkeypatch.setattr(connections, "LIFETIME", 60)
    monkeypatch.setattr(connections, "REQUEST_TIME", 60)
    ask = await serve(health=Checks(a=None))
    _, writer = await connect(ask.port, "GET /healthz HTTP/1.1\r\nHost: a\r\n")
    headers = [f"X{number}: {'x' * 8000}\r\n".encode() for number in range(50)]  # all that aiohttp allows
    writer.writelines(headers)
    sent = sum(map(len, headers))

    async def waits():
        unread = kernel_buffers(ask.port, both_ends=True) + writer.transport.get_write_buffer_size()
        assert sent - 200_000 < unread < sent
        assert (await ask("/healthz"))[0] == 200

    await eventually(waits)
    writer.close()


async def test_a_request_with_too_many_headers_is_refused(serve):
    ask = await serve(health=Checks(a=None))
    assert (await ask("/healthz", headers={f"X{number}": "y" for number in range(50)}))[0] == 200
    assert (await ask("/healthz", headers={f"X{number}": "y" for number in range(70)}))[0] == 400


async def test_selections_of_metrics_take_a_part_of_the_time_only(serve, monkeypatch):
    monkeypatch.setattr(http_server, "SELECTION_SHARE", 1e-9)
    ask = await serve()
    started = asyncio.get_running_loop().time()
    for _ in range(2):
        assert "process_open_fds" in (await ask("/metrics?name[]=process_open_fds"))[1]
    assert asyncio.get_running_loop().time() - started > 0.9


async def test_clients_that_do_not_read_hold_little_of_a_large_page(serve, monkeypatch):
    monkeypatch.setattr(connections, "LIFETIME", 60)
    clients, size = 40, 4_000_000
    ask = await serve(page=Pages(lambda: b"x" * size), health=Checks(a=None))
    opened = [await connect(ask.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", limit=1024) for _ in range(clients)]
    for reader, _ in opened:
        async with asyncio.timeout(LIMIT):
            await reader.read(1)
    kept = {id(transport): transport for transport in server_transports(ask.port)}
    assert len(kept) >= clients
    assert sum(transport.get_write_buffer_size() for transport in kept.values()) < clients * 256 * 1024
    assert kernel_buffers(ask.port) < clients * 8 * connections.SOCKET_BUFFER
    for _, writer in opened:
        writer.transport.abort()


def server_transports(port):
    """The server's ends of the open connections; it shares this loop."""
    transports = asyncio.get_running_loop()._transports.values()
    names = [(one, one.get_extra_info("sockname")) for one in list(transports)]
    return [one for one, name in names if name and name[1] == port]


@pytest.mark.parametrize("path", ["/", "/metrics"])
async def test_the_page_and_the_metrics_are_rendered_beside_the_loop(serve, monkeypatch, path):
    """What they are made from waits for the probe's answer: in the loop, there would be none."""
    answered = threading.Event()
    threads = []

    def render():
        threads.append(threading.get_ident())
        assert answered.wait(LIMIT)
        return b"page"

    monkeypatch.setattr(connections, "LIFETIME", 2 * LIMIT)
    ask = await serve(health=Checks(a=None), page=Pages(render))
    monkeypatch.setattr(http_server, "choose_encoder", lambda _: (lambda _registry: render(), "text/plain"))
    asking = asyncio.create_task(ask(path))

    async def begun():
        assert threads

    await eventually(begun)
    assert (await ask("/healthz"))[0] == 200
    answered.set()
    assert (await asking)[:2] == (200, "page")
    assert threading.get_ident() not in threads


async def test_too_many_different_searches_at_once_are_told_to_wait(serve):
    ask = await serve(page=Pages())
    answers = await asyncio.gather(*(ask(f"/?q={number}") for number in range(20)))
    busy = [headers["Retry-After"] for status, _, headers in answers if status == 503]
    assert busy
    assert {text for status, text, _ in answers if status == 200} <= {str(View(str(n))) for n in range(20)}
