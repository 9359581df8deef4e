"""The alert rules: each fires on its own fault only. promtool evaluates them on hours of metrics.

`HEALTHY` is what two replicas give while all is well, with the small troubles that must wake nobody. Each fault is told
by the series that are different in it. In promtool's notation, `a+bxn` is a value a and n more, each greater by b; one
value is one minute.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.errors import Reason
from secretsyncer.metrics import RESULTS, Metrics
from tests.support import fast_yaml
from tests.support.cluster import MANIFESTS
from tests.support.measures import declared
from tests.support.tools import run, tool

COMPONENT = MANIFESTS / "components" / "prometheus"
RULE = fast_yaml.load((COMPONENT / "prometheusrule.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULE["spec"]["groups"] for rule in group["rules"]}
DASHBOARD = json.loads((COMPONENT / "dashboard.json").read_text())
RUNBOOK = (MANIFESTS.parent / "docs" / "runbook.md").read_text()

POD = 'namespace="ops",job="secretsyncer",pod="one"'
LISTED = 'service="SecretsManager"'
STANDBY = 'namespace="ops",job="secretsyncer",pod="two"'
HEALTHY = {
    f"secretsyncer_leader{{{POD}}}": "0 1+0x120",
    f"secretsyncer_leader{{{STANDBY}}}": "0+0x120",
    f"secretsyncer_catalogue_timestamp_seconds{{{POD},{LISTED}}}": "0+60x120",
    f"secretsyncer_catalogue_timestamp_seconds{{{STANDBY},{LISTED}}}": "0+0x120",
    f"secretsyncer_poll_interval_seconds{{{POD}}}": "300+0x120",
    f"secretsyncer_poll_interval_seconds{{{STANDBY}}}": "300+0x120",
    'secretsyncer_object_ready{namespace="demo",name="good",reason="Synced"}': "1+0x120",
    'secretsyncer_object_ready{namespace="demo",name="still",reason="Suspended"}': "0+0x120",
    'secretsyncer_object_ready{namespace="demo",name="mended",reason="SecretNotFound"}': "0+0x10 stale",
    'secretsyncer_object_ready{namespace="demo",name="mended",reason="Synced"}': "_x11 1+0x109",
    f'secretsyncer_watch_restarts_total{{{POD},resource="secrets",cause="ended"}}': "0+1x120",
    f'secretsyncer_watch_restarts_total{{{POD},resource="secrets",cause="http_503"}}': "0+0x20 8+0x99",
    f'secretsyncer_secret_rotation_overdue{{{POD},secret="good"}}': "0+0x30 1+0x20 0+0x69",
    f'secretsyncer_secret_expiry_timestamp_seconds{{{POD},secret="good"}}': "700000+0x120",
    f"secretsyncer_restarts_blocked{{{POD}}}": "0+0x20 1+0x10 0+0x89",
    f"secretsyncer_queue_depth{{{POD}}}": "5000+0x10 0+0x30 40+0x12 0+0x66",
    f'secretsyncer_aws_calls_total{{{POD},operation="ListSecrets",outcome="success"}}': "0+1x120",
    f'secretsyncer_aws_calls_total{{{POD},operation="GetSecretValue",outcome="throttled"}}': "0+0x20 30+0x99",
    f'secretsyncer_aws_calls_total{{{POD},operation="GetSecretValue",outcome="denied"}}': "0+0x20 3+0x99",
    f'secretsyncer_aws_calls_total{{{POD},operation="GetSecretValue",outcome="not_found"}}': "0+1x120",
    f'secretsyncer_aws_calls_total{{{POD},operation="BatchGetSecretValue",outcome="denied"}}': "0+1x120",
    f'secretsyncer_reconciles_total{{{POD},result="rejected"}}': "0+1x120",
    f'secretsyncer_reconciles_total{{{POD},result="bug"}}': "0+0x120",
}


class Fault(NamedTuple):
    """`series` replaces and adds to those of HEALTHY; None takes one away. The alert is silent and fires at these minutes."""

    alert: str
    series: dict[str, str | None]
    silent: int
    fires: int


FAULTS = {
    "every replica waits for the lease": Fault(
        "SecretsyncerNoLeader", {f"secretsyncer_leader{{{POD}}}": "1+0x30 0+0x90"}, 31, 34
    ),
    "no replica runs": Fault(
        "SecretsyncerNoLeader",
        {name: None for name in HEALTHY if POD in name or STANDBY in name},
        1,
        4,
    ),
    "listings fail from the 30th minute on": Fault(
        "SecretsyncerCatalogueStale",
        {f"secretsyncer_catalogue_timestamp_seconds{{{POD},{LISTED}}}": "0+60x30 1800+0x90"},
        48,
        53,
    ),
    "no listing has ever worked": Fault(
        "SecretsyncerCatalogueStale",
        {f"secretsyncer_catalogue_timestamp_seconds{{{POD},{LISTED}}}": "0+0x120"},
        19,
        22,
    ),
    "an object fails": Fault(
        "SecretsyncerObjectFailing",
        {'secretsyncer_object_ready{namespace="demo",name="bad",reason="AccessDenied"}': "0+0x120"},
        14,
        16,
    ),
    "an object fails for a reason, then for another": Fault(
        "SecretsyncerObjectFailing",
        {
            'secretsyncer_object_ready{namespace="demo",name="bad",reason="AWSUnavailable"}': "0+0x8 stale",
            'secretsyncer_object_ready{namespace="demo",name="bad",reason="AccessDenied"}': "_x9 0+0x111",
        },
        14,
        16,
    ),
    "a secret in use is scheduled for deletion": Fault(
        "SecretsyncerSecretDeleted",
        {f'secretsyncer_secret_deletion_timestamp_seconds{{{POD},secret="app"}}': "_x20 700000+0x99"},
        24,
        27,
    ),
    "a secret in use expires in a week": Fault(
        "SecretsyncerSecretExpires",
        {f'secretsyncer_secret_expiry_timestamp_seconds{{{POD},secret="app"}}': "605400+0x120"},
        65,
        75,
    ),
    "a rotation does not happen": Fault(
        "SecretsyncerRotationOverdue",
        {f'secretsyncer_secret_rotation_overdue{{{POD},secret="app"}}': "0+0x20 1+0x99"},
        79,
        83,
    ),
    "a workload cannot be restarted": Fault(
        "SecretsyncerRestartBlocked", {f"secretsyncer_restarts_blocked{{{POD}}}": "0+0x20 2+0x99"}, 34, 38
    ),
    "a proxy cuts every watch": Fault(
        "SecretsyncerWatchRestarts",
        {f'secretsyncer_watch_restarts_total{{{POD},resource="secrets",cause="short"}}': "0+0x30 0+2x90"},
        40,
        55,
    ),
    "the workers do not keep up": Fault(
        "SecretsyncerQueueGrowing", {f"secretsyncer_queue_depth{{{POD}}}": "0+0x20 0+7x99"}, 36, 40
    ),
    "AWS throttles all the time": Fault(
        "SecretsyncerAWSThrottled",
        {f'secretsyncer_aws_calls_total{{{POD},operation="ListSecrets",outcome="throttled"}}': "0+0x20 0+1x99"},
        34,
        40,
    ),
    "a role lacks a right": Fault(
        "SecretsyncerAWSDenied",
        {f'secretsyncer_aws_calls_total{{{POD},operation="AssumeRole",outcome="denied"}}': "0+0x20 0+1x99"},
        34,
        40,
    ),
    "the operator's credentials are revoked": Fault(
        "SecretsyncerAWSDenied",
        {f'secretsyncer_aws_calls_total{{{POD},operation="ListSecrets",outcome="credentials"}}': "0+0x20 0+1x99"},
        34,
        40,
    ),
    "a pass raises what nobody expected": Fault(
        "SecretsyncerBug", {f'secretsyncer_reconciles_total{{{POD},result="bug"}}': "0+0x30 1+0x90"}, 30, 33
    ),
}


def series(changed: Mapping[str, str | None] | None = None) -> list[dict[str, str]]:
    values = {**HEALTHY, **(changed or {})}
    return [{"series": name, "values": text} for name, text in values.items() if text is not None]


def firing(minute: int, *alerts: str) -> dict[str, Any]:
    """At that minute these alerts fire, and no others."""
    return {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts],
    }


@pytest.fixture
def play(tmp_path):
    """Play these series to the rules, and compare what promtool then finds with what is expected."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULE["spec"]))

    def play(given: list[dict[str, str]], **expected: Any) -> None:
        case = {"interval": "1m", "input_series": given, **expected}
        test = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]}
        (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
        run(tool("promtool"), "test", "rules", tmp_path / "test.yaml")

    return play


def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULE["spec"]))
    said = run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yaml")
    assert f"{len(ALERTS)} rules found" in said


