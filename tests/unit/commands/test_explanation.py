"""What `why` and `status` show of objects."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from secretsyncer.commands import explanation, manifests, terminal
from secretsyncer.commands.status import report
from secretsyncer.commands.steering import patch
from secretsyncer.commands.terminal import Screen
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.explain.explanation import CHECK_THE_OPERATOR, EVENTS, NEXT, NEXT_OF_RESTARTS, Facts, explain
from secretsyncer.explain.state import Acts, state_of
from secretsyncer.kube.objects import timestamp
from secretsyncer.sync import status
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.restart_memory import WAITING, Entry, with_entry
from secretsyncer.sync.restart_memory import Reason as RestartReason
from secretsyncer.sync.restart_memory import explained as explained_restart
from secretsyncer.sync.status import Source
from tests.support.builders import ANNOTATION, namespace, secret_arn, synced_secret
from tests.support.specs import literal

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
RULES = Rules(ANNOTATION, require_annotation=False)
SOURCE = Source("app", secret_arn("app"), "11111111-2222-3333-4444-555555555555")
DENIED = Rejected(Reason.ACCESS_DENIED, "role reader may not read app")
SLOW = Unavailable(Reason.AWS_UNAVAILABLE, "AWS does not answer")


def obj(name="demo", *, content=None, generation=1, **spec):
    made = synced_secret(literal("a", "1"), name=name, generation=generation, **spec)
    made["metadata"]["creationTimestamp"] = timestamp(NOON)
    return {**made, "status": content} if content is not None else made


def synced(old=None, now=NOON):
    return status.synced(old or {}, generation=1, sources=(SOURCE,), keys=1, now=now)


def failed(failure, old=None, now=NOON):
    return status.failed(old or {}, failure, generation=1, now=now)


SUSPENDED = status.suspended({}, generation=1, now=NOON)
STATES = [
    (obj(content=synced()), Acts.NOBODY, "Synced"),
    (obj(content=failed(DENIED)), Acts.SOMEBODY, "AccessDenied"),
    (obj(content=failed(SLOW)), Acts.OPERATOR, "AWSUnavailable"),
    (obj(content=SUSPENDED), Acts.SUSPENDED, "Suspended"),
    (obj(), Acts.PENDING, "NotReported"),
    (obj(content={}), Acts.PENDING, "NotReported"),
    (obj(content=synced(), generation=2), Acts.PENDING, "Edited"),
]


@pytest.mark.parametrize(("made", "acts", "reason"), STATES)
def test_the_state_says_who_acts_next(made, acts, reason):
    assert state_of(made)[:2] == (acts, reason)


@pytest.mark.parametrize(("failure", "acts"), [(DENIED, Acts.SOMEBODY), (SLOW, Acts.OPERATOR)])
def test_the_state_of_a_status_with_ready_alone_follows_from_its_reason(failure, acts):
    content = failed(failure)
    content["conditions"] = content["conditions"][:1]
    assert state_of(obj(content=content)).acts is acts


def test_an_object_that_is_being_deleted_is_pending_and_says_who_holds_it():
    made = obj(content=synced())
    made["metadata"] |= {"deletionTimestamp": timestamp(NOON), "finalizers": ["example.com/hold"]}
    assert state_of(made) == (Acts.PENDING, "Deleting", timestamp(NOON), "finalizers: example.com/hold")


# status


def lines(*objects, screen=None):
    return list(report(objects, "in namespace team", screen or Screen(), now=NOON + 300))


def test_status_shows_what_is_not_ready_by_urgency_and_counts_all():
    assert lines(
        obj("new"),
        obj("good", content=synced()),
        obj("slow", content=failed(SLOW)),
        obj("idle", content=SUSPENDED),
        obj("denied", content=failed(DENIED)),
    ) == [
        "OBJECT        STATE           REASON           SINCE   MESSAGE",
        "team/denied   change needed   AccessDenied     5 min   role reader may not read app",
        "team/slow     retrying        AWSUnavailable   5 min   AWS does not answer",
        f"team/new      pending         NotReported      5 min   {state_of(obj()).message}",
        "team/idle     suspended       Suspended        5 min   spec.suspend is true: the Secret stays as it is",
        "",
        "5 SyncedSecrets in namespace team; change needed: 1, retrying: 1, pending: 1, suspended: 1, ready: 1",
    ]


def test_status_of_a_namespace_without_trouble_is_one_line():
    assert lines() == ["no SyncedSecret in namespace team"]
    assert lines(obj(content=synced())) == ["1 SyncedSecret in namespace team; all are ready"]


def test_since_is_when_ready_became_false_and_not_when_the_reason_changed():
    content = failed(SLOW, failed(DENIED, synced(now=NOON - 7200), now=NOON - 3600), now=NOON)
    assert lines(obj(content=content))[1].split()[3:5] == ["1", "h"]


# On a terminal


@pytest.fixture
def on_a_terminal(monkeypatch):
    def made(columns=80, **environment):
        monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        return Screen()

    return made


def test_only_a_terminal_gets_colours_and_none_if_the_user_wants_none(on_a_terminal):
    denied = obj(content=failed(DENIED))
    assert "\x1b" not in "".join(lines(denied))
    assert "\x1b[31mchange needed\x1b[0m" in "".join(lines(denied, screen=on_a_terminal()))
    assert "\x1b" not in "".join(lines(denied, screen=on_a_terminal(NO_COLOR="1")))


def test_lines_of_a_table_end_where_the_terminal_does(on_a_terminal):
    long = obj(content=failed(Rejected(Reason.CONFLICT, "x" * 500)))
    assert lines(long)[1].endswith("x" * 500)
    cut = lines(long, screen=on_a_terminal(90, NO_COLOR="1"))[1]
    assert (len(cut), cut[-2:]) == (90, "x…")


def test_nothing_from_the_cluster_controls_the_terminal(on_a_terminal):
    evil = Rejected(Reason.CONFLICT, "a\x1b[2J\r\nb\u202e")
    event = {"metadata": {}, "message": "\x1b]0;x\x07", "reason": "\x1b", "lastTimestamp": timestamp(NOON)}
    made = obj(content=failed(evil), IAMRole="\x1b[2J")
    made["metadata"]["annotations"] = {"x": "\x1b"}
    screen = on_a_terminal(NO_COLOR="1")
    shown = [*lines(made, screen=screen), *explained(made, events=[event], screen=screen)]
    problems = {"events": "forbidden: \x1b[2J", "namespace": "forbidden: \x1b[2J"}
    shown += explained(made, space=False, problems=problems, screen=screen)
    assert all(line.isprintable() for line in shown), shown


def test_nothing_in_a_problem_controls_the_terminal(capsys):
    """Names in the files of others are quoted."""
    manifests.report(["object a/b: \x1b[2J\r\nok"])
    assert capsys.readouterr().err == "secretsyncer: object a/b:  [2J  ok\n"


# why


def explained(made, *, events=(), screen=None, space=True, problems=None):
    facts = Facts(made, namespace() if space else None, events, problems or {})
    return list(explanation.lines(explain(facts, RULES), screen or Screen(), now=NOON + 300))


def sections(shown):
    """The lines of each section, without their indent."""
    found, title = {}, ""
    for line in shown:
        if line.startswith("  "):
            found[title].append(line.strip())
        elif line:
            title = line
            found[title] = []
    return found


def test_why_shows_everything_about_one_object():
    event = {
        "metadata": {},
        "type": "Warning",
        "reason": "AccessDenied",
        "count": 3,
        "message": "role reader may not read app",
        "lastTimestamp": timestamp(NOON + 240),
    }
    content = failed(DENIED, synced(now=NOON - 86_400))
    shown = explained(obj(content=content, IAMRole="reader", target={"name": "web"}), events=[event])
    assert shown[0] == "SyncedSecret team/demo is not ready: somebody has to change something"
    assert sections(shown[1:]) == {
        "Condition": ["AccessDenied, since 2026-01-01T12:00:00Z (5 min ago)", "role reader may not read app"],
        "Access": [f"allowed: namespace team has no annotation {ANNOTATION}, so it may use every role"],
        "Secret": ["team/web, last synced 2025-12-31T12:00:00Z (1 d ago)"],
        "Sources": [
            "SERVICE          NAME   VERSION ID                             ARN",
            f"SecretsManager   app    {SOURCE.version_id}   {SOURCE.arn}",
        ],
        "Events": ["1 min ago   Warning   AccessDenied   x3   role reader may not read app"],
        "What to do next": [
            "Give the role the permission that the message names: secretsyncer iam-policy prints the policy.",
            "docs/runbook.md#accessdenied",
        ],
    }


def test_status_shows_restarts_that_somebody_has_to_make_possible():
    def told(name, reason):
        content = explained_restart(synced(), reason, "it is", generation=1, now=NOON)
        return obj(name, content=content)

    waiting = told("a", RestartReason.WAITING_FOR_WINDOW)
    shown = lines(told("c", RestartReason.PAUSED), waiting, told("b", RestartReason.RESTARTED))
    assert shown == [
        "OBJECT   RESTARTS   SINCE   MESSAGE",
        "team/c   Paused     5 min   it is",
        "",
        "3 SyncedSecrets in namespace team; all are ready",
    ]


def test_why_shows_restarts_if_the_object_asks_for_any():
    content = synced() | {"revision": 3, "restartedRevision": 2, "revisionTime": timestamp(NOON)}
    content = with_entry(content, Entry("Deployment", "web", 3, timestamp(NOON + 60)))
    content = with_entry(content, Entry("StatefulSet", "db", 3, timestamp(NOON + 120), pending=True))
    content = explained_restart(content, RestartReason.PAUSED, "it is paused", generation=1, now=NOON)
    shown = sections(explained(obj(content=content, restart={"consumers": True})))
    assert shown["Restarts"] == [
        "due for revision 3 of 2026-01-01T12:00:00Z, after a delay of 30s, Paused since 2026-01-01T12:00:00Z (5 min ago)",
        "it is paused",
        "WORKLOAD         REVISION   RESTARTED",
        "Deployment web   3          2026-01-01T12:01:00Z (4 min ago)",
        "StatefulSet db   3          begun",
    ]
    assert sections(explained(obj(content=synced(), restart={"consumers": True})))["Restarts"] == [
        "nothing is due: the data have not changed"
    ]
    done = synced() | {"revision": 3, "restartedRevision": 3}
    assert sections(explained(obj(content=done, restart={"consumers": True})))["Restarts"] == [
        "nothing is due: revision 3"
    ]
    assert "Restarts" not in sections(explained(obj(content=synced())))


def test_why_shows_the_last_events_the_newest_last():
    events = [
        {"metadata": {"creationTimestamp": timestamp(NOON + n)}, "reason": f"R{n}", "eventTime": None}
        for n in (3, 1, 9, 5, 2, 7, 8)
    ]
    shown = sections(explained(obj(content=synced()), events=events))["Events"]
    assert [line.split()[3] for line in shown] == [f"R{n}" for n in (3, 5, 7, 8, 9)]
    assert len(shown) == EVENTS


def test_why_says_what_it_may_not_read():
    problems = {"namespace": "Forbidden: no", "events": "Forbidden: no"}
    shown = sections(explained(obj(content=synced()), space=False, problems=problems))
    assert shown["Access"] == ["not known: Forbidden: no"]
    assert shown["Events"] == ["not known: Forbidden: no"]


def test_why_of_an_object_that_nobody_has_seen_asks_for_the_operator():
    shown = sections(explained(obj()))
    assert shown["Secret"] == ["team/demo, not synced yet"]
    assert shown["Sources"] == ["none synced yet"]
    assert shown["What to do next"] == [CHECK_THE_OPERATOR]


def test_why_of_an_invalid_spec_does_not_guess_about_access():
    shown = sections(explained(obj(content=synced(), unknown=1)))
    assert shown["Access"] == ["not checked, because the spec is not valid: spec.unknown: unknown field"]


def test_why_of_a_reason_of_a_newer_operator_says_so():
    content = failed(DENIED)
    content["conditions"][0]["reason"] = "Newer"
    assert "Use the version of the operator" in sections(explained(obj(content=content)))["What to do next"][0]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_next_step(reason):
    if reason is Reason.SYNCED:
        content = synced()
    elif reason is Reason.SUSPENDED:
        content = SUSPENDED
    else:
        content = failed(Rejected(reason, "no"))
    advice, link = sections(explained(obj(content=content)))["What to do next"]
    assert advice == NEXT[reason].format(key="team/demo", namespace="team", name="demo")
    assert link == f"docs/runbook.md#{reason.lower()}"


@pytest.mark.parametrize("reason", sorted({*RestartReason} - WAITING - {RestartReason.RESTARTED}))
def test_every_reason_that_blocks_restarts_has_a_next_step(reason):
    content = explained_restart(synced(), reason, "it is", generation=1, now=NOON)
    shown = explained(obj(content=content, restart={"consumers": True}))
    assert shown[0] == "SyncedSecret team/demo is ready, but workloads could not be restarted"
    assert sections(shown)["What to do next"] == [
        NEXT_OF_RESTARTS[reason],
        "docs/restarts.md#the-condition-restarted",
    ]


def test_why_of_what_is_not_ready_speaks_of_that_first():
    content = explained_restart(failed(DENIED), RestartReason.PAUSED, "it is", generation=1, now=NOON)
    assert sections(explained(obj(content=content, restart={"consumers": True})))["What to do next"] == [
        NEXT[Reason.ACCESS_DENIED],
        "docs/runbook.md#accessdenied",
    ]


# refresh, suspend, resume


def test_patches_change_one_field():
    moment = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    assert patch("suspend", moment) == {"spec": {"suspend": True}}
    assert patch("resume", moment) == {"spec": {"suspend": None}}
    refresh = patch("refresh", moment)["metadata"]["annotations"]
    assert refresh == {"secrets.contentful.com/refresh": moment.isoformat()}
