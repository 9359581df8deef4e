"""What a restart needs to know of a workload, and the patch that restarts it."""

from __future__ import annotations

import pytest

from sandbox.kubeapi.patches import merge_patch
from secretsyncer.errors import Rejected
from secretsyncer.kube.objects import key_of
from secretsyncer.sync.restart_index import RestartIndex
from secretsyncer.sync.restart_memory import MOST_WORKLOADS, Entry, entries, is_behind, with_entry
from secretsyncer.sync.workloads import RESTARTED_AT, consumed, patch, seconds, view
from tests.support.builders import parsed, synced_secret
from tests.support.specs import literal
from tests.support.workloads import OPT_IN, workload

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
REFERS = {
    "secret": {"pod": {"volumes": [{"name": "v", "secret": {"secretName": "demo"}}]}},
    "projected": {
        "pod": {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "demo"}}, {}]}}]}
    },
    "csi": {"pod": {"volumes": [{"name": "v", "csi": {"nodePublishSecretRef": {"name": "demo"}}}]}},
    "env": {"container": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "demo", "key": "a"}}}]}},
    "envFrom": {"container": {"envFrom": [{"configMapRef": {"name": "x"}}, {"secretRef": {"name": "demo"}}]}},
    "init": {"pod": {"initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "demo"}}]}]}},
}
NO_REFERENCES = {
    "pull": {"pod": {"imagePullSecrets": [{"name": "demo"}]}},
    "config": {"pod": {"volumes": [{"name": "v", "configMap": {"name": "demo"}}]}},
    "other": {"container": {"envFrom": [{"secretRef": {"name": "demo-2"}}]}},
    "none": {"pod": {"volumes": None}, "container": {"env": None}},
}


@pytest.mark.parametrize("parts", [*REFERS.values(), *NO_REFERENCES.values()], ids=[*REFERS, *NO_REFERENCES])
def test_what_uses_a_secret(parts):
    found = view("Deployment", workload("team", annotations=OPT_IN, **parts))
    assert ("demo" in consumed(found)) is (parts in REFERS.values())
    assert not consumed(view("Deployment", workload("team", **parts)))
    assert not consumed(view("Rollout", workload("team", kind="Rollout", annotations=OPT_IN, **parts)))


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Rollout"])
def test_a_patch_sets_the_time_and_is_for_one_version(kind):
    obj = workload("team", "web", kind)
    obj["metadata"]["resourceVersion"] = "7"
    made = patch(view(kind, obj), NOON)
    assert made["metadata"] == {"resourceVersion": "7"}
    after = merge_patch(obj, made)
    assert view(kind, after).restarted == NOON
    assert view(kind, obj).restarted == 0
    if kind == "Rollout":
        assert after["spec"] == {**obj["spec"], "restartAt": "2026-01-01T12:00:00Z"}
    else:
        assert after["spec"]["template"]["metadata"].pop("annotations") == {RESTARTED_AT: "2026-01-01T12:00:00Z"}
        assert after["spec"] == obj["spec"]


@pytest.mark.parametrize("text", [None, "", "x", 7, "9999-99-99T00:00:00Z", {}])
def test_a_time_that_cannot_be_read_is_none(text):
    assert seconds(text) == 0.0


def test_a_rollout_without_a_template_can_be_restarted():
    assert patch(view("Rollout", {"metadata": {"name": "web"}, "spec": {"workloadRef": {}}}), NOON)


def restart(**fields):
    return parsed(literal("a", "1"), restart=fields)


def test_whom_a_restart_concerns():
    web = view("Deployment", workload("team", labels={"app": "a", "tier": "b"}))
    label = lambda **labels: [{"kind": "Deployment", "selector": {"matchLabels": labels}}]  # noqa: E731

    def concerned(found, **fields):
        obj = {**synced_secret(literal("a", "1"), restart=fields), "status": {"revision": 1}}
        index = RestartIndex(lambda _: obj, now=lambda: NOON)
        key = key_of(obj)
        index.note(key, obj)
        answer = [each.key for each in index.concerned("team", found)]
        assert index.concerned("other", found) == []
        index.note(key, None)
        assert index.concerned("team", found) == []
        assert not any(
            vars(index)[name] for name in ("_due", "_ways_of", "_selections", "_restarted", "_workloads")
        )
        return answer == [key]

    assert concerned(web, targets=[{"kind": "Deployment", "name": "web"}])
    assert concerned(web, targets=label(app="a"))
    assert concerned(web, targets=[*label(app="a"), *label(app="a", tier="b")])
    assert not concerned(web, targets=label(app="a", tier="c"))
    assert not concerned(web, targets=[{"kind": "StatefulSet", "name": "web"}])
    assert not concerned(web, consumers=True)
    user = view("Deployment", workload("team", annotations=OPT_IN, **REFERS["env"]))
    assert concerned(user, consumers=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "spec.restart: at least one of targets and consumers must be set"),
        (
            {"targets": [{"kind": "Deployment"}]},
            "spec.restart.targets[0]: exactly one of name and selector must be set",
        ),
        ({"targets": [{"kind": "Job", "name": "a"}]}, "spec.restart.targets[0].kind: must be 'Deployment', "),
        (
            {"targets": [{"kind": "Deployment", "selector": {"matchLabels": {}}}]},
            "spec.restart.targets[0].selector: at least one label must be given",
        ),
        *(
            (
                {"targets": [{"kind": "Deployment", "selector": {"matchLabels": labels}}]},
                "spec.restart.targets[0].selector.matchLabels: must be labels, such as app: web",
            )
            for labels in ({"two words": ""}, {"a": "b,c=d"}, {"a": "é"})
        ),
        ({"consumers": True, "delay": "25h"}, "spec.restart.delay: must be at most 24h"),
        ({"consumers": True, "delay": "soon"}, "spec.restart.delay: must be a duration such as 30s, 5m or 1h30m"),
        (
            {"consumers": True, "windows": [{"from": "24:00", "to": "05:00"}]},
            "spec.restart.windows[0].from: must be a time from 00:00 to 23:59",
        ),
        (
            {"consumers": True, "windows": [{"from": "22:00", "to": "05:00", "timezone": "Mars/Base"}]},
            "spec.restart.windows[0].timezone: must be the name of a time zone, such as Europe/Berlin or UTC",
        ),
        (
            {"consumers": True, "windows": [{"from": "22:00", "to": "05:00", "timezone": "Europe"}]},
            "spec.restart.windows[0].timezone: must be the name of a time zone, such as Europe/Berlin or UTC",
        ),
        (
            {"consumers": True, "windows": [{"from": "22:00", "to": "05:00", "timezone": "../etc/passwd"}]},
            "spec.restart.windows[0].timezone: must be the name of a time zone, such as Europe/Berlin or UTC",
        ),
        (
            {"consumers": True, "windows": [{"days": ["Monday"], "from": "22:00", "to": "05:00"}]},
            "spec.restart.windows[0].days[0]: must be 'Mon', ",
        ),
    ],
)
def test_what_is_wrong_is_named(fields, message):
    with pytest.raises(Rejected) as caught:
        restart(**fields)
    assert caught.value.message.startswith(message)


