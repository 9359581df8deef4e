"""One object for each rule of the CRD, which breaks this rule and no other."""

from __future__ import annotations

from typing import Any

import pytest

from secretsyncer.errors import Rejected
from secretsyncer.synced_secret import parse
from tests.support.specs import key, literal

Spec = dict[str, Any]
ACCOUNT = "123456789012"
GOOD = {"data": [literal("a", "1")]}
SECRET = {"secretRef": {"name": "s"}}
WEB = {"kind": "Deployment", "name": "web"}
NO_TARGET = (
    {},
    {"name": "Not/A name"},
    {"selector": {"matchLabels": {}}},
)
WINDOW = {"from": "22:00", "to": "05:00"}
NO_WINDOW = ({"from": "24:00"}, {"to": "5:00"}, {"timezone": ""})
NO_REFERENCE = ({"name": "no name"}, {"region": "EU_WEST"}, {"versionStage": ""}, {"versionId": "short"})
"""What a reference to a secret must not say."""
MORE_THAN_KEYS: tuple[Spec, ...] = (
    {"secretMetadata": {"labels": {"team": "web"}}},
    {"secretMetadata": {"annotations": {"team": "web"}}},
    {"immutable": True},
    {"recreateOnTypeChange": True},
)


def _from(source: Spec) -> Spec:
    return {"data": [literal("a", "1"), {"name": "b", "valueFrom": source}]}


def _key(**wrong: str) -> Spec:
    return _from({"secretKeyRef": {"name": "s", **wrong}})


def _everywhere(wrong: Spec) -> list[Spec]:
    """The wrong part of a reference, wherever a reference may be."""
    reference = {"name": "s", **wrong}
    return [
        {"dataFrom": {"secretRef": reference}},
        {"dataFrom": {"secretRefs": [{"name": "s"}, reference]}},
        {"dataFrom": {"entries": [SECRET, {"secretRef": reference}]}},
        _from({"secretRef": reference}),
        _from({"secretKeyRef": {"key": "k", **reference}}),
    ]


