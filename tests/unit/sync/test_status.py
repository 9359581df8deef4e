"""The status: its content, when it changes, and what it never contains."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.aws.services import SERVICES
from secretsyncer.errors import MESSAGE_LIMIT, Reason, Rejected, Unavailable
from secretsyncer.kube.objects import timestamp
from secretsyncer.sync import status
from secretsyncer.sync.status import SOURCES_LIMIT, Source
from secretsyncer.synced_secret.status import SyncedSecretStatus
from tests.support import fast_yaml

NOON, LATER = 1_767_355_200.0, 1_767_358_800.0
MYSQL = Source("mysql", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf", "v1")
REDIS = Source("redis", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redis-AbCdEf", "v7")
DENIED = Rejected(Reason.ACCESS_DENIED, "the role may not read mysql")
SLOW = Unavailable(Reason.AWS_UNAVAILABLE, "AWS does not answer")
OTHERS = {"type": "Audited", "status": "True", "reason": "Checked", "lastTransitionTime": "2020-01-01T00:00:00Z"}
CRD = Path(__file__).parents[3] / "manifests" / "crd.yaml"


def synced(old=None, *, generation=1, sources=(MYSQL,), keys=2, now=NOON):
    return status.synced(old or {}, generation=generation, sources=sources, keys=keys, now=now)


def failed(old=None, failure=DENIED, *, generation=1, now=NOON):
    return status.failed(old or {}, failure, generation=generation, now=now)


def ready(of):
    (condition,) = [condition for condition in of["conditions"] if condition["type"] == "Ready"]
    return condition


def states(of):
    """The status of each condition by type."""
    return {condition["type"]: condition["status"] for condition in of["conditions"]}


def test_a_synced_object_has_the_reason_synced():
    assert synced() == {
        "observedGeneration": 1,
        "currentVersionID": "v1",
        "generatedSecretHash": status.input_hash(1, [MYSQL]),
        "sources": [{"service": "SecretsManager", "name": "mysql", "arn": MYSQL.arn, "versionID": "v1"}],
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Synced",
                "message": "2 keys from 1 AWS secret",
                "observedGeneration": 1,
                "lastTransitionTime": "2026-01-02T12:00:00Z",
            }
        ],
        "lastSyncTime": "2026-01-02T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("keys", "sources", "message"),
    [
        (0, (), "0 keys"),
        (1, (), "1 key"),
        (1, (MYSQL,), "1 key from 1 AWS secret"),
        (3, (MYSQL, REDIS, MYSQL), "3 keys from 2 AWS secrets"),
    ],
)
def test_the_message_counts(keys, sources, message):
    assert ready(synced(keys=keys, sources=sources))["message"] == message


def test_a_failure_has_a_reason_and_keeps_what_was_last_synced():
    before = synced()
    after = failed(before, generation=2, now=LATER)
    assert {name: part for name, part in after.items() if name not in {"conditions", "observedGeneration"}} == {
        name: part for name, part in before.items() if name not in {"conditions", "observedGeneration"}
    }
    assert after["observedGeneration"] == 2
    assert ready(after) == {
        "type": "Ready",
        "status": "False",
        "reason": "AccessDenied",
        "message": "the role may not read mysql",
        "observedGeneration": 2,
        "lastTransitionTime": "2026-01-02T13:00:00Z",
    }


def test_an_object_that_failed_from_the_start_has_no_time_of_a_sync():
    assert failed().keys() == {"observedGeneration", "conditions"}


def test_a_suspended_object_has_that_reason_and_keeps_what_was_last_synced():
    after = status.suspended(synced(), generation=2, now=LATER)
    assert (ready(after)["status"], ready(after)["reason"]) == ("False", "Suspended")
    assert (after["currentVersionID"], after["observedGeneration"]) == ("v1", 2)


# What deployment tools wait for


def test_stalled_and_reconciling_say_who_must_act_and_are_absent_otherwise():
    assert states(synced()) == {"Ready": "True"}
    assert states(status.suspended({}, generation=1, now=NOON)) == {"Ready": "False"}
    assert states(failed()) == {"Ready": "False", "Stalled": "True"}
    assert states(failed(failure=SLOW)) == {"Ready": "False", "Reconciling": "True"}


@pytest.mark.parametrize("failure", [DENIED, SLOW])
def test_the_second_condition_has_reason_message_and_generation_of_ready(failure):
    first, second = failed(failure=failure, generation=3)["conditions"]
    same = ("reason", "message", "observedGeneration", "lastTransitionTime")
    assert [first[field] for field in same] == [second[field] for field in same]
    assert second["observedGeneration"] == 3


def test_each_outcome_replaces_the_conditions_of_the_one_before():
    current = {"conditions": [OTHERS]}
    for step, expected in [
        (failed, {"Ready": "False", "Stalled": "True"}),
        (lambda old: failed(old, SLOW), {"Ready": "False", "Reconciling": "True"}),
        (failed, {"Ready": "False", "Stalled": "True"}),
        (lambda old: status.suspended(old, generation=1, now=NOON), {"Ready": "False"}),
        (lambda old: failed(old, SLOW), {"Ready": "False", "Reconciling": "True"}),
        (synced, {"Ready": "True"}),
    ]:
        current = step(current)
        assert states(current) == {"Audited": "True", **expected}


def test_the_time_of_stalled_is_when_somebody_had_to_act():
    slow = failed(failure=SLOW, now=NOON)
    stuck = failed(slow, now=LATER)
    again = failed(stuck, Rejected(Reason.CONFLICT, "taken"), now=LATER + 60)
    assert ready(again)["lastTransitionTime"] == "2026-01-02T12:00:00Z"
    assert status.condition(again, "Stalled")["lastTransitionTime"] == "2026-01-02T13:00:00Z"


def test_a_status_without_the_second_condition_gets_it_once():
    """As after an update from a version that did not write it."""
    before = failed()
    before["conditions"] = [ready(before)]
    patch = status.patch(before, failed(before, now=LATER))
    assert patch["status"].keys() == {"conditions"}
    after = {**before, **patch["status"]}
    assert ready(after) == ready(before)
    assert status.patch(after, failed(after, now=LATER + 60)) is None


# When something is new


def test_nothing_new_is_no_patch():
    before = synced()
    assert status.patch(before, synced(before, now=LATER)) is None
    broken = failed(before)
    assert status.patch(broken, failed(broken, now=LATER)) is None
    idle = status.suspended(before, generation=1, now=NOON)
    assert status.patch(idle, status.suspended(idle, generation=1, now=LATER)) is None


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"sources": (MYSQL._replace(version_id="v2"),)}, {"currentVersionID", "generatedSecretHash", "sources"}),
        ({"sources": (MYSQL, REDIS)}, {"currentVersionID", "generatedSecretHash", "sources", "conditions"}),
        ({"keys": 3}, {"conditions"}),
        ({"generation": 2}, {"observedGeneration", "generatedSecretHash", "conditions"}),
    ],
)
def test_a_patch_holds_what_is_new_and_the_time_of_the_sync(change, fields):
    before = synced()
    patch = status.patch(before, synced(before, now=LATER, **change))
    assert patch["status"].keys() == fields | {"lastSyncTime"}
    assert patch["status"]["lastSyncTime"] == "2026-01-02T13:00:00Z"


def test_the_time_of_the_sync_is_given_where_it_lacks():
    before = synced()
    del before["lastSyncTime"]
    assert status.patch(before, synced(before, now=LATER)) == {"status": {"lastSyncTime": "2026-01-02T13:00:00Z"}}


def test_the_status_of_the_go_operator_is_taken_over():
    assert status.patch({"currentVersionID": ""}, synced({"currentVersionID": ""}))["status"] == synced()


def test_the_time_of_transition_moves_only_when_ready_flips():
    first = synced(now=NOON)
    moments = [ready(first)["lastTransitionTime"]]
    current = first
    for step in (
        lambda old: synced(old, keys=9, now=NOON + 60),
        lambda old: failed(old, now=NOON + 120),
        lambda old: failed(old, Unavailable(Reason.AWS_UNAVAILABLE, "slow"), now=NOON + 180),
        lambda old: status.suspended(old, generation=1, now=NOON + 240),
        lambda old: synced(old, now=NOON + 300),
    ):
        current = step(current)
        moments.append(ready(current)["lastTransitionTime"])
    assert [moment[14:16] for moment in moments] == ["00", "00", "02", "02", "02", "05"]


def test_the_time_of_transition_is_given_where_it_lacks():
    old = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert ready(synced(old))["lastTransitionTime"] == "2026-01-02T12:00:00Z"


def test_another_request_id_alone_is_not_a_change():
    first = failed(failure=Rejected(Reason.ACCESS_DENIED, "denied (request id 1-2-3)"))
    again = failed(first, Rejected(Reason.ACCESS_DENIED, "denied (request id 4-5-6)"), now=LATER)
    assert status.patch(first, again) is None
    other = failed(first, Rejected(Reason.ACCESS_DENIED, "denied, again (request id 4-5-6)"), now=LATER)
    assert status.patch(first, other)


def test_conditions_of_others_stay():
    before = synced({"conditions": [OTHERS]})
    assert before["conditions"][0] == OTHERS
    for after in (failed(before), status.suspended(before, generation=1, now=NOON), synced(before)):
        assert OTHERS in after["conditions"]
        assert [c["type"] for c in after["conditions"]].count("Audited") == 1
    assert status.patch(before, synced(before, now=LATER)) is None


@pytest.mark.parametrize("old", [{}, {"conditions": None}, {"conditions": []}, {"conditions": [OTHERS]}])
def test_an_object_without_our_condition_has_no_reason(old):
    assert status.ready_reason(old) == ""


def test_the_reason_is_that_of_our_condition():
    assert status.ready_reason(failed({"conditions": [OTHERS]})) == "AccessDenied"


def test_a_message_is_never_longer_than_an_event_takes():
    assert len(ready(failed(failure=Rejected(Reason.CONFLICT, "x" * 9000)))["message"]) == MESSAGE_LIMIT


# Versions


def test_one_source_gives_its_version_and_several_give_a_digest():
    assert status.current_version([]) == ""
    assert status.current_version([MYSQL, MYSQL]) == "v1"
    assert status.current_version([Source("a@b", "arn", "v1")]) == "v1"
    both = status.current_version([MYSQL, REDIS])
    assert len(both) == 16
    assert both == status.current_version([REDIS, MYSQL])
    assert both != status.current_version([MYSQL, REDIS._replace(version_id="v8")])


def test_the_hash_is_made_of_generation_names_and_versions_only():
    base = status.input_hash(1, [MYSQL, REDIS])
    assert base == status.input_hash(1, [REDIS, MYSQL, MYSQL])
    assert base != status.input_hash(2, [MYSQL, REDIS])
    assert base != status.input_hash(1, [MYSQL])
    assert base != status.input_hash(1, [MYSQL, REDIS._replace(version_id="v8")])


def test_of_many_sources_some_are_listed_by_name_and_all_are_counted():
    many = tuple(Source(f"s{n:03}", f"arn:{n}", "v1") for n in reversed(range(SOURCES_LIMIT + 7)))
    made = synced(sources=many)
    assert [source["name"] for source in made["sources"]] == [f"s{n:03}" for n in range(SOURCES_LIMIT)]
    assert f"from {SOURCES_LIMIT + 7} AWS secrets" in ready(made)["message"]
    last = many[0]._replace(version_id="v2")
    assert synced(made, sources=(last, *many[1:]))["generatedSecretHash"] != made["generatedSecretHash"]


# The schema


def _pruned(schema, value):
    """What the API server keeps of a value."""
    if isinstance(value, dict) and "properties" in schema:
        return {
            name: _pruned(schema["properties"][name], part)
            for name, part in value.items()
            if name in schema["properties"]
        }
    if isinstance(value, list):
        return [_pruned(schema["items"], part) for part in value]
    return value


@pytest.mark.parametrize(
    "made", [synced(sources=(MYSQL, REDIS)), failed(), status.suspended({}, generation=1, now=NOON)]
)
def test_the_api_server_keeps_every_field_so_that_a_status_becomes_stable(made):
    (version,) = fast_yaml.load(CRD.read_text())["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert _pruned(schema, made) == made


@pytest.mark.parametrize("reason", Reason)
def test_a_status_has_only_declared_fields_within_their_limits(reason):
    written = (
        synced(sources=(MYSQL, REDIS)) if reason is Reason.SYNCED else failed(failure=Rejected(reason, "x" * 5000))
    )
    SyncedSecretStatus.model_validate(written)


SOURCES = st.lists(
    st.builds(Source, *map(st.sampled_from, ("abc", ["x", "y"], ["v1", "v2"], [*SERVICES]))),
    max_size=4,
).map(tuple)
STEPS = st.one_of(
    st.tuples(st.just("synced"), st.integers(1, 3), SOURCES),
    st.tuples(st.just("failed"), st.integers(1, 3), st.sampled_from([*Reason])),
    st.tuples(st.just("suspended"), st.integers(1, 3), st.none()),
)


@given(st.lists(STEPS, max_size=6))
def test_after_any_history_a_patch_gives_the_new_status_and_the_same_status_needs_none(history):
    current = {"conditions": [OTHERS]}
    for hour, (kind, generation, what) in enumerate(history):

        def step(old, now, kind=kind, generation=generation, what=what):
            if kind == "synced":
                return synced(old, generation=generation, sources=what, now=now)
            if kind == "failed":
                return failed(old, Rejected(what, "no"), generation=generation, now=now)
            return status.suspended(old, generation=generation, now=now)

        new = step(current, NOON + 3600 * hour)
        patch = status.patch(current, new)
        current = {**current, **(patch["status"] if patch else {})}
        assert current == new
        assert status.patch(current, step(current, NOON + 3600 * hour + 60)) is None
        assert OTHERS in current["conditions"]
        json.dumps(current)


def test_what_is_remarked_of_the_spec_is_in_the_message():
    made = status.synced({}, generation=1, sources=(), keys=0, now=NOON, remarks=["data[0] (a) is skipped", "b"])
    assert ready(made)["message"] == "0 keys; data[0] (a) is skipped; b"


# Restarts


def revised(old, revision, now=NOON):
    made = status.synced(old, generation=1, sources=(MYSQL,), keys=1, now=now, revision=revision)
    return {field: made.get(field) for field in status.RESTART_FIELDS if field in made}


@pytest.mark.parametrize(
    ("old", "revision", "restarted"),
    [
        pytest.param({}, 0, 0, id="spec.restart is new"),
        pytest.param({}, 1, 0, id="the data changed together with spec.restart"),
        pytest.param({"revision": 4, "restartedRevision": 4}, 5, 4, id="a change"),
        pytest.param({"revision": 4}, 4, 4, id="a status of somebody else"),
        pytest.param({"revision": "x", "restartedRevision": -1}, 4, 0, id="a status that cannot be read"),
        pytest.param({"revision": 4, "restartedRevision": 9}, 4, 4, id="more than there were"),
    ],
)
def test_restarts_are_due_for_what_has_changed(old, revision, restarted):
    made = revised(old, revision)
    assert (made["revision"], made["restartedRevision"]) == (revision, restarted)


def test_the_time_of_a_revision_is_that_of_its_first_report():
    first = revised({}, 1)
    assert first["revisionTime"] == timestamp(NOON)
    assert revised(first, 1, now=LATER)["revisionTime"] == timestamp(NOON)
    assert revised(first, 2, now=LATER)["revisionTime"] == timestamp(LATER)
