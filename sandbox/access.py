"""What the embedded and the real API server have in common: an address, a token and a kubeconfig."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import socket
from pathlib import Path
from typing import Protocol


class KubernetesApi(Protocol):
    """A running Kubernetes API server."""

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:port` or `https://…`."""

    @property
    def token(self) -> str:
        """The bearer token of its administrator."""

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust; None for plain HTTP."""

    def write_kubeconfig(self, path: Path, user: str = "admin") -> Path:
        """Write a kubeconfig with the token of a user; returns `path`."""


def free_port() -> int:
    """A port of loopback on which nothing listens, and which stays free while a server is stopped.

    It is outside of the range from which the system takes the ports of outgoing connections. Inside that range another
    program could take it, and a client that keeps trying to connect could even connect to itself. Until this process ends,
    a socket keeps the port from others that look for one, such as tests that run beside it. It does not listen, and servers
    bind with SO_REUSEADDR, so it is in nobody's way.
    """
    while True:
        port = random.randrange(15_000, 30_000)  # noqa: S311 - not a secret
        with socket.socket() as keeper, contextlib.suppress(OSError):
            keeper.bind(("127.0.0.1", port))
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keeper.detach()
            return port


def write_kubeconfig(path: Path, *, url: str, user: str, token: str, ca_file: Path | None = None) -> Path:
    """Write a kubeconfig of one cluster, one user and one context, readable by its owner only."""
    cluster = {"server": url}
    if ca_file is not None:
        cluster["certificate-authority-data"] = base64.b64encode(ca_file.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
        "current-context": "sandbox",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2))  # JSON is YAML
    return path
