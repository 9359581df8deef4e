"""What keeps the process small. Called before anything of aiohttp is imported.

The figures are those of an idle operator, which takes 70 MiB.
"""

from __future__ import annotations

import os
from asyncio import sslproto

TLS_BUFFER = 64 << 10
"""Bytes that asyncio reads at once from a TLS connection. Its own 256 KiB are reserved for each connection, and an operator
has one per watch, worker and AWS call. A TLS record has at most 16 KiB."""


def keep_small() -> None:
    """Set what the libraries read when they are imported, or when they connect."""
    # The compiled FrozenList alone needs the C++ library, 1.7 MiB. aiohttp has few such lists, and none in a request.
    os.environ.setdefault("FROZENLIST_NO_EXTENSIONS", "1")
    sslproto.SSLProtocol.max_size = TLS_BUFFER
