"""Metrics exist from the start, are correct for each object, and are removed with it."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from secretsyncer import __version__
from secretsyncer.metrics import RESULTS, Metrics


@pytest.fixture
def series(metrics):
    """The series that name an object, without their values."""

    def find(name):
        lines = generate_latest(metrics.registry).decode().splitlines()
        return sorted(line.rpartition(" ")[0] for line in lines if f'name="{name}"' in line)

    return find


def ready(metrics, name="demo", namespace="team"):
    metrics.observe_object(namespace, name, reason="Synced", ready=True, failing=False)


def broken(metrics, name="demo", namespace="team", reason="AccessDenied"):
    metrics.observe_object(namespace, name, reason=reason, ready=False, failing=True)


def suspended(metrics, name="demo", namespace="team"):
    metrics.observe_object(namespace, name, reason="Suspended", ready=False, failing=False)


def totals(value):
    return value("secret_sync_success"), value("secret_sync_failures")


def test_counters_are_there_before_anything_happens_so_that_rate_sees_the_first(value):
    assert {value("secretsyncer_reconciles_total", result=result) for result in RESULTS} == {0}
    assert {
        value("secretsyncer_polls_total", service="ParameterStore", outcome=outcome)
        for outcome in ("success", "failure")
    } == {0}
    assert {
        value("secretsyncer_cache_requests_total", service="ParameterStore", result=r)
        for r in ("hit", "miss", "joined")
    } == {0}
    assert {value("secretsyncer_events_total", outcome=o) for o in ("sent", "summarised", "dropped", "failed")} == {
        0
    }


def test_the_go_operators_gauges_count_objects_as_they_did_there(metrics, value):
    assert totals(value) == (0, 0)
    ready(metrics, "a")
    ready(metrics, "b")
    broken(metrics, "c")
    assert totals(value) == (2, 1)
    broken(metrics, "a")
    assert totals(value) == (1, 2)
    ready(metrics, "c")
    ready(metrics, "c")
    assert totals(value) == (2, 1)


def test_a_suspended_object_counts_as_neither(metrics, value):
    ready(metrics)
    suspended(metrics)
    assert totals(value) == (0, 0)


def test_namesakes_in_two_namespaces_are_two_objects(metrics, value):
    ready(metrics, namespace="one")
    broken(metrics, namespace="two")
    assert totals(value) == (1, 1)
    assert value("secretsyncer_object_ready", namespace="one", name="demo", reason="Synced") == 1
    assert value("secretsyncer_object_ready", namespace="two", name="demo", reason="AccessDenied") == 0


def test_an_object_has_one_reason_at_a_time(metrics, series):
    for change in (ready, broken, lambda m: broken(m, reason="Conflict"), suspended, ready):
        change(metrics)
        assert len([line for line in series("demo") if "object_ready" in line]) == 1


def test_the_time_of_the_last_sync_is_that_of_the_last_good_pass(metrics, value, monkeypatch):
    names = {"namespace": "team", "name": "demo"}
    broken(metrics)
    assert value("secretsyncer_object_last_sync_timestamp_seconds", **names) is None
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    ready(metrics)
    monkeypatch.setattr("time.time", lambda: 2_000.0)
    broken(metrics)
    assert value("secretsyncer_object_last_sync_timestamp_seconds", **names) == 1_000


@pytest.mark.parametrize("fate", [ready, broken, suspended])
def test_every_series_of_a_deleted_object_goes_and_no_other(metrics, series, value, fate):
    ready(metrics, "other")
    ready(metrics)
    fate(metrics)
    metrics.forget_object("team", "demo")
    assert series("demo") == []
    assert series("other")
    assert totals(value) == (1, 0)


def test_an_object_that_never_was_ready_can_be_forgotten_and_so_can_an_unknown_one(metrics, series, value):
    broken(metrics)
    metrics.forget_object("team", "demo")
    metrics.forget_object("team", "demo")
    metrics.forget_object("team", "nobody")
    assert (series("demo"), totals(value)) == ([], (0, 0))


def test_a_recreated_object_has_no_failures(metrics, value):
    ready(metrics)
    metrics.forget_object("team", "demo")
    broken(metrics)
    assert totals(value) == (0, 1)
    assert value("secretsyncer_object_last_sync_timestamp_seconds", namespace="team", name="demo") is None


def test_build_info_has_the_version(metrics):
    assert f'version="{__version__}"' in generate_latest(metrics.registry).decode()


def test_all_names_are_ours_and_say_their_unit():
    registry = CollectorRegistry()
    Metrics(registry)
    for family in registry.collect():
        assert family.name.startswith(("secretsyncer_", "secret_sync_")), family.name
        assert family.documentation
        if "duration" in family.name or "wait" in family.name or "timestamp" in family.name:
            assert family.name.endswith("_seconds"), family.name
