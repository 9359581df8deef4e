"""A short hostile run with a fixed seed; `make hostile` runs longer ones."""

from __future__ import annotations

import pytest

from tests.hostile.__main__ import table
from tests.hostile.run import run


@pytest.mark.real
@pytest.mark.timeout(600)
async def test_a_short_hostile_run_harms_no_honest_tenant(assets):
    # Other tests run beside it, so the limits are five times as long. `make hostile` has a machine of its own.
    verdict = await run(assets, seed=7, seconds=15, lanes=4, share=0.2, say=lambda _: None)
    assert verdict.problems == [], table(verdict)
    assert verdict.beside.changes > 0, "nothing happened"