NO_PARAMETER: tuple[Spec, ...] = (
    {"name": ""},
    {"name": "app/db"},
    {"name": f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:app"},
    {"region": "EU_WEST"},
    {"label": ""},
    {"version": 0},
    {"version": 1, "label": "live"},
)
"""What a reference to a parameter must not say."""
NO_PARAMETERS = (
    *({"name": "/a", **wrong} for wrong in NO_PARAMETER),
    *({"path": "/a/", **wrong} for wrong in ({"version": 1}, {"label": "live"}, {"region": "eu-west-1"})),
    {"path": "/a/", "name": "/a"},
    {"path": "no slash"},
    {"name": "/a", "merge": True},
)
"""What an entry of a list of parameters must not be."""

BROKEN: list[Spec] = [
    {**GOOD, "IAMRole": "reader", "AWSAccountID": ACCOUNT},
    {**GOOD, "IAMRole": "no role"},
    {**GOOD, "AWSAccountID": "12345678910"},
    {**GOOD, "region": "EU_WEST"},
    {**GOOD, "externalId": "x"},
    {**GOOD, "roleSessionName": "x"},
    {**GOOD, "target": {"name": "Not/A name"}},
    *({**GOOD, "target": {"policy": "Merge"}, **wrong} for wrong in MORE_THAN_KEYS),
    {**GOOD, "type": "kubernetes.io/service-account-token"},
    {**GOOD, "refreshInterval": "5"},
    {**GOOD, "refreshInterval": "721h"},
    {**GOOD, "secretMetadata": {"labels": {"team": "two words"}}},
    {**GOOD, "secretMetadata": {"labels": {"a": "", "two words": "", "b": ""}}},
    {**GOOD, "secretMetadata": {"annotations": {"a": "", "two words": "", "b": ""}}},
    {**GOOD, "secretMetadata": {"annotations": {"a": "", "b": "x" * 262_144}}},
    {**GOOD, "restart": {"targets": []}},
    {**GOOD, "restart": {"consumers": True, "delay": "soon"}},
    {**GOOD, "restart": {"consumers": True, "delay": "25h"}},
    *({**GOOD, "restart": {"targets": [WEB, {"kind": "Deployment", **wrong}]}} for wrong in NO_TARGET),
    *({**GOOD, "restart": {"consumers": True, "windows": [WINDOW, {**WINDOW, **wrong}]}} for wrong in NO_WINDOW),
    *(spec for wrong in NO_REFERENCE for spec in _everywhere(wrong)),
    *(_from({"parameterRef": {"name": "/a", **wrong}}) for wrong in NO_PARAMETER),
    _from({"parameterRef": {"name": "/a", "key": ""}}),
    _from({"parameterRef": {"name": "/a", "key": "k", "jmesPath": "k"}}),
    *({"dataFrom": {"parameters": [{"name": "/b"}, wrong]}} for wrong in NO_PARAMETERS),
    *({"dataFrom": {"entries": [SECRET, {"parameters": [wrong]}]}} for wrong in NO_PARAMETERS),
    {"dataFrom": {"entries": [SECRET], "parameters": [{"name": "/a"}]}},
    {"dataFrom": {"secretRefs": []}},
    {"dataFrom": {"find": {"name": {"prefix": ""}}}},
    {"dataFrom": {"find": {"tagKey": "", "name": {"prefix": "a"}}}},
    {"dataFrom": {"entries": [SECRET], **SECRET}},
    {"dataFrom": {"entries": [SECRET], "secretRefs": [{"name": "s"}]}},
    {"dataFrom": {"entries": [SECRET], "find": {"tagKey": "t"}}},
    {"dataFrom": {"entries": [SECRET], "rewrite": [{"source": "a", "target": "b"}]}},
    {"dataFrom": {"entries": [SECRET], "invalidKeys": "Skip"}},
    {"dataFrom": {"entries": [SECRET, {**SECRET, "find": {"tagKey": "t"}}]}},
    {"dataFrom": {**SECRET, "rewrite": [{"case": "Upper"}, {"source": "a", "target": "b", "case": "Upper"}]}},
    {"dataFrom": {"entries": [SECRET, {**SECRET, "rewrite": [{"source": "a"}]}]}},
    {"dataFrom": {"entries": [SECRET, {"find": {"tags": {}}}]}},
    {"dataFrom": {"entries": [SECRET, {"find": {"tagKey": "", "name": {"prefix": "a"}}}]}},
    {"data": [literal("a", "1"), literal("not good", "1")]},
    {"data": [{"name": "a", "templateOnly": True, "valueFrom": {"template": "t"}}]},
    _from({**SECRET, "template": "t"}),
    _key(),
    _key(key=""),
    _key(path="a..b"),
]

TAKEN_OVER: dict[str, Spec] = {
    # What the Go operator accepts must stay accepted.
    "no data": {},
    "no value": {"data": [{"name": "a"}]},
    "value and valueFrom": {"data": [{"value": "1", **key("a", "s", "k")}]},
    "secretRef and secretKeyRef": _from({**SECRET, "secretKeyRef": {"name": "s", "key": "k"}}),
    "empty valueFrom": _from({}),
    "empty role": {**GOOD, "IAMRole": ""},
    "empty region": {**GOOD, "region": ""},
    "empty role and account": {**GOOD, "IAMRole": "", "AWSAccountID": ACCOUNT},
    "Merge, and nothing else": {
        **GOOD,
        "target": {"policy": "Merge"},
        "secretMetadata": {"labels": {}},
        "immutable": False,
        "recreateOnTypeChange": False,
    },
    "empty account and role": {**GOOD, "IAMRole": "reader", "AWSAccountID": ""},
}


def condition_of(spec: Spec) -> str:
    """What the operator says about a spec that it rejects."""
    with pytest.raises(Rejected) as rejected:
        parse({"metadata": {"name": "bad"}, "spec": spec})
    return str(rejected.value)
