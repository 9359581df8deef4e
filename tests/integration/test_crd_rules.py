"""What a real API server refuses by the rules of our CRD, and what it keeps accepting.

The definition is installed under a group of its own, so that other tests do not see it change.
"""

from __future__ import annotations

import copy
import uuid

import pytest

from generate import crd
from secretsyncer.errors import Rejected
from secretsyncer.synced_secret import parse
from tests.support.crd import nodes
from tests.support.eventually import eventually
from tests.support.specs import key, literal

pytestmark = pytest.mark.real

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
ACCOUNT = "123456789012"
BOTH_ROLES = {"IAMRole": "reader", "AWSAccountID": ACCOUNT, "data": [literal("a", "1")]}
ACCEPTED = {
    "empty role": {**BOTH_ROLES, "IAMRole": ""},
    "account": {"AWSAccountID": ACCOUNT, "data": [literal("a", "1")]},
    "no data": {},
    "no value": {"data": [{"name": "a"}]},
    "value and valueFrom": {"data": [{"value": "1", **key("a", "s", "k")}]},
    "secretRef and secretKeyRef": {
        "data": [
            {"name": "a", "valueFrom": {"secretRef": {"name": "s"}, "secretKeyRef": {"name": "s", "key": "k"}}}
        ]
    },
    "as many keys as fit": {"data": [key(f"k{number}", "s", "k") for number in range(1000)]},
}


class Installed:
    """Our definition under a random group, and objects of it in the namespace `default`."""

    def __init__(self, admin):
        self.admin = admin
        self.group = f"g{uuid.uuid4().hex[:8]}.example.com"
        self.path = f"/apis/{self.group}/v1/namespaces/default/syncedsecrets"

    def definition(self, *, rules):
        made = copy.deepcopy(crd.definition())
        made["metadata"]["name"] = f"syncedsecrets.{self.group}"
        made["spec"]["group"] = self.group
        if not rules:
            for _, node in nodes(made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]):
                node.pop("x-kubernetes-validations", None)
        return made

    async def install(self, *, rules=True):
        """Install it with or without its rules, and wait until the server applies it."""
        reply = await self.admin.request("POST", DEFINITIONS, self.definition(rules=rules))
        if reply.status == 409:
            name = f"{DEFINITIONS}/syncedsecrets.{self.group}"
            patch = {"spec": self.definition(rules=rules)["spec"]}
            reply = await self.admin.request("PATCH", name, patch, MERGE)
        assert reply.status < 300, reply.body

        async def applied():
            reply = await self.create("probe", BOTH_ROLES, dry_run=True)
            assert reply.status == (422 if rules else 201), reply.body

        await eventually(applied)

    async def create(self, name, spec, *, dry_run=False):
        body = {
            "apiVersion": f"{self.group}/v1",
            "kind": "SyncedSecret",
            "metadata": {"name": name},
            "spec": spec,
        }
        return await self.admin.request("POST", self.path + "?dryRun=All" * dry_run, body)

    async def patch(self, name, patch):
        return await self.admin.request("PATCH", f"{self.path}/{name}", patch, MERGE)


@pytest.fixture
async def installed(real_server, admin):
    made = Installed(admin)
    yield made
    await admin.request("DELETE", f"{DEFINITIONS}/syncedsecrets.{made.group}")


@pytest.fixture
def server(real_server):
    return real_server


async def test_the_server_refuses_in_the_words_of_the_condition(installed):
    await installed.install()
    reply = await installed.create("bad", BOTH_ROLES)
    assert reply.status == 422
    (cause,) = reply.body["details"]["causes"]
    with pytest.raises(Rejected) as rejected:
        parse({"metadata": {"name": "bad"}, "spec": BOTH_ROLES})
    words = cause["message"].removeprefix("Invalid value: ").removeprefix('"object": ')
    assert f"{cause['field']}: {words}" == str(rejected.value)
    assert (await installed.create("good", {**BOTH_ROLES, "IAMRole": None})).status == 201
    reply = await installed.patch("good", {"spec": {"IAMRole": "reader"}})
    assert reply.status == 422, "an update refuses it, too"


async def test_the_server_accepts_what_the_go_operator_accepts(installed):
    await installed.install()
    refused = {
        name: reply.body
        for name, spec in ACCEPTED.items()
        if (reply := await installed.create("good", spec, dry_run=True)).status != 201
    }
    assert refused == {}


async def test_an_object_from_before_the_rule_stays_usable_and_can_be_repaired(installed):
    await installed.install(rules=False)
    assert (await installed.create("old", BOTH_ROLES)).status == 201
    await installed.install(rules=True)
    found = await installed.admin.request("GET", f"{installed.path}/old")
    assert found.body["spec"] == BOTH_ROLES
    status = {"observedGeneration": 1, "conditions": []}
    reply = await installed.patch("old/status", {"status": status})
    assert reply.body.get("status") == status, reply.body
    for change in (
        {"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/a"]}},
        {"metadata": {"finalizers": None}},
        {"spec": {"suspend": True}},
        {"spec": {"AWSAccountID": None}},
    ):
        reply = await installed.patch("old", change)
        assert reply.status == 200, reply.body
    reply = await installed.patch("old", {"spec": {"AWSAccountID": ACCOUNT}})
    assert reply.status == 422, "once it is repaired, it stays so"
