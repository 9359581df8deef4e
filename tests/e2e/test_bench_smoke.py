"""The benchmark runs, and its counts are correct. Times are measured by `make bench` only."""

from __future__ import annotations

import json

import pytest

from bench import report
from bench.parameters import parameters
from bench.sync import bulk

pytestmark = pytest.mark.real

COUNTED = {
    "ListSecrets": 1,
    "calls for values": 5,
    "writes to Kubernetes, start included": 0,
    "AWS calls": 0,
}


async def test_a_small_run_counts_the_calls_and_writes_that_are_needed_and_no_more(tmp_path):
    figures = await bulk(100)
    assert {figure.what: figure.value for figure in figures if figure.what in COUNTED} == COUNTED
    report.save(figures, tmp_path)
    kept = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert [figure["what"] for figure in kept] == [figure.what for figure in figures]
    assert (tmp_path / "rates.svg").read_text().startswith("<svg")
    assert "first sync of 100" in report.table(figures)


async def test_parameters_cost_a_listing_a_poll_and_one_read_a_change():
    figures = await parameters(200, roles=4)
    counted = {(figure.what, figure.value) for figure in figures if figure.unit == "calls"}
    assert counted == {
        ("DescribeParameters", 4),
        ("GetParameters", 20),
        ("calls in an hour, polls each 300 s", 48),
        ("values read, and decrypted", 0),
        ("GetParameters", 1),
        ("throttled", 0),
    }
