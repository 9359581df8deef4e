"""`secretsyncer convert`: what each field of a peer becomes, and that what becomes nothing is named.

Each result must be valid for the API server and for the operator, and render what the peer would have written.
"""

import base64
import re

import pytest
import yaml

from secretsyncer import cli, kube_yaml
from secretsyncer.errors import Rejected
from secretsyncer.settings import Settings
from secretsyncer.synced_secret import parse
from tests.support import fast_yaml
from tests.support.crd import validator
from tests.support.workloads import workload

AWS_STORE = {"service": "SecretsManager", "region": "eu-west-1", "role": "arn:aws:iam::123456789012:role/reader"}


def refusal(obj):
    """What the operator has against the object, if anything."""
    try:
        parse(obj)
    except Rejected as failure:
        return failure.message
    return ""


@pytest.fixture
def convert(capsys, monkeypatch, tmp_path):
    """Convert objects by the command: the SyncedSecrets, and the lines about them."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def ran(*objects, options=()):
        path = tmp_path / "peers.yaml"
        path.write_text(yaml.safe_dump_all(objects))
        code = cli.main(
            ["convert", "-f", str(path), "--account", "123456789012", "--region", "eu-west-1", *options]
        )
        out, err = capsys.readouterr()
        results, lines = list(fast_yaml.load_all(out)), err.splitlines()
        problems = [line for line in lines if line.startswith(("note: ", "not converted: "))]
        refused = [line for line in problems if line.startswith("not converted: ")]
        assert code == int(bool(refused) or not results or (bool(problems) and "--strict" in options))
        assert re.fullmatch(rf"{len(results)} converted, [0-9]+ with notes, [0-9]+ not converted", lines[-1])
        assert [line for line in lines[:-1] if line not in problems and not line.startswith("note on values")] == []
        for result in results:
            assert [problem.message for problem in validator().iter_errors(result)] == []
            assert refusal(result) == ""
        return results, problems

    return ran


@pytest.fixture
def rendered(capsys, tmp_path):
    """What the results give with these AWS secrets, by Secret and key."""

    def ran(results, secrets):
        manifest, values = tmp_path / "results.yaml", tmp_path / "aws.yaml"
        manifest.write_text(kube_yaml.dump_all(results))
        values.write_text(kube_yaml.dump_all([secrets]))
        code = cli.main(["render", "-f", str(manifest), "--secrets", str(values)])
        out, err = capsys.readouterr()
        assert code == 0, err
        return {
            secret["metadata"]["name"]: {key: base64.b64decode(text) for key, text in secret["data"].items()}
            for secret in fast_yaml.load_all(out)
        }

    return ran


def store(kind="SecretStore", name="aws", namespace="web", **aws):
    metadata = {"name": name, "namespace": namespace} if kind == "SecretStore" else {"name": name}
    provider = {"aws": {**AWS_STORE, **aws}}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"provider": provider},
    }


def eso(version="v1", *, labels=None, annotations=None, **spec):
    metadata = {"name": "app", "namespace": "web"}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    spec.setdefault("secretStoreRef", {"name": "aws"})
    return {
        "apiVersion": f"external-secrets.io/{version}",
        "kind": "ExternalSecret",
        "metadata": metadata,
        "spec": spec,
    }


def remote(secret_key, key, **more):
    return {"secretKey": secret_key, "remoteRef": {"key": key, **more}}


def kes(**spec):
    return {
        "apiVersion": "kubernetes-client.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "app", "namespace": "web"},
        "spec": {"backendType": "secretsManager", **spec},
    }


def aso(**spec):
    return {
        "apiVersion": "mumoshu.github.io/v1alpha1",
        "kind": "AWSSecret",
        "metadata": {"name": "app", "namespace": "web"},
        "spec": spec,
    }


def referring(secret, version=None):
    reference = {"secretId": secret} | ({"versionId": version} if version else {})
    return {"secretsManagerSecretRef": reference}


# External Secrets Operator


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_external_secret_of_eso_becomes_a_synced_secret(convert, rendered, version):
    results, problems = convert(
        store(externalID="contract"),
        eso(
            version,
            labels={"team": "web"},
            refreshInterval="1h0m0s",
            target={
                "name": "app-secret",
                "creationPolicy": "Owner",
                "deletionPolicy": "Retain",
                "immutable": False,
                "template": {
                    "type": "Opaque",
                    "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
                    "engineVersion": "v2",
                    "mergePolicy": "Merge",
                    "data": {"url": "postgres://{{ .user | upper }}:{{ .password }}@db"},
                },
            },
            data=[
                remote("user", "web/db", property="user", version="AWSCURRENT"),
                remote("password", "web/db", property="password"),
                remote("before", "web/db", property="password", version="AWSPREVIOUS"),
                remote("raw", "web/text", decodingStrategy="Base64", conversionStrategy="Default"),
            ],
            dataFrom=[
                {"extract": {"key": "web/config"}},
                {"extract": {"key": "web/more", "version": f"uuid/{'a' * 32}"}},
                {"find": {"name": {"regexp": "^found/"}, "tags": {"t": "1"}, "path": "found"}},
            ],
        ),
    )
    assert [problem.removeprefix("note: ExternalSecret web/app: ") for problem in problems] == [
        "dataFrom[2]: while find matches nothing and there is no other key, the object is not ready, and its Secret stays",
        "dataFrom[2].find.tags are compared exactly; there, tags whose names and values begin like these are enough",
    ]
    (result,) = results
    assert result["metadata"] == {"name": "app", "namespace": "web", "labels": {"team": "web"}}
    *data, template = result["spec"]["data"]
    assert template["name"] == "url"
    assert {**result["spec"], "data": data} == {
        "IAMRole": "arn:aws:iam::123456789012:role/reader",
        "region": "eu-west-1",
        "externalId": "contract",
        "target": {"name": "app-secret"},
        "type": "Opaque",
        "secretMetadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "deletionPolicy": "Delete",
        "nullValues": "Empty",
        "dataFrom": {
            "entries": [
                {"secretRef": {"name": "web/config"}, "invalidKeys": "Replace"},
                {"secretRef": {"name": "web/more", "versionId": "a" * 32}, "invalidKeys": "Replace"},
                {
                    "find": {
                        "name": {"regexp": "^found/", "prefix": "found"},
                        "tags": {"t": "1"},
                        "optional": True,
                    },
                    "invalidKeys": "Replace",
                },
            ]
        },
        "data": [
            {"name": "user", "valueFrom": {"secretKeyRef": {"name": "web/db", "key": "user"}}},
            {"name": "password", "valueFrom": {"secretKeyRef": {"name": "web/db", "key": "password"}}},
            {
                "name": "before",
                "valueFrom": {"secretKeyRef": {"name": "web/db", "versionStage": "AWSPREVIOUS", "key": "password"}},
            },
            {"name": "raw", "valueFrom": {"secretRef": {"name": "web/text", "decode": "base64"}}},
        ],
    }
    assert rendered(
        results,
        {
            "web/db": {
                "json": {"user": "me", "password": "pw"},
                "stages": {"AWSPREVIOUS": {"json": {"password": "old"}}},
            },
            "web/text": {"value": "AAE="},
            "web/config": {"json": {"a/b": 1, "both": "config"}},
            "web/more": {"json": {"both": "more"}, "versionId": "a" * 32},
            "found/one": {"value": "x", "tags": {"t": "1"}},
            "found/two": {"value": "y"},
        },
    ) == {
        "app-secret": {
            "a_b": b"1",
            "both": b"more",
            "found_one": b"x",
            "user": b"me",
            "password": b"pw",
            "before": b"old",
            "raw": b"\x00\x01",
            "url": b"postgres://ME:pw@db",
        }
    }


@pytest.mark.parametrize(
    ("property_", "document", "expected"),
    [
        ("password", {"password": "1"}, b"1"),
        ("db.users.0.name", {"db": {"users": [{"name": "1"}]}}, b"1"),
        ("db.a-b", {"db": {"a-b": "1"}}, b"1"),
        ("tls.crt", {"tls.crt": "1"}, b"1"),
        ("tls.crt", {"tls.crt": "1", "tls": {"crt": "2"}}, b"1"),
    ],
)
@pytest.mark.parametrize("peer", ["eso", "kes"])
def test_a_property_is_a_key_of_that_name_or_else_a_path(convert, rendered, peer, property_, document, expected):
    if peer == "eso":
        objects = (store(), eso(data=[remote("x", "s", property=property_)]))
    else:
        objects = (kes(data=[{"name": "x", "key": "s", "property": property_}]),)
    results, problems = convert(*objects)
    assert problems == []
    assert rendered(results, {"s": {"json": document}}) == {"app": {"x": expected}}


def test_eso_copies_the_labels_and_annotations_of_an_object_without_a_template(convert):
    bookkeeping = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "kept"}
    results, _ = convert(store(), eso(labels={"a": "b"}, annotations=bookkeeping, data=[remote("x", "s")]))
    assert results[0]["spec"]["secretMetadata"] == {"labels": {"a": "b"}, "annotations": {"note": "kept"}}
    results, _ = convert(store(), eso(labels={"a": "b"}, target={"template": {}}, data=[remote("x", "s")]))
    assert "secretMetadata" not in results[0]["spec"]


def test_a_cluster_store_is_found_by_its_name_and_a_store_by_its_namespace_too(convert):
    ref = {"kind": "ClusterSecretStore", "name": "aws"}
    here = store(namespace="other", role="arn:aws:iam::1:role/no")
    everywhere = store("ClusterSecretStore", role="arn:aws:iam::123456789012:role/cluster")
    results, problems = convert(here, everywhere, eso(secretStoreRef=ref, data=[remote("x", "s")]))
    assert (results[0]["spec"]["IAMRole"], problems) == ("arn:aws:iam::123456789012:role/cluster", [])
    results, problems = convert(here, everywhere, eso(data=[remote("x", "s")]))
    assert results == []
    assert problems == [
        "not converted: ExternalSecret web/app: SecretStore aws, which names role and region, is not among the files"
    ]


@pytest.mark.parametrize(("policy", "expected"), [("Owner", "Delete"), (None, "Delete"), ("Orphan", None)])
def test_who_owns_the_secret_decides_what_becomes_of_it(convert, policy, expected):
    target = {"creationPolicy": policy} if policy else {}
    results, _ = convert(store(), eso(target=target, data=[remote("x", "s")]))
    assert results[0]["spec"].get("deletionPolicy") == expected


def test_templates_that_replace_the_data_leave_only_their_own_keys(convert, rendered):
    results, problems = convert(
        store(),
        eso(
            target={"template": {"data": {"conf": "{{ .pw }}", "const": "fixed"}}},
            data=[remote("pw", "db", property="pw")],
            dataFrom=[{"extract": {"key": "db"}}],
        ),
    )
    assert rendered(results, {"db": {"json": {"pw": "1", "other": "2"}}}) == {
        "app": {"conf": b"1", "const": b"fixed"}
    }
    assert problems == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{{ .unknown }}", "template.data.x reads .unknown, which the object does not have"),
        ("{{ .pw", "template.data.x is not a template"),
        ("all: {{ . }}", "template.data.x prints all keys in Go's notation"),
        ("{{ if .pw }}", "unexpected EOF"),
        ("{{ .pw | pkcs12key }}", 'function "pkcs12key" not defined'),
    ],
)
def test_a_template_that_cannot_be_converted_is_named(convert, text, named):
    data = [remote("pw", "db", property="pw"), remote("nested", "db", property="a.b")]
    _, problems = convert(store(), eso(target={"template": {"data": {"x": text}}}, data=data))
    assert any(named in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"refreshInterval": "15s"}, "note: ExternalSecret web/app: refreshInterval 15s"),
        ({"refreshInterval": "0"}, "note: ExternalSecret web/app: read once and never again"),
        ({"refreshInterval": "0s"}, "read once and never again"),
        ({"refreshPolicy": "CreatedOnce"}, "read once and never again"),
        ({"refreshPolicy": "OnChange"}, "read only when the object changes"),
        ({"refreshPolicy": "Novel"}, "not converted: ExternalSecret web/app: refreshPolicy Novel"),
        ({"syncWindows": [1]}, "spec.syncWindows"),
        ({"target": {"deletionPolicy": "Delete"}}, "target.deletionPolicy Delete"),
        ({"target": {"deletionPolicy": "Merge"}}, "target.deletionPolicy Merge"),
        ({"target": {"manifest": {"kind": "ConfigMap"}}}, "target.manifest"),
        ({"target": {"template": {"templateFrom": [{"secret": {"name": "x"}}]}}}, "templateFrom[0]: only values"),
        ({"target": {"template": {"templateFrom": [{"literal": "a: [1]"}]}}}, "templateFrom[0]: only values"),
        (
            {"target": {"template": {"templateFrom": [{"configMap": {"name": "c", "items": [{"key": "k"}]}}]}}},
            "templateFrom[0]: ConfigMap c with the key k is not among the files",
        ),
        (
            {"target": {"template": {"metadata": {"labels": {"a": "{{ .x }}"}}}}},
            "template.metadata.labels.a is a template",
        ),
        ({"target": {"template": {"metadata": {"annotations": {"a": "{{ .x }}"}}}}}, "annotations.a is a template"),
        (
            {"target": {"template": {"metadata": {"labels": {"a": "no label!"}}}}},
            "the result is not valid: spec.secretMetadata",
        ),
        (
            {"target": {"template": {"metadata": {"labels": {"x.k8s.io/a": "b"}}}}},
            "labels of x.k8s.io are reserved",
        ),
        ({"target": {"template": {"metadata": {"finalizers": ["x"]}}}}, "template.metadata.finalizers"),
        ({"target": {"template": {"engineVersion": "v1", "data": {"x": "1"}}}}, "template.engineVersion v1"),
        ({"data": [{**remote("x", "s"), "sourceRef": {"generatorRef": {"kind": "x"}}}]}, "data.x.sourceRef"),
        ({"data": [remote("x", "s", property="a.#(b==1).c")]}, "data.x: property a.#(b==1).c"),
        ({"data": [remote("x", "s", metadataPolicy="Fetch")]}, "data.x: metadataPolicy Fetch"),
        ({"data": [remote("x", "s", version="not a stage")]}, "data.x: version not a stage"),
        ({"data": [remote("x", "s", decodingStrategy="Novel")]}, "data.x: decodingStrategy Novel"),
        ({"data": [remote("x", "s", nullBytePolicy="Fail")]}, "data.x: nullBytePolicy Fail"),
        (
            {"data": [{**remote("x", "s"), "sourceRef": {"storeRef": {"name": "other"}}}]},
            "SecretStore other, which names role",
        ),
        ({"dataFrom": [{"sourceRef": {"generatorRef": {"kind": "x"}}}]}, "dataFrom[0].sourceRef"),
        ({"dataFrom": [{"extract": {"key": "s", "property": "a"}}]}, "dataFrom[0].extract.property"),
        ({"dataFrom": [{"extract": {"key": "s", "conversionStrategy": "Novel"}}]}, "conversionStrategy Novel"),
        ({"dataFrom": [{"extract": {"key": "s", "metadataPolicy": "Fetch"}}]}, "metadataPolicy Fetch"),
        ({"dataFrom": [{"extract": {"key": "s", "novel": 1}}]}, "dataFrom[0].extract.novel"),
        ({"dataFrom": [{"find": {"path": "a", "conversionStrategy": "Novel"}}]}, "conversionStrategy Novel"),
        ({"dataFrom": [{"find": {"path": "a", "decodingStrategy": "Novel"}}]}, "decodingStrategy Novel"),
        ({"dataFrom": [{"find": {"name": {"regexp": "a", "novel": 1}}}]}, "dataFrom[0].find.name.novel"),
        ({"dataFrom": [{"find": {"path": "a", "novel": 1}}]}, "dataFrom[0].find.novel"),
        ({"dataFrom": [{"extract": {"key": "s"}, "rewrite": [{"transform": {}}]}]}, "rewrite by transform"),
        ({"dataFrom": [{"extract": {"key": "s"}, "rewrite": [{"merge": {}}]}]}, "rewrite by merge"),
    ],
)
def test_what_eso_has_and_a_synced_secret_has_not_is_named(convert, spec, named):
    _, problems = convert(store(), eso(**spec))
    assert any(named in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("aws", "named"),
    [
        (
            {"auth": {"jwt": {"serviceAccountRef": {"name": "sa"}}}},
            "note: ExternalSecret web/app: store.aws.auth is left out",
        ),
        ({"auth": {"secretRef": {"x": {}}}}, "note: ExternalSecret web/app: store.aws.auth.secretRef is left out"),
        (
            {"auth": {"secretRef": {"x": {}}}, "role": ""},
            "not converted: ExternalSecret web/app: store.aws.auth.secretRef",
        ),
        (
            {"auth": {"jwt": {"serviceAccountRef": {"name": "sa"}}}, "role": ""},
            "ServiceAccount sa with the annotation",
        ),
        ({"additionalRoles": ["a"]}, "not converted: ExternalSecret web/app: store.aws.additionalRoles"),
        ({"sessionTags": [1]}, "store.aws.sessionTags"),
        ({"sessionTagsPolicy": "Auto"}, "store.aws.sessionTagsPolicy Auto"),
    ],
)
def test_what_a_store_has_and_a_synced_secret_has_not_is_named(convert, aws, named):
    _, problems = convert(store(**aws), eso(data=[remote("x", "s")]))
    assert any(named in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (
            [{"namespaces": ["other"]}],
            "not converted: ExternalSecret web/app: ClusterSecretStore all: its conditions",
        ),
        ([{"namespaces": ["other"]}, {"namespaces": ["web"]}], ""),
        (
            [{"namespaces": ["other"]}, {"namespaceRegexes": ["w.*"]}],
            "note: ExternalSecret web/app: ClusterSecretStore",
        ),
        (
            [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
            "note: ExternalSecret web/app: ClusterSecretStore all: its",
        ),
    ],
)
def test_the_namespaces_of_a_store_are_told_if_they_may_leave_out_the_objects(convert, conditions, said):
    shared = {**store(), "kind": "ClusterSecretStore", "metadata": {"name": "all"}}
    shared["spec"] = {**shared["spec"], "conditions": conditions}
    ref = {"name": "all", "kind": "ClusterSecretStore"}
    _, problems = convert(shared, eso(secretStoreRef=ref, data=[remote("x", "s")]))
    assert len(problems) == bool(said)
    assert all(problem.startswith(said) for problem in problems), problems


def test_a_store_of_another_instance_is_told(convert):
    found = store()
    found["spec"]["controller"] = "dev"
    _, problems = convert(found, eso(data=[remote("x", "s")]))
    assert [problem.startswith("note: ") and "--controller-class=dev" in problem for problem in problems] == [True]


@pytest.mark.parametrize(
    ("source", "named"),
    [
        (
            {"literal": "k: aGVsbG8=\n", "valuesDecodingStrategy": "Base64"},
            "templateFrom[0].valuesDecodingStrategy",
        ),
        (
            {"literal": "k: v\n", "configMap": {"name": "cm", "items": [{"key": "t"}]}},
            "templateFrom[0] has several of",
        ),
        (
            {"secret": {"name": "s"}, "configMap": {"name": "cm", "items": [{"key": "t"}]}},
            "templateFrom[0] has several of",
        ),
    ],
)
def test_no_part_of_template_from_is_left_out(convert, source, named):
    templates = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm", "namespace": "web"}}
    _, problems = convert(
        store(),
        {**templates, "data": {"t": "x"}},
        eso(data=[remote("x", "s")], target={"template": {"templateFrom": [source]}}),
    )
    assert any(named in problem for problem in problems if problem.startswith("not converted: ")), problems


@pytest.mark.parametrize(
    ("obj", "named"),
    [
        (eso(data=["x"]), "spec.data[0] must be a map"),
        (eso(data=[None]), "spec.data[0] is empty"),
        (eso(data=[remote("x", "s", property=8080)]), "spec.data[0].remoteRef.property must be text; put quotes"),
        (eso(data=[remote("x", "s")], target="x"), "spec.target must be a map"),
        (eso(dataFrom={"extract": {"key": "s"}}), "spec.dataFrom must be a list"),
        (eso(dataFrom=[{"extract": {"key": "s"}, "rewrite": [{"regexp": None}]}]), "rewrite by regexp"),
        (kes(dataFromWithOptions=[{}]), "dataFromWithOptions[0] has no key"),
        (kes(data="x"), "spec.data must be a list"),
    ],
)
def test_a_field_of_another_type_is_named_and_the_other_objects_are_converted(convert, obj, named):
    other = eso(data=[remote("x", "s")])
    other["metadata"]["name"] = "other"
    results, problems = convert(store(), obj, other)
    assert [result["metadata"]["name"] for result in results] == ["other"]
    assert any(named in problem for problem in problems), problems


def test_a_store_with_a_field_of_another_type_is_not_used(convert):
    _, problems = convert(store(role=1), eso(data=[remote("x", "s")]))
    assert ["SecretStore aws" in problem for problem in problems] == [True]


def test_a_long_literal_takes_no_long_time(convert):
    literal = "k: a" + " " * 500_000 + "#"
    _, problems = convert(
        store(), eso(data=[remote("x", "s")], target={"template": {"templateFrom": [{"literal": literal}]}})
    )
    assert ["lines of key: value" in problem for problem in problems] == [True]


def test_an_object_whose_keys_name_their_own_stores_has_no_store_of_its_own(convert):
    item = {**remote("x", "s"), "sourceRef": {"storeRef": {"name": "aws"}}}
    _, problems = convert(store(), eso(secretStoreRef=None, data=[item]))
    assert ["spec.secretStoreRef names no store" in problem for problem in problems] == [True]


def test_the_role_of_a_service_account_is_that_of_the_object(convert):
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": "sa",
            "namespace": "web",
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111111111111:role/x"},
        },
    }
    jwt = {"jwt": {"serviceAccountRef": {"name": "sa"}}}
    results, problems = convert(account, store(auth=jwt, role=""), eso(data=[remote("x", "s")]))
    assert results[0]["spec"]["IAMRole"] == "arn:aws:iam::111111111111:role/x"
    said = "note: ExternalSecret web/app: store.aws.auth is left out: the operator itself assumes the role"
    assert problems == [f"{said} arn:aws:iam::111111111111:role/x"]


def test_the_prefix_of_a_store_is_part_of_the_names(convert):
    results, problems = convert(store(prefix="team/"), eso(data=[remote("x", "s")]))
    assert (results[0]["spec"]["data"][0]["valueFrom"]["secretRef"], problems) == ({"name": "team/s"}, [])


def test_the_defaults_of_a_live_cluster_are_no_news(convert):
    spec = {
        "refreshInterval": "1h0m0s",
        "refreshPolicy": "Periodic",
        "target": {
            "creationPolicy": "Owner",
            "deletionPolicy": "Retain",
            "template": {"engineVersion": "v2", "mergePolicy": "Replace"},
        },
        "secretStoreRef": {"kind": "SecretStore", "name": "aws"},
    }
    policies = {
        "conversionStrategy": "Default",
        "decodingStrategy": "None",
        "metadataPolicy": "None",
        "nullBytePolicy": "Ignore",
    }
    live = store(
        sessionTagsPolicy="None", secretsManager={"forceDeleteWithoutRecovery": False, "recoveryWindowInDays": 0}
    )
    live["spec"] |= {"refreshInterval": 0, "conditions": [], "controller": ""}
    objects = [eso(**spec, data=[remote("x", "s", **policies)]) for _ in range(1)]
    for interval in ("60m", "5m", "24h", "3600s"):
        results, problems = convert(
            live, {**objects[0], "spec": {**objects[0]["spec"], "refreshInterval": interval}}, options=["--strict"]
        )
        assert (len(results), problems) == (1, [])


def test_a_note_is_exit_code_1_with_strict(convert):
    _, problems = convert(store(), eso(refreshInterval="0", data=[remote("x", "s")]), options=["--strict"])
    assert len(problems) == 1


def test_a_null_version_and_no_namespace_stay_what_they_are(convert):
    found, asked = store(), eso(data=[remote("x", "s", version=None)])
    del found["metadata"]["namespace"], asked["metadata"]["namespace"]
    results, problems = convert(found, asked)
    assert problems == []
    assert results[0]["metadata"] == {"name": "app"}
    assert results[0]["spec"]["data"] == [{"name": "x", "valueFrom": {"secretRef": {"name": "s"}}}]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            ["--account", "222222222222"],
            "find lists account 222222222222, where the operator is, and the store names 1234",
        ),
        (
            ["--region", "us-east-1"],
            "find lists region us-east-1, where the operator is, and the store names eu-west-1",
        ),
        (["--account", "", "--region", ""], "convert with --account"),
    ],
)
def test_a_search_in_another_place_than_the_operators_is_not_converted(convert, options, named):
    found = eso(dataFrom=[{"find": {"name": {"regexp": "x"}}}])
    results, problems = convert(store(), found, options=options)
    assert results == []
    assert any(named in problem for problem in problems), problems


def test_two_objects_with_one_secret_are_not_converted(convert):
    first = eso(target={"name": "shared"}, data=[remote("x", "s")])
    second = eso(target={"name": "shared"}, data=[remote("y", "s")])
    second["metadata"] = {**second["metadata"], "name": "second"}
    results, problems = convert(store(), first, second)
    assert results == []
    assert problems == [
        "not converted: ExternalSecret web/app: ExternalSecret web/second writes the same Secret shared",
        "not converted: ExternalSecret web/second: ExternalSecret web/app writes the same Secret shared",
    ]


def test_rewrite_rules_come_along_and_named_groups_are_named(convert, rendered):
    rule = {"regexp": {"source": "^app_(.*)$", "target": "the-${1}"}}
    results, problems = convert(store(), eso(dataFrom=[{"extract": {"key": "s"}, "rewrite": [rule]}]))
    assert [problem.partition(": two keys")[0] for problem in problems] == [
        "note: ExternalSecret web/app: dataFrom[0]"
    ]
    assert rendered(results, {"s": {"json": {"app_x": "1"}}}) == {"app": {"the-x": b"1"}}
    rule = {"regexp": {"source": "^(?P<n>.*)$", "target": "the-$n"}}
    _, problems = convert(store(), eso(dataFrom=[{"extract": {"key": "s"}, "rewrite": [rule]}]))
    assert any("the-$n" in problem for problem in problems), problems


def vault(**spec):
    metadata = {"name": "x", "namespace": "web"}
    return {
        "apiVersion": "secrets.hashicorp.com/v1beta1",
        "kind": "VaultStaticSecret",
        "metadata": metadata,
        "spec": spec,
    }


@pytest.mark.parametrize("spec", [{}, {"rolloutRestartTargets": "x"}, {"rolloutRestartTargets": []}])
def test_an_object_of_vault_without_restarts_says_nothing(convert, spec):
    results, problems = convert(vault(**spec), aso())
    assert results == []
    assert not [problem for problem in problems if "Vault" in problem]


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        (
            [store(service="Elsewhere"), eso()],
            "SecretStore aws is not one of AWS Secrets Manager or Parameter Store",
        ),
        ([store(), eso(target={"creationPolicy": "None"})], "creationPolicy None"),
        ([kes(backendType="vault")], "backendType vault"),
        ([aso()], "it names no secret"),
        (
            [{"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret", "metadata": {"name": "x"}}],
            "PushSecret of external-secrets.io/v1alpha1 is not known",
        ),
        (
            [
                vault(
                    rolloutRestartTargets=[
                        {"kind": "Deployment", "name": "web"},
                        {"kind": "argo.Rollout", "name": "a"},
                    ]
                )
            ],
            'spec.restart.targets [{"kind": "Deployment", "name": "web"}, {"kind": "Rollout", "name": "a"}]',
        ),
    ],
)
def test_what_cannot_be_converted_at_all_gives_no_object_and_a_line(convert, objects, why):
    results, problems = convert(*objects)
    assert results == []
    assert any("not converted: " in problem and why in problem for problem in problems), problems


# kubernetes-external-secrets


def test_an_external_secret_of_kes_becomes_a_synced_secret(convert, rendered):
    results, problems = convert(
        kes(
            roleArn="arn:aws:iam::123456789012:role/reader",
            region="eu-central-1",
            dataFrom=["web/config"],
            dataFromWithOptions=[{"key": "web/more", "versionStage": "AWSPREVIOUS"}],
            data=[
                {"key": "web/text", "name": "text"},
                {"key": "web/db", "name": "pw", "property": "password", "versionStage": "AWSCURRENT"},
                {"key": "web/db", "name": "old", "property": "password", "versionId": "b" * 32},
                {"key": "web/base64", "name": "bytes", "isBinary": True},
            ],
            template={"type": "Opaque", "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}},
        )
    )
    assert problems == [
        "note: ExternalSecret web/app: data[3]: isBinary decodes base64; remove decode if AWS holds the secret as binary"
    ]
    assert results[0]["spec"] == {
        "IAMRole": "arn:aws:iam::123456789012:role/reader",
        "region": "eu-central-1",
        "type": "Opaque",
        "secretMetadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "dataFrom": {"secretRefs": [{"name": "web/config"}, {"name": "web/more", "versionStage": "AWSPREVIOUS"}]},
        "data": [
            {"name": "text", "valueFrom": {"secretRef": {"name": "web/text"}}},
            {
                "name": "pw",
                "valueFrom": {"secretKeyRef": {"name": "web/db", "versionStage": "AWSCURRENT", "key": "password"}},
            },
            {
                "name": "old",
                "valueFrom": {"secretKeyRef": {"name": "web/db", "versionId": "b" * 32, "key": "password"}},
            },
            {"name": "bytes", "valueFrom": {"secretRef": {"name": "web/base64", "decode": "base64"}}},
        ],
        "deletionPolicy": "Delete",
    }
    assert rendered(
        results,
        {
            "web/config": {"json": {"both": "config", "a": {"b": 1}}},
            "web/more": {"json": {"both": "newer"}, "stages": {"AWSPREVIOUS": {"json": {"both": "more"}}}},
            "web/text": {"value": "plain"},
            "web/db": {"json": {"password": "pw"}, "versionId": "b" * 32},
            "web/base64": {"value": "AAE="},
        },
    ) == {
        "app": {
            "both": b"more",
            "a": b'{"b":1}',
            "text": b"plain",
            "pw": b"pw",
            "old": b"pw",
            "bytes": b"\x00\x01",
        }
    }


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"controllerId": "x"}, "spec.controllerId"),
        ({"kvVersion": 1}, "spec.kvVersion"),
        ({"data": [{"path": "/a", "recursive": True}]}, "data[0].path"),
        ({"data": [{"key": "a"}]}, "data[0] has no name or no key"),
        ({"data": [{"name": "a"}]}, "data[0] has no name or no key"),
        ({"data": [{"key": "a", "name": "b", "secretType": "c"}]}, "data[0].secretType"),
        ({"data": [{"key": "a", "name": "b", "property": "c['d']"}]}, "data[0]: property c['d']"),
        ({"dataFromWithOptions": [{"key": "a", "isBinary": True}]}, "dataFromWithOptions[0].isBinary"),
        ({"template": {"stringData": {"x": "<%= data.y %>"}}}, "template.stringData.x"),
        ({"template": {"data": {"x": "<%= data.y %>"}}}, "template.data.x"),
        ({"template": {"metadata": {"name": "x"}}}, "template.metadata.name"),
        ({"template": {"data": {"x": "eA=="}}}, "template.data.x: write it as a value of data"),
        ({"template": {"novel": True}}, "template.novel"),
    ],
)
def test_what_kes_has_and_a_synced_secret_has_not_is_named(convert, spec, named):
    _, problems = convert(kes(**{"dataFrom": ["web/config"], **spec}))
    assert any(named in problem for problem in problems), problems


# aws-secret-operator


def test_an_aws_secret_becomes_a_synced_secret(convert, rendered):
    results, problems = convert(
        aso(
            stringDataFrom=referring("web/text", "c" * 32),
            dataFrom=referring("web/base64", "d" * 32),
            type="Opaque",
            metadata={"labels": {"a": "b"}, "annotations": {"c": "d"}},
        )
    )
    assert results[0]["spec"] == {
        "type": "Opaque",
        "secretMetadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "dataFrom": {
            "secretRefs": [
                {"name": "web/base64", "versionId": "d" * 32, "decode": "base64"},
                {"name": "web/text", "versionId": "c" * 32},
            ]
        },
        "nullValues": "Empty",
        "deletionPolicy": "Delete",
    }
    secrets = {
        "web/text": {"json": {"a": "text", "both": "text"}, "versionId": "c" * 32},
        "web/base64": {"json": {"b": "AAE=", "both": "AAE="}, "versionId": "d" * 32},
    }
    assert rendered(results, secrets) == {"app": {"a": b"text", "b": b"\x00\x01", "both": b"text"}}
    assert [problem.removeprefix("note: AWSSecret web/app: ") for problem in problems] == [
        f"dataFrom: pinned to version {'d' * 32}, as before; without it the Secret follows AWS",
        f"stringDataFrom: pinned to version {'c' * 32}, as before; without it the Secret follows AWS",
        "the key AWSVersionId is left out: status.sources has the version",
    ]


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({}, "stringDataFrom has no versionId, so there it reads nothing"),
        ({"novel": 1}, "spec.novel"),
        ({"stringDataFrom": {**referring("a"), "novel": 1}}, "stringDataFrom.novel"),
        ({"dataFrom": {"secretsManagerSecretRef": {"secretId": "a", "novel": 1}}}, "dataFrom.novel"),
        ({"metadata": {"labels": {"a": "b"}, "name": "x"}}, "metadata.name"),
    ],
)
def test_what_aso_has_and_a_synced_secret_has_not_is_named(convert, spec, named):
    _, problems = convert(aso(**{"stringDataFrom": referring("a"), **spec}))
    assert any(named in problem for problem in problems), problems


# All of them


def test_synced_secrets_and_namespaces_among_the_files_are_left_alone(convert):
    ours = {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret", "metadata": {"name": "x"}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}
    results, problems = convert(ours, space, kes(dataFrom=["a"]))
    assert ([result["metadata"]["name"] for result in results], problems) == (["app"], [])


def test_files_without_anything_to_convert_are_named(tmp_path, capsys):
    path = tmp_path / "ours.yaml"
    path.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: web}}")
    assert cli.main(["convert", "-f", str(path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "nothing to convert: these files have no ExternalSecret and no AWSSecret",
        "0 converted, 0 with notes, 0 not converted",
    ]


def test_an_object_that_cannot_be_read_counts_as_not_converted(tmp_path, capsys):
    path = tmp_path / "cm.yaml"
    path.write_text("{apiVersion: v1, kind: ConfigMap}")
    assert cli.main(["convert", "-f", str(path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"not converted: {path}: an object without metadata.name",
        "0 converted, 0 with notes, 1 not converted",
    ]


def test_an_invalid_result_is_named(convert):
    _, problems = convert(kes(data=[{"key": "a", "name": "not/a key"}]))
    assert any("the result is not valid: spec.data[0].name" in problem for problem in problems), problems


def test_a_letter_that_yaml_takes_for_a_boolean_is_the_name_of_a_key(capsys, tmp_path):
    path = tmp_path / "peers.yaml"
    spec = eso(data=[remote("KEY", "s", property="PROPERTY")])
    text = yaml.safe_dump_all([store(), spec]).replace("KEY", "N").replace("PROPERTY", "y")
    path.write_text(text)
    assert cli.main(["convert", "-f", str(path)]) == 0
    (result,) = kube_yaml.load_all(capsys.readouterr().out)
    reference = {"name": "s", "key": "y"}
    assert result["spec"]["data"] == [{"name": "N", "valueFrom": {"secretKeyRef": reference}}]


# Reloader

USES = {"container": {"envFrom": [{"secretRef": {"name": "app"}}]}}
RELOADED = [
    pytest.param({"secret.reloader.stakater.com/reload": "other, app"}, {}, True, id="by name"),
    pytest.param({"secret.reloader.stakater.com/reload": "apps"}, USES, False, id="by another name"),
    pytest.param({"reloader.stakater.com/auto": "true"}, USES, True, id="by use"),
    pytest.param({"secret.reloader.stakater.com/auto": "true"}, USES, True, id="by use of a Secret"),
    pytest.param({"reloader.stakater.com/auto": "true"}, {}, False, id="no use"),
    pytest.param({"reloader.stakater.com/auto": "false"}, USES, False, id="turned off"),
    pytest.param({"reloader.stakater.com/search": "true"}, USES, True, id="by search"),
    pytest.param({}, USES, False, id="no annotation"),
]


@pytest.mark.parametrize(("annotations", "parts", "restarts"), RELOADED)
@pytest.mark.parametrize("kind", ["Deployment", "Rollout"])
def test_workloads_that_reloader_restarts_are_restarted(convert, kind, annotations, parts, restarts):
    match = {"metadata": {"annotations": {"reloader.stakater.com/match": "true"}}}
    peer = eso(target={"template": match}, data=[remote("x", "s")])
    obj = workload("web", "shop", kind, annotations=annotations, **parts)
    results, problems = convert(
        store(), peer, obj, workload("other", "shop", kind, annotations=annotations, **parts)
    )
    assert results[0]["spec"].get("restart") == (
        {"targets": [{"kind": kind, "name": "shop"}]} if restarts else None
    )
    told = (
        f"note: ExternalSecret web/app: restart: as Reloader restarts {kind} shop; remove its annotations there, and "
        "grant the operator the permissions (docs/restarts.md)"
    )
    assert problems == ([told] if restarts else [])


def test_annotations_of_the_pod_template_count_and_a_search_needs_a_match(convert):
    obj = workload("web", "shop", annotations={"reloader.stakater.com/search": "true"}, **USES)
    results, _ = convert(store(), eso(data=[remote("x", "s")]), obj)
    assert "restart" not in results[0]["spec"]
    obj["spec"]["template"]["metadata"]["annotations"] = {"reloader.stakater.com/auto": "true"}
    results, _ = convert(store(), eso(data=[remote("x", "s")]), obj)
    assert results[0]["spec"]["restart"]["targets"] == [{"kind": "Deployment", "name": "shop"}]
