"""What deployment tools make of an object: the rules of kstatus, written out and by the library itself.

Tools such as Flux wait while an object is InProgress, go on once it is Current, and give up at once if it is Failed.
"""

from __future__ import annotations

import json

import pytest

from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.sync import status
from secretsyncer.sync.status import Source
from tests.support.builders import synced_secret
from tests.support.specs import literal
from tests.support.tools import run, tool

NOON = 1_767_355_200.0
DENIED = Rejected(Reason.ACCESS_DENIED, "the role may not read mysql")
SLOW = Unavailable(Reason.AWS_UNAVAILABLE, "AWS does not answer")


def synced(old=None, generation=1):
    source = Source("mysql", "arn:mysql", "v1")
    return status.synced(old or {}, generation=generation, sources=(source,), keys=1, now=NOON)


def failed(failure, old=None, generation=1):
    return status.failed(old or {}, failure, generation=generation, now=NOON)


def suspended(old=None, generation=1):
    return status.suspended(old or {}, generation=generation, now=NOON)


CASES = {
    "in sync": (synced(), "Current"),
    "edited since": (synced(), "InProgress", 2),
    "somebody must act": (failed(DENIED), "Failed"),
    "somebody must act, after a sync": (failed(DENIED, synced()), "Failed"),
    "edited since somebody had to act": (failed(DENIED), "InProgress", 2),
    "retried": (failed(SLOW), "InProgress"),
    "retried, after a failure": (failed(SLOW, failed(DENIED)), "InProgress"),
    "in sync, after failures": (synced(failed(DENIED, failed(SLOW))), "Current"),
    "suspended": (suspended(synced()), "InProgress"),
    "suspended, after a failure": (suspended(failed(DENIED)), "InProgress"),
    "resumed": (synced(suspended(), generation=2), "Current", 2),
    **{
        f"rejected: {reason}": (
            failed(Rejected(reason, "no")),
            "InProgress" if reason is Reason.SECRET_MISSING else "Failed",
        )
        for reason in Reason
        if reason not in {Reason.SYNCED, Reason.SUSPENDED}
    },
    # Nothing in the object tells kstatus that somebody will report about it.
    "not seen yet": ({}, "Current"),
}


def objects():
    for content, _, *generation in CASES.values():
        obj = synced_secret(literal("a", "1"))
        obj["metadata"]["generation"] = generation[0] if generation else 1
        yield {**obj, "status": content}


def computed(obj) -> str:
    """The rules of cli-utils' pkg/kstatus/README.md for kinds that it does not know, in their order."""
    conditions = {c["type"]: c["status"] for c in obj["status"].get("conditions", [])}
    rules = [
        ("deletionTimestamp" in obj["metadata"], "Terminating"),
        (obj["status"].get("observedGeneration", obj["metadata"]["generation"]) != obj["metadata"]["generation"],
         "InProgress"),
        (conditions.get("Reconciling") == "True", "InProgress"),
        (conditions.get("Stalled") == "True", "Failed"),
        (conditions.get("Ready") == "True", "Current"),
        ("Ready" in conditions, "InProgress"),
        (True, "Current"),
    ]  # fmt: skip
    return next(result for applies, result in rules if applies)


def test_every_outcome_is_what_the_rules_of_kstatus_make_of_it():
    expected = {name: case[1] for name, case in CASES.items()}
    assert dict(zip(CASES, map(computed, objects()), strict=True)) == expected


def test_the_library_agrees():
    expected = {name: case[1] for name, case in CASES.items()}
    said = json.loads(run(tool("kstatus"), stdin=json.dumps([*objects()])))
    assert dict(zip(CASES, said, strict=True)) == expected


@pytest.mark.parametrize("content", [case[0] for case in CASES.values()], ids=CASES)
def test_each_condition_is_about_the_generation_that_the_status_is_about(content):
    for condition in content.get("conditions", []):
        assert condition["observedGeneration"] == content["observedGeneration"]
