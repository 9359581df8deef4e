"""The HTTP port: metrics, probes and the page, for well-behaved and other clients."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from secretsyncer.operator.http_server import Server
from tests.support.eventually import LIMIT
from tests.support.http import Checks
from tests.support.pages import Pages

# Probes


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_probe_with_nothing_wrong_says_ok(serve, path):
    good = Checks(loops=None, watches=None)
    ask = await serve(health=good, readiness=good)
    status, text, _ = await ask(path)
    assert (status, text) == (200, "ok\n")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_failed_probe_lists_only_the_failed_checks(serve, path):
    bad = Checks(loops=None, watches="namespaces: not listed yet")
    ask = await serve(health=bad, readiness=bad)
    status, text, _ = await ask(path)
    assert (status, text) == (503, "[-] watches: namespaces: not listed yet\nfailed\n")


async def test_verbose_lists_every_check(serve):
    ask = await serve(health=Checks(a=None, b="late"), readiness=Checks(a=None))
    assert (await ask("/healthz?verbose"))[:2] == (503, "[+] a\n[-] b: late\nfailed\n")
    assert (await ask("/readyz?verbose=1"))[:2] == (200, "[+] a\nok\n")


async def test_verbose_adds_notes_to_checks_that_pass(serve):
    notes = {"a": lambda: "one is missing", "b": lambda: "never shown", "c": lambda: None}
    ask = await serve(readiness=Checks(a=None, b="late", c=None), notes=notes)
    assert (await ask("/readyz?verbose"))[:2] == (503, "[+] a: one is missing\n[-] b: late\n[+] c\nfailed\n")
    assert (await ask("/readyz"))[:2] == (503, "[-] b: late\nfailed\n")


async def test_health_and_readiness_are_two_questions(serve):
    ask = await serve(health=Checks(a=None), readiness=Checks(b="not yet"))
    assert [(await ask(path))[0] for path in ("/healthz", "/readyz")] == [200, 503]


async def test_a_probe_runs_its_checks_each_time(serve):
    checks = Checks(a="not yet")
    ask = await serve(readiness=checks)
    assert (await ask("/readyz"))[0] == 503
    checks.problems["a"] = None
    assert (await ask("/readyz"))[0] == 200


# Metrics


async def test_metrics_are_served_in_the_format_that_is_asked_for(serve):
    ask = await serve()
    status, text, headers = await ask("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert "# TYPE process_cpu_seconds_total counter" in text
    _, text, headers = await ask("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


async def test_single_metrics_can_be_asked_for(serve):
    ask = await serve()
    _, text, _ = await ask("/metrics?name[]=process_open_fds")
    assert {line.split()[0] for line in text.splitlines() if not line.startswith("#")} == {"process_open_fds"}
    assert (await ask("/metrics?name[]=none"))[0] == 200


# Nothing more


@pytest.mark.parametrize(
    "path", ["/metrics/", "/healthz/x", "/debug", "/../etc/passwd", "/favicon.ico", "/objects/", "/objects/a"]
)
async def test_nothing_else_is_served(serve, path):
    ask = await serve(page=Pages())
    assert (await ask(path))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/aws", "/objects/a/b", "/metrics", "/healthz", "/readyz"])
async def test_there_is_nothing_to_write(serve, method, path):
    ask = await serve(page=Pages())
    assert (await ask(path, method, data=b"x" * 100_000))[0] == 405


async def test_head_is_answered_without_a_body(serve):
    ask = await serve(health=Checks(a=None))
    assert (await ask("/healthz", "HEAD"))[:2] == (200, "")


@pytest.mark.parametrize("long", ["GET /healthz?" + "x" * 100_000, "GET /healthz HTTP/1.1\r\nX: " + "x" * 100_000])
async def test_an_endless_request_is_cut_short(serve, long):
    ask = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", ask.port)
    try:
        writer.write(long.encode())
        async with asyncio.timeout(LIMIT):
            answer = await reader.read(200)
    finally:
        writer.close()
    assert b" 400 " in answer.splitlines()[0]


async def test_a_malformed_request_is_rejected_without_the_name_of_the_server(serve):
    ask = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", ask.port)
    writer.write(b"\x16\x03\x01\x00\x00 hello\r\n\r\n")
    async with asyncio.timeout(LIMIT):
        answer = await reader.read()
    writer.close()
    assert b" 400 " in answer.splitlines()[0]
    assert b"Traceback" not in answer


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/nothing"])
async def test_each_answer_ends_its_connection(serve, path):
    ask = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", ask.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".encode())
    async with asyncio.timeout(LIMIT):
        answer = await reader.read()
    writer.close()
    assert b"\r\nConnection: close\r\n" in answer


async def test_a_port_that_is_taken_is_an_error_of_the_start(serve):
    ask = await serve()
    server = Server("127.0.0.1", ask.port, registry=REGISTRY, health={}, readiness={})
    with pytest.raises(OSError, match="in use"):
        await server.start()
    await server.stop()


async def test_the_server_stops_while_a_client_hangs_on(serve):
    ask = await serve()
    _, writer = await asyncio.open_connection("127.0.0.1", ask.port)
    server = Server("127.0.0.1", 0, registry=REGISTRY, health={}, readiness={})
    await server.start()
    _, other = await asyncio.open_connection("127.0.0.1", server.port)
    other.write(b"GET /hea")
    async with asyncio.timeout(LIMIT):
        await server.stop()
    writer.close()
    other.close()
