"""What keeps the process small takes effect in this Python and these libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from secretsyncer.operator.footprint import TLS_BUFFER
from tests.support.python import printed

MAPS = Path("/proc/self/maps")
KEEP_SMALL = "from secretsyncer.operator.footprint import keep_small; keep_small()\n"


@pytest.mark.skipif(not MAPS.exists(), reason="Linux shows what a process has loaded")
@pytest.mark.parametrize(("begin", "loaded"), [(KEEP_SMALL, "False\n"), ("", "True\n")])
def test_the_operator_does_not_load_the_c_library_of_one_small_extension(begin, loaded):
    code = (
        f"{begin}import pathlib, frozenlist, secretsyncer.operator.app\n"
        f"print('libstdc++' in pathlib.Path('{MAPS}').read_text())"
    )
    assert printed(code) == loaded


def test_a_tls_connection_reserves_the_smaller_buffer():
    code = (
        f"{KEEP_SMALL}import asyncio, ssl, tracemalloc\n"
        "async def taken():\n"
        "    loop, context = asyncio.get_running_loop(), ssl.create_default_context()\n"
        "    tracemalloc.start()\n"
        "    protocol = asyncio.sslproto.SSLProtocol(loop, asyncio.Protocol(), context, loop.create_future())\n"
        "    return tracemalloc.get_traced_memory()[0]\n"
        "print(asyncio.run(taken()))"
    )
    assert TLS_BUFFER <= int(printed(code)) < 2 * TLS_BUFFER
