"""Ports for servers of tests that run beside each other."""

from __future__ import annotations

import socket

import pytest

from sandbox.access import free_port


def test_a_free_port_is_given_to_nobody_else_and_a_server_may_come_and_go_on_it():
    port = free_port()
    for _ in range(2):
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))  # as another process looks for one
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port))
