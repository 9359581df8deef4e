"""Coverage with branches, by the tests in `MEASURED` alone, and what it must not fall below.

`make coverage` and the gate run tests with `--cov --coverage-floors`. Tests elsewhere run the operator in a process of its own,
or take a minute to show what a unit test shows at once: they are not traced, which also keeps them fast. A floor is
the percentage that was reached, rounded down.
"""

from __future__ import annotations

import importlib
import io
import pkgutil
from contextlib import contextmanager
from pathlib import Path

import coverage
import pytest

import secretsyncer

ROOT = Path(__file__).parents[2]
MEASURED = tuple(ROOT / "tests" / name for name in ("unit", "integration"))
FLOORS = {
    "sync/*": 99,
    "operator/*": 97,
    "explain/*": 99,
    "kube/*": 98,
    "aws/*": 97,
    "synced_secret/*": 99,
    "gotemplate/*": 97,
    "expressions/*": 99,
    "commands/*": 80,
    "*.py": 97,
}
"""Per cent, by part of secretsyncer/."""


@contextmanager
def untraced():
    """Stop tracing while the block runs, if something traces."""
    measures = coverage.Coverage.current()
    if measures is None:
        yield
        return
    measures.stop()
    try:
        yield
    finally:
        measures.start()


def pytest_addoption(parser):
    parser.addoption(
        "--coverage-floors", action="store_true", help="fail if a part of secretsyncer/ is covered less than it was"
    )


def pytest_configure(config):
    if config.getoption("--coverage-floors") and not config.getoption("--cov"):
        raise pytest.UsageError("--coverage-floors needs --cov: without it, it would judge an earlier run")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session):
    """Import everything while it is traced, because a test that is not may be the first to import a module.

    Then read the tests without, which takes half the time.
    """
    if session.config.getoption("--coverage-floors"):
        for module in pkgutil.walk_packages(secretsyncer.__path__, "secretsyncer."):
            if module.name != "secretsyncer.__main__":
                importlib.import_module(module.name)
    with untraced():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Stop tracing for tests that are not measured."""
    if any(folder in item.path.parents for folder in MEASURED):
        return (yield)
    with untraced():
        return (yield)


def pytest_sessionfinish(session):
    """Compare, once all tests of all processes have been counted."""
    config = session.config
    if not config.getoption("--coverage-floors") or hasattr(config, "workerinput"):
        return
    if session.exitstatus == pytest.ExitCode.INTERRUPTED:
        return
    measures = coverage.Coverage()
    measures.load()
    lines, missed = [], io.StringIO()
    for part, floor in FLOORS.items():
        include = [f"{ROOT}/secretsyncer/{part}"]
        reached = measures.report(include=include, file=io.StringIO())
        lines.append(f"{part:<16} {reached:6.2f} %, at least {floor} %{'' if reached >= floor else '  TOO LITTLE'}")
        if reached < floor:
            measures.report(include=include, file=missed, show_missing=True, skip_covered=True)
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    config.stash[_REPORT] = "\n".join([*lines, missed.getvalue()])


_REPORT = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter, config):
    if report := config.stash.get(_REPORT, ""):
        terminalreporter.section("coverage with branches, by unit and integration tests")
        terminalreporter.write_line(report)
