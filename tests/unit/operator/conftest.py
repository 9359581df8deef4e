"""A process of the operator in memory."""

from __future__ import annotations

import pytest

from tests.support.process import Process


@pytest.fixture
def process(metrics, monkeypatch):
    """Make a process with these settings."""
    return lambda **settings: Process(metrics, monkeypatch, **settings)
