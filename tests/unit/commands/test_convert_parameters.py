"""`secretsyncer convert`: references of the peers to Parameter Store."""

from __future__ import annotations

import pytest
import yaml

from secretsyncer import cli
from secretsyncer.settings import Settings
from secretsyncer.synced_secret import parse
from tests.support.crd import validator

STORE = {
    "apiVersion": "external-secrets.io/v1",
    "kind": "SecretStore",
    "metadata": {"name": "aws", "namespace": "web"},
    "spec": {"provider": {"aws": {"service": "ParameterStore", "region": "eu-west-1"}}},
}
ROLE = "arn:aws:iam::123456789012:role/reader"


def eso(**spec):
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "app", "namespace": "web"},
        "spec": {"secretStoreRef": {"name": "aws"}, **spec},
    }


def kes(*data, **spec):
    return {
        "apiVersion": "kubernetes-client.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "app", "namespace": "web"},
        "spec": {"backendType": "systemManager", "roleArn": ROLE, "data": list(data), **spec},
    }


@pytest.fixture
def convert(capsys, monkeypatch, tmp_path):
    """The spec of the result, or the lines about why there is none; and all lines."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def ran(*objects):
        path = tmp_path / "peers.yaml"
        path.write_text(yaml.safe_dump_all(objects))
        cli.main(["convert", "-f", str(path), "--account", "123456789012", "--region", "eu-west-1"])
        out, err = capsys.readouterr()
        results = list(yaml.safe_load_all(out))
        for result in results:
            assert [problem.message for problem in validator().iter_errors(result)] == []
            parse(result)
        return results[0]["spec"] if results else None, err

    return ran


def one(**remote):
    return {"data": [{"secretKey": "k", "remoteRef": remote}]}


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        (one(key="/app/a"), {"name": "/app/a"}),
        (one(key="/app/a", version="7"), {"name": "/app/a", "version": 7}),
        (one(key="/app/a", version="live"), {"name": "/app/a", "label": "live"}),
        (one(key="/app/a", property="user"), {"name": "/app/a", "key": "user"}),
        (one(key="/app/a", property="db.user"), {"name": "/app/a", "jmesPath": '"db"."user"'}),
        (one(key="/app/a", decodingStrategy="Base64"), {"name": "/app/a", "decode": "base64"}),
    ],
)
def test_an_item_of_external_secrets_becomes_a_parameter_ref(convert, spec, made):
    result, _ = convert(STORE, eso(**spec))
    assert result["data"] == [{"name": "k", "valueFrom": {"parameterRef": made}}]


def test_an_extract_becomes_a_named_parameter_and_a_path_all_below_it_under_their_whole_names(convert):
    spec = {"dataFrom": [{"extract": {"key": "/config"}}, {"find": {"path": "/app/prod"}}]}
    result, notes = convert(STORE, eso(**spec))
    extract, below = result["dataFrom"]["entries"]
    assert extract["parameters"] == [{"name": "/config"}]
    assert below == {
        "parameters": [{"path": "/app/prod", "optional": True}],
        "rewrite": [{"source": "^", "target": "/app/prod/"}],
        "invalidKeys": "Replace",
    }
    assert "while find matches nothing" in notes


def test_a_rewrite_of_a_path_is_for_the_whole_names(convert):
    rule = {"regexp": {"source": "^/app/", "target": ""}}
    result, _ = convert(STORE, eso(dataFrom=[{"find": {"path": "/app/"}, "rewrite": [rule]}]))
    assert result["dataFrom"]["rewrite"] == [
        {"source": "^", "target": "/app/"},
        {"source": "^/app/", "target": ""},
    ]


def test_a_merge_of_what_a_path_finds_takes_the_keys_of_the_objects(convert):
    result, _ = convert(STORE, eso(dataFrom=[{"find": {"path": "/app/"}, "rewrite": [{"merge": {}}]}]))
    assert result["dataFrom"] == {"parameters": [{"path": "/app/", "optional": True, "merge": True}]}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"dataFrom": [{"find": {"name": {"regexp": "x"}}}]}, "parameters are selected by their path only"),
        (
            {"dataFrom": [{"find": {"path": "/a", "tags": {"t": "1"}}}]},
            "parameters are selected by their path only",
        ),
        (one(key="/app/a", property="hosts.0"), "use jmesPath"),
    ],
)
def test_what_has_no_counterpart_is_named(convert, spec, why):
    result, lines = convert(STORE, eso(**spec))
    assert result is None
    assert why in lines


def test_items_of_kubernetes_external_secrets(convert):
    result, _ = convert(
        kes(
            {"key": "/app/a", "name": "a"},
            {"key": "/app/json", "name": "b", "property": "x.y"},
            dataFrom=["/config"],
        )
    )
    assert result["IAMRole"] == ROLE
    assert result["dataFrom"] == {"parameters": [{"name": "/config"}]}
    assert result["data"] == [
        {"name": "a", "valueFrom": {"parameterRef": {"name": "/app/a"}}},
        {"name": "b", "valueFrom": {"parameterRef": {"name": "/app/json", "key": "x.y"}}},
    ]


def test_paths_of_kubernetes_external_secrets_take_the_last_part_of_the_name(convert):
    result, notes = convert(kes({"path": "/one", "recursive": False}, {"path": "/all/", "recursive": True}))
    assert result["dataFrom"]["entries"] == [
        {"parameters": [{"path": "/one", "recursive": False}]},
        {"parameters": [{"path": "/all/"}], "rewrite": [{"source": "^.*/", "target": ""}]},
    ]
    assert "one of them is lost" in notes