def test_no_alert_fires_while_all_is_well(play):
    play(series(), promql_expr_test=[firing(minute) for minute in range(1, 120)])


def test_a_listing_every_other_hour_is_not_stale_where_that_is_asked_for(play):
    rare = {
        f"secretsyncer_poll_interval_seconds{{{POD}}}": "7200+0x120",
        f"secretsyncer_poll_interval_seconds{{{STANDBY}}}": "7200+0x120",
        f"secretsyncer_catalogue_timestamp_seconds{{{POD},{LISTED}}}": "1+0x120",
    }
    play(series(rare), promql_expr_test=[firing(minute) for minute in range(1, 120)])


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_an_alert_fires_on_its_fault_and_no_other_does(play, fault):
    play(series(fault.series), promql_expr_test=[firing(fault.silent), firing(fault.fires, fault.alert)])


def test_every_alert_has_a_fault_that_it_is_for():
    assert {fault.alert for fault in FAULTS.values()} == ALERTS.keys()


def test_the_alert_about_an_object_says_which_one_and_for_what_reason(play):
    fault = FAULTS["an object fails"]
    said = {
        "summary": "SyncedSecret demo/bad cannot be synced",
        "description": "Its reason is AccessDenied. Its Secret keeps the last good values. kubectl describe syncedsecret"
        " shows what is wrong.",
        "runbook": "docs/runbook.md#secretsyncerobjectfailing",
    }
    alert = {
        "exp_labels": {"severity": "warning", "namespace": "demo", "name": "bad"},
        "exp_annotations": said,
    }
    expected = {"eval_time": "16m", "alertname": fault.alert, "exp_alerts": [alert]}
    play(series(fault.series), alert_rule_test=[expected])


