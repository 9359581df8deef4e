"""No log at debug level, Event, status, metric or page contains a value of a secret.

Canaries go through every way that works and every way that fails.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.crd import without_rules
from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import all_keys, key, literal, template, whole

pytestmark = pytest.mark.real

SETTINGS = {"LOG_LEVEL": "debug", "SYNC_INTERVAL_SEC": "1"}
MARK = f"canary{uuid.uuid4().hex}"


def canary(number):
    return f"{MARK}x{number:02}"


AWS = {
    "c/json": json.dumps({"a": canary(1), "nothing": None, "list": [canary(2)]}),
    "c/text": f"{canary(3)} is no JSON {{",
    "c/binary": b"\x00" + canary(4).encode(),
    "c/half": f'{{"a": "{canary(5)}", "b": {canary(6)}}}',
    "c/list": json.dumps([canary(7)]),
    "c/bad-value": json.dumps({"a": f"{canary(8)} \ud800"}),
    "c/number": json.dumps({"a": canary(9), "n": 1}),
    "c/big": canary(10) + "x" * 65_000,
    "c/label": json.dumps({"a": canary(11)}),
    "c/name": canary(12),
}
A = '(getSecretValueMap "c/json").a'
GOOD = {
    "both": {"data": [{"name": "a", "value": canary(23), "valueFrom": {"secretRef": {"name": "c/json"}}}]},
    "all": {"dataFrom": all_keys("c/label")},
    "text": {"data": [whole("a", "c/text")]},
    "binary": {"data": [whole("a", "c/binary")]},
    "literal": {"data": [literal("a", canary(20))]},
    "template": {"data": [template("a", f"{{{{ {A} }}}}")]},
    "drift": {"data": [key("a", "c/json", "a")]},
}
BAD = {
    "null": {"dataFrom": all_keys("c/json")},
    "not-json": {"dataFrom": all_keys("c/text")},
    "not-json-key": {"data": [key("a", "c/half", "a")]},
    "list-secret": {"dataFrom": all_keys("c/list")},
    "binary-json": {"dataFrom": all_keys("c/binary")},
    "half-pair": {"dataFrom": all_keys("c/bad-value")},
    "too-big": {"data": [whole(f"k{n}", "c/big") for n in range(17)]},
    "template-json": {"data": [template("a", '{{ getSecretValueMap "c/text" }}')]},
    "template-field": {"data": [template("a", f"{{{{ {A}.b.c }}}}")]},
    "template-index": {"data": [template("a", f"{{{{ index {A} 999 }}}}")]},
    "template-range": {"data": [template("a", f"{{{{ range {A} }}}}{{{{ end }}}}")]},
    "template-call": {"data": [template("a", f"{{{{ call {A} }}}}")]},
    "template-args": {"data": [template("a", f"{{{{ len {A} 1 }}}}")]},
    "template-printf": {"data": [template("a", f'{{{{ printf "%d" {A} }}}}')]},
    "template-compare": {"data": [template("a", f"{{{{ lt {A} 1 }}}}")]},
    "template-b64": {"data": [template("a", f"{{{{ b64dec {A} }}}}")]},
    "template-json-parse": {"data": [template("a", f"{{{{ fromJson {A} }}}}")]},
    "template-name": {"data": [template("a", '{{ getSecretValue (getSecretValue "c/name") }}')]},
    "template-regexp": {"data": [template("a", f'{{{{ filterByName .Secrets (print "(" {A}) }}}}')]},
    "template-syntax": {"data": [template("a", f"{{{{ {canary(21)} }}}}"), literal("b", canary(22))]},
    "twice-wrong": {"data": [literal("a b", canary(24))]},
    "bad-label": {"data": [key("a", "c/json", "a")], "secretMetadata": {"labels": {"a": "not a label!"}}},
    "immutable": {"data": [key("a", "c/json", "a")]},
}
TOLD_BY_THE_USER = {canary(21)}
"""A word of a template's own text, which its author wrote where everybody may read it."""


def leaks(text):
    """Canaries in the text, also in base64 at any offset."""
    found = set(re.findall(rf"{MARK}x\d\d", text)) - TOLD_BY_THE_USER
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + MARK.encode()).decode()
        if encoded[4:-4] in text:
            found.add(f"base64 at offset {offset}")
    return found


def command_of(pid):
    """Arguments and environment, as everybody on the machine may see the ones and root the others."""
    return "".join(Path(f"/proc/{pid}/{file}").read_text() for file in ("cmdline", "environ"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(operator, aws, cluster):
    """Everything that was told anywhere after canaries went through everything."""
    for name, value in AWS.items():
        aws.world.create(name, value)
    space = await cluster.space()
    try:
        made = {"name": "immutable", "namespace": space.name}
        await cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": made,
                "immutable": True,
                "stringData": {"a": canary(30)},
            }
        )
        async with without_rules(cluster):
            for name, spec in {**GOOD, **BAD}.items():
                await space.write(name, **spec)
        for name in GOOD:
            await space.until_synced(name)
        for name in BAD:

            async def failed(name=name):
                assert (await space.ready(name))["status"] == "False", name

            await eventually(failed)
        await cluster.merge("Secret", space.name, "drift", {"data": {"a": "eA=="}})
        await space.until_data("drift", {"a": canary(1).encode()})
        fault = aws.fault("code:InternalServiceError", times=8)
        aws.world.put("c/label", json.dumps({"a": canary(13)}))
        await space.until_data("all", {"a": canary(13).encode()})
        aws.faults.remove(fault)
        passes = await measured(operator, "secretsyncer_reconciles_total")

        async def resynced():
            assert await measured(operator, "secretsyncer_reconciles_total") > passes + 60

        await eventually(resynced)
        pages = [(await operator.get(path))[1] for path in ("/", "/metrics", "/readyz?verbose", "/healthz?verbose")]
        objects = await cluster.list("SyncedSecret", space.name)
        events = await cluster.list("Event", space.name)
        yield {
            "the log": operator.log,
            "events": json.dumps(events, ensure_ascii=False),
            "statuses": json.dumps([obj.get("status") for obj in objects], ensure_ascii=False),
            "pages": "\n".join(pages),
            "the process": command_of(operator.pid),
            "annotations": json.dumps([(await space.secret(name))["metadata"] for name in GOOD]),
        }
    finally:
        await space.clear()


@pytest.mark.parametrize("where", ["the log", "events", "statuses", "pages", "the process", "annotations"])
async def test_no_message_of_a_fault_has_a_value(told, where):
    assert len(told[where]) > 100
    assert leaks(told[where]) == set()


def test_a_leak_would_be_found():
    for offset in range(3):
        assert leaks(base64.b64encode(b"ab"[:offset] + canary(1).encode()).decode())
    assert leaks(f"because of {canary(1)!r}") == {canary(1)}
