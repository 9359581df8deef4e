"""The engine of the unit tests."""

from __future__ import annotations

from tests.support.engines import built, cache_dir, catalogue, engine

__all__ = ["built", "cache_dir", "catalogue", "engine"]
