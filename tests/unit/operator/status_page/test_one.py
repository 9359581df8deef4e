"""The page of one object: the same explanation as that of `why`."""

from __future__ import annotations

import pytest

from secretsyncer.errors import Reason, Rejected
from secretsyncer.explain.explanation import Facts, explain
from secretsyncer.kube.objects import timestamp
from secretsyncer.operator.status_page.layout import Frame
from secretsyncer.operator.status_page.one import missing, one
from secretsyncer.sync import status
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.restart_memory import Entry, explained, with_entry
from secretsyncer.sync.restart_memory import Reason as RestartReason
from secretsyncer.sync.status import Source
from tests.support.builders import ACCOUNT, ANNOTATION, namespace, secret_arn
from tests.support.html import Reading
from tests.support.pages import reported

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
RULES = Rules(ANNOTATION, require_annotation=False)
SOURCE = Source("app", secret_arn("app"), "11111111-2222-3333-4444-555555555555")
EVIL = "<script>alert('\"&')</script>"


def failed(reason, message="no"):
    before = status.synced({}, generation=1, sources=(SOURCE,), keys=1, now=NOON - 86_400)
    return status.failed(before, Rejected(reason, message), generation=1, now=NOON - 300)


def shown(obj, *, events=(), space=None, account=ACCOUNT):
    facts = Facts(obj, space or namespace(), events, {})
    found = explain(facts, RULES, account=account, otherwise="not known yet")
    return found, Reading(one(Frame("../../", "leader", NOON), found))


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.SYNCED])
def test_it_says_what_why_says(reason):
    event = {
        "metadata": {},
        "type": "Warning",
        "reason": str(reason),
        "count": 3,
        "message": "no",
        "lastTimestamp": timestamp(NOON - 60),
    }
    found, reading = shown(reported("demo", "team", failed(reason), target={"name": "web"}), events=[event])
    assert reading.headings == ["demo", "What to do next", "State", "Sources", "Events", "In a terminal"]
    for text in (found.state.reason, found.state.message, f"It {found.headline}.", *found.next_steps):
        assert text in reading.text
    assert reading.facts == {
        "Since": "5 min ago",
        "Last synced": "1 d ago",
        "Secret": "team/web",
        "Access": f"Allowed: namespace team has no annotation {ANNOTATION}, so it may use every role",
    }
    sources, events = (rows[1:] for rows in reading.tables)
    assert sources == [{"": "app", "Service": "SecretsManager", "Version ID": SOURCE.version_id, "ARN": SOURCE.arn}]
    assert events == [{"": "1 min ago", "Type": "Warning", "Reason": reason, "Count": "3", "Message": "no"}]


def test_it_shows_restarts_if_the_object_asks_for_any():
    content = failed(Reason.CONFLICT) | {"revision": 3, "restartedRevision": 2, "revisionTime": timestamp(NOON)}
    content = with_entry(content, Entry("Deployment", "web", 3, timestamp(NOON - 60)))
    content = with_entry(content, Entry("StatefulSet", "db", 3, timestamp(NOON), pending=True))
    content = explained(content, RestartReason.PAUSED, "StatefulSet db is paused", generation=1, now=NOON)
    _, reading = shown(reported("demo", "team", content, restart={"consumers": True}))
    assert "Restarts" in reading.headings
    assert (
        "Due for revision 3 of 2026-01-01T12:00:00Z, after a delay of 30s (Paused: StatefulSet db is paused)."
        in reading.text
    )
    assert reading.tables[1][1:] == [
        {"": "Deployment web", "Revision": "3", "Restarted": "1 min ago"},
        {"": "StatefulSet db", "Revision": "3", "Restarted": "begun"},
    ]
    _, reading = shown(reported("demo", "team", failed(Reason.CONFLICT), restart={"consumers": True}))
    assert "Nothing is due: the data have not changed." in reading.text


def test_what_is_not_there_is_said():
    _, reading = shown(reported("demo", "team", {}))
    assert (reading.facts["Since"], reading.facts["Last synced"]) == ("not known", "not yet")
    assert "None" in reading.text
    assert "This process has sent none lately." in reading.text


@pytest.mark.parametrize(
    ("account", "access"),
    [(ACCOUNT, "Denied: "), ("", "allowed only if the operator's AWS account is 999999999999")],
)
def test_a_role_that_the_namespace_does_not_allow_is_denied(account, access):
    space = namespace(roles=["arn:aws:iam::999999999999:role/reader"])
    _, reading = shown(reported("demo", "team", {}, IAMRole="reader"), space=space, account=account)
    assert reading.facts["Access"].startswith(access)
    assert reading.facts["Access"].endswith("not known yet") is not bool(account)


def test_its_links_lead_to_the_list_and_to_the_namespace():
    _, reading = shown(reported("demo", "team", {}))
    assert ("../../", "Objects") in reading.links
    assert ("../../?namespace=team", "team") in reading.links


def test_nothing_that_users_write_becomes_html():
    content = failed(Reason.CONFLICT, EVIL)
    content["conditions"][0]["reason"] = EVIL
    content["sources"] = [{"service": EVIL, "name": EVIL, "versionID": EVIL, "arn": EVIL}]
    event = {"metadata": {}, "type": EVIL, "reason": EVIL, "message": EVIL, "lastTimestamp": EVIL}
    obj = reported(EVIL, EVIL, content, target={"name": EVIL}, IAMRole=EVIL)
    found, reading = shown(obj, events=[event])
    assert "script" not in reading.tags
    assert found.state.reason == found.state.message == EVIL
    assert reading.headings[0] == EVIL
    assert reading.tables[0][1] == {"": EVIL, "Service": EVIL, "Version ID": EVIL, "ARN": EVIL}


def test_an_object_that_there_is_not_leads_back():
    reading = Reading(missing(Frame("../../", "leader", NOON)))
    assert reading.headings == ["There is no such SyncedSecret"]
    assert ("../../", "Show all objects") in reading.links