# promtool's clock begins at 0, so "never" is put as long ago as it is in earnest.
NEVER = {
    f"secretsyncer_catalogue_timestamp_seconds{{{pod},{LISTED}}}": "-1700000000+0x120" for pod in (POD, STANDBY)
}
STOPPED = FAULTS["listings fail from the 30th minute on"].series


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (NEVER, "AWS has not been listed since the start."),
        (STOPPED, "The last complete listing of AWS is 30m 0s old."),
    ],
)
def test_the_alert_about_the_catalogue_says_how_old_it_is(play, changed, said):
    annotations = {
        "summary": "secretsyncer cannot list AWS SecretsManager",
        "description": f"{said} Changes in AWS do not reach their Secrets.",
        "runbook": "docs/runbook.md#secretsyncercataloguestale",
    }
    alert = {
        "exp_labels": {
            "severity": "critical",
            "namespace": "ops",
            "job": "secretsyncer",
            "service": "SecretsManager",
        },
        "exp_annotations": annotations,
    }
    expected = {"eval_time": "60m", "alertname": "SecretsyncerCatalogueStale", "exp_alerts": [alert]}
    play(series(changed), alert_rule_test=[expected])


# Consistency with the code and the documentation

METRIC = re.compile(r"\b(?:secretsyncer_\w+|secret_sync_\w+)")
LABELS = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
TARGET = {"namespace", "job", "pod", "instance"}
"""Labels that Prometheus gives to what it scrapes."""


