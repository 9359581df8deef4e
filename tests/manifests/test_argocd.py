"""manifests/argocd: the health that Argo CD shows for a SyncedSecret, and its actions."""

from __future__ import annotations

import copy

import pytest

from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.sync import status
from tests.support.argocd import act, disabled_actions, health

REFRESH = "secrets.contentful.com/refresh"


def synced_secret(*conditions, generation=2, **spec):
    metadata = {"name": "demo", "namespace": "demo", "generation": generation}
    return {"metadata": metadata, "spec": {"data": [], **spec}, "status": {"conditions": list(conditions)}}


def ready(reason, generation=2):
    status = "True" if reason == Reason.SYNCED else "False"
    return {
        "type": "Ready",
        "status": status,
        "reason": str(reason),
        "message": "why",
        "observedGeneration": generation,
    }


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("kind", [Rejected, Unavailable])
def test_health_is_what_the_status_says_of_each_reason_and_shows_its_message(reason, kind):
    content = status.failed({}, kind(reason, "why"), generation=2, now=0.0)
    expected = "Progressing" if kind is Unavailable or reason is Reason.SECRET_MISSING else "Degraded"
    if reason is Reason.SYNCED:
        content, expected = {"conditions": [ready(reason)]}, "Healthy"
    if reason is Reason.SUSPENDED:
        content, expected = {"conditions": [ready(reason)]}, "Suspended"
    found = health(synced_secret({**ready(reason), "type": "Other"}, *content["conditions"]))
    assert found == {"status": expected, "message": f"{reason}: why"}


@pytest.mark.parametrize(
    "obj",
    [
        {"metadata": {"generation": 1}, "spec": {}},
        {"metadata": {"generation": 1}, "spec": {}, "status": {}},
        synced_secret(),
        synced_secret({**ready(Reason.SYNCED), "type": "Other"}),
        synced_secret(ready(Reason.SYNCED, generation=1)),
    ],
    ids=["no status", "an empty status", "no conditions", "conditions of others", "an older generation"],
)
def test_it_waits_for_the_operator_to_see_the_object(obj):
    assert health(obj) == {"status": "Progressing", "message": "Waiting for the operator"}


def test_actions_that_make_no_sense_are_disabled():
    running = {"refresh": False, "suspend": False, "resume": True}
    assert disabled_actions(synced_secret()) == running
    assert disabled_actions(synced_secret(suspend=False)) == running
    assert disabled_actions(synced_secret(suspend=True)) == {"refresh": True, "suspend": True, "resume": False}


def test_suspend_and_resume_change_only_that_field():
    before = synced_secret(ready(Reason.SYNCED))
    before["spec"]["data"] = [{"name": "a", "value": "1"}]
    suspended = act("suspend", copy.deepcopy(before))
    assert suspended["spec"].pop("suspend") is True
    assert suspended == before
    assert act("resume", {**before, "spec": {**before["spec"], "suspend": True}}) == before


@pytest.mark.parametrize("annotations", [{}, {"note": "a"}, {REFRESH: "1"}])
def test_refresh_sets_the_annotation_to_the_time_and_leaves_the_others(annotations):
    before = synced_secret(ready(Reason.SYNCED))
    if annotations:
        before["metadata"]["annotations"] = annotations
    after = act("refresh", before)["metadata"]["annotations"]
    stamp = after.pop(REFRESH)
    assert stamp[:2] == "20"
    assert stamp[-1] == "Z"
    assert after == {name: text for name, text in annotations.items() if name != REFRESH}
