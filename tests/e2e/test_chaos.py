"""A short fault run with a fixed seed; `make chaos` runs longer ones."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import table
from tests.chaos.run import run


@pytest.mark.real
@pytest.mark.timeout(600)
async def test_a_short_fault_run_leaves_every_secret_right(assets):
    said: list[str] = []
    verdict = await run(assets, seed=7, seconds=15, say=said.append)
    assert verdict.problems == [], table(verdict)
    assert verdict.writes > 0, "nothing happened"