def test_promtool_finds_nothing_wrong_with_the_metrics():
    metrics = Metrics(CollectorRegistry())
    metrics.observe_object("demo", "good", reason="Synced", ready=True, failing=False)
    run(tool("promtool"), "check", "metrics", stdin=generate_latest(metrics.registry).decode())


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every expression of the rules and of the dashboard, under the name of where it is."""
    of_rules = {name: rule["expr"] for name, rule in ALERTS.items()}
    of_panels = {
        f"{panel['title']}, {target['refId']}": target["expr"] for panel in panels() for target in panel["targets"]
    }
    of_variables = {v["name"]: v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"}
    return {**of_rules, **of_panels, **of_variables}


every_query = pytest.mark.parametrize("query", queries().values(), ids=queries())


@every_query
def test_every_metric_that_is_asked_for_is_one_of_the_operator(query):
    asked = set(METRIC.findall(query))
    assert asked, "it asks for a metric"
    assert asked <= declared().keys()


@every_query
def test_every_label_that_is_asked_for_is_one_of_its_metric(query):
    labels = TARGET | {"alertname"} | set().union(*(declared()[name] for name in METRIC.findall(query)))
    assert {label for label, _ in LABELS.findall(query)} <= labels
    grouped = re.findall(r"(?:by|legend) \(([^)]*)\)", query)
    assert {label.strip() for group in grouped for label in group.split(",")} <= labels


def test_every_value_of_a_label_that_a_rule_names_is_one_that_the_operator_gives():
    known = {
        "outcome": set(CallOutcome),
        "reason": set(Reason),
        "result": set(RESULTS),
        "cause": {"ended"},
        "operation": {"BatchGetSecretValue"},
    }
    for rule in ALERTS.values():
        for label, values in LABELS.findall(rule["expr"]):
            assert set(values.split("|")) <= known[label], rule["alert"]


@pytest.mark.parametrize("alert", ALERTS)
def test_the_runbook_has_a_section_for_every_alert_and_the_alert_leads_to_it(alert):
    assert re.search(rf"^### {alert}$", RUNBOOK, re.MULTILINE)
    assert ALERTS[alert]["annotations"]["runbook"] == f"docs/runbook.md#{alert.lower()}"


def test_the_runbook_has_no_section_for_an_alert_that_is_not_there():
    assert set(re.findall(r"^### (Secretsyncer\w+)$", RUNBOOK, re.MULTILINE)) == ALERTS.keys()


# The dashboard


def test_every_panel_has_a_title_a_word_of_explanation_and_a_query():
    for panel in panels():
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert panel["targets"], panel["title"]


def test_panels_have_ids_of_their_own_and_none_lies_on_another():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken.get((x, y))}"
                taken[x, y] = panel["title"]


def test_every_panel_asks_the_data_source_that_the_reader_has_chosen():
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert all(panel["datasource"] == chosen for panel in panels())
    assert "datasource" in {variable["name"] for variable in DASHBOARD["templating"]["list"]}


@pytest.mark.parametrize("query", [q for q in queries().values() if "label_values" not in q])
def test_prometheus_takes_every_query(query, tmp_path):
    expr = query.replace("$__rate_interval", "5m").replace("$namespace", "x").replace("$job", "y")
    rule = {"groups": [{"name": "g", "rules": [{"record": "r:r:r", "expr": expr}]}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule))
    run(tool("promtool"), "check", "rules", tmp_path / "rules.yaml")