def test_defaults():
    spec = restart(consumers=True, windows=[{"from": "22:00", "to": "05:00"}]).spec.restart
    assert (spec.seconds, spec.windows[0].timezone, spec.windows[0].days) == (30.0, "UTC", ())
    assert restart(consumers=True, delay="0s").spec.restart.seconds == 0.0


@pytest.mark.parametrize("status", [None, {}, {"revision": "x"}, {"revision": 1, "restartedRevision": 1}])
def test_what_is_not_behind(status):
    obj = {"metadata": {"name": "a"}, "spec": {"restart": {"consumers": True}}, "status": status}
    assert not is_behind(obj)
    assert is_behind({**obj, "status": {"revision": 1}})
    assert not is_behind({**obj, "spec": {}, "status": {"revision": 1}})


def test_a_status_keeps_the_latest_restarts():
    status = {"restarts": ["x", {"kind": 1}]}
    for number in range(MOST_WORKLOADS + 10):
        status = with_entry(status, Entry("Deployment", f"web-{number}", 1, f"2026-01-01T12:00:{number:04}Z"))
    kept = entries(status)
    assert len(status["restarts"]) == len(kept) == MOST_WORKLOADS
    assert ("Deployment", "web-9") not in kept
    assert ("Deployment", f"web-{MOST_WORKLOADS + 9}") in kept
