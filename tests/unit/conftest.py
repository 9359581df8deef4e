"""What unit tests share: the same examples at each run, golden files."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from tests.support.engines import cache_dir, engine

__all__ = ["cache_dir", "engine"]

DATA = Path(__file__).parents[1] / "data"

ONE_LOOK = pytest.mark.looptime(noop_cycles=1)
"""A loop in virtual time that has nothing to do looks once, not 42 times, for I/O before it moves its clock."""

hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    max_examples=100,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # it measures how busy the machine is
)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write what came out to the files in tests/data")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("looptime"):
            item.add_marker(ONE_LOOK)


@pytest.fixture
def golden(request):
    """Compare a text with the file of that name in tests/data; `pytest tests/unit --update-golden` writes it."""

    def compare(name: str, text: str) -> None:
        path = DATA / name
        if request.config.getoption("--update-golden", default=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return compare
