"""What the peers really write, and what `convert` and `render` make of the same objects and the same AWS secrets.

`tests/data/peers/` has tables of cases. External Secrets 2.9.0 and the last kube-secret-syncer were run on `external_secrets`
and `kube_secret_syncer`. The others were made by reading their source. A case is the same unless it says:

    ours, ours labels     the Secret differs on purpose
    refused               the operator makes no Secret, on purpose, with this text
    noted                 convert says this of it
    silent                convert has nothing to say
    not converted         convert says this, and prints no object
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from secretsyncer import cli
from secretsyncer.gotemplate import compiled
from secretsyncer.settings import Settings, load
from secretsyncer.sync.observed import summarise
from secretsyncer.sync.secret_plan import Patch, plan
from secretsyncer.synced_secret import parse
from tests.support import fast_yaml
from tests.support.builders import kube_secret

TABLES = Path(__file__).resolve().parents[2] / "data" / "peers"
NAMESPACE = "web"
ROLE = "arn:aws:iam::123456789012:role/reader"
STANDARD = (
    '{"username": "web", "password": "p@ss/w:rd&<1>", "host": "db.example.com", "port": 5432, "ssl": true, "debug": false, '
    '"zero": 0, "ratio": 1.50, "exp": 1e6, "big": 12345678901234567890, "id": 12345678, "nothing": null, "empty": "", '
    '"list": ["a", "b"], "opts": {"z": 1, "a": {"b": "x"}}}'
)
GO_STANDARD = (
    '{"username": "web", "password": "p@ss/w:rd&<1>", "host": "db.example.com", "port": 5432, "on": true, "off": false, '
    '"zero": 0, "ratio": 1.5, "r2": 2.50, "empty": "", "list": ["a", "b"], "opts": {"z": 1, "a": {"b": "x"}}, "a-b": "dash"}'
)
VERSIONS = {
    "ExternalSecret": "external-secrets.io/v1",
    "SecretStore": "external-secrets.io/v1",
    "ClusterSecretStore": "external-secrets.io/v1",
    "SyncedSecret": "secrets.contentful.com/v1",
    "AWSSecret": "mumoshu.github.io/v1alpha1",
}
STORE = {
    "kind": "SecretStore",
    "metadata": {"name": "aws-sm"},
    "spec": {"provider": {"aws": {"service": "SecretsManager", "region": "us-east-1", "role": ROLE}}},
}


def table(name):
    cases = fast_yaml.load((TABLES / f"{name}.yaml").read_text())
    assert len({case["case"] for case in cases}) == len(cases)
    return [pytest.param(case, id=case["case"].replace(" ", "-")) for case in cases]


def objects_of(case, kind, defaults):
    own = [{"kind": kind, "metadata": {"name": "app"}, "spec": case["spec"]}] if "spec" in case else []
    made = []
    for obj in (*own, *case.get("objects", ())):
        place = {} if obj["kind"].startswith("Cluster") else {"namespace": NAMESPACE}
        spec = {"spec": {**defaults, **(obj.get("spec") or {})}} if obj["kind"] == kind else {}
        made.append(
            {"apiVersion": VERSIONS.get(obj["kind"], "v1"), **obj, "metadata": {**obj["metadata"], **place}, **spec}
        )
    return made


@pytest.fixture(scope="module")
def compiled_engine():
    engine = compiled.engine()
    return engine, compiled.load(engine, load({}).cache_folder)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path, compiled_engine):
    """Run a command on objects and AWS secrets: exit code, objects and lines of standard error."""
    for name in (*(name.upper() for name in Settings.model_fields), "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    engine, module = compiled_engine  # to load it takes longer than all the rest of a command
    monkeypatch.setattr(compiled, "engine", lambda: engine)
    monkeypatch.setattr(compiled, "load", lambda *_: module)

    def ran(command, objects, secrets=None, *options):
        path, values = tmp_path / f"{command}.json", tmp_path / "aws.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        values.write_text(json.dumps(secrets or {}))
        code = cli.main(
            [command, "-f", str(path), *options, *(["--secrets", str(values)] if command == "render" else [])]
        )
        out, err = capsys.readouterr()
        return code, list(fast_yaml.load_all(out)), err.splitlines()

    return ran


def aws_of(case, standard):
    given = case.get("aws", {})
    return {name: {"value": standard} if secret == "standard" else secret for name, secret in given.items()}


def text_of(encoded):
    data = base64.b64decode(encoded)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": encoded}


def without(entries, *names):
    return {name: text for name, text in (entries or {}).items() if name not in names}


def seen(secret):
    metadata = secret["metadata"]
    return {
        "type": secret.get("type"),
        "data": {key: text_of(text) for key, text in secret["data"].items()},
        "labels": without(metadata.get("labels"), "secrets.contentful.com/managed"),
        "annotations": without(
            metadata.get("annotations"), "secrets.contentful.com/managed-metadata", "secrets.contentful.com/keys"
        ),
        "immutable": bool(secret.get("immutable")),
    }


def expected(case):
    """The Secrets by name: what the peer makes, with our differences."""
    none = {"type": "Opaque", "labels": {}, "annotations": {}, "immutable": False}
    if "secrets" in case:
        made = {name: {**none, **secret} for name, secret in case["secrets"].items()}
    else:
        made = {} if case["makes"] is None else {"app": {**none, "data": case["makes"]}}
    if "ours" in case:
        made["app"] = {**none, **made.get("app", {}), "data": case["ours"]}
    if "ours labels" in case:
        made["app"]["labels"] = case["ours labels"]
    for secret in made.values():
        secret["labels"] = without(secret["labels"], "secrets.contentful.com/managed")
    return made


def check(case, run, objects, secrets):
    """Convert, render, compare: nothing differs in silence, and nothing that is converted fails without a note."""
    code, results, lines = run("convert", objects, None, "--account", "123456789012", "--region", "us-east-1")
    refusals = [line for line in lines if line.startswith("not converted: ")]
    assert code == bool(refusals)
    if "not converted" in case:
        assert any(case["not converted"] in line for line in refusals), lines
        assert results == []
        return
    assert refusals == []
    notes = [line for line in lines if line.startswith("note")]
    assert case.get("noted", "") in "\n".join(notes), lines
    assert not (case.get("silent") and notes)
    compare(case, run, results, secrets)


def compare(case, run, results, secrets):
    _, made, lines = run("render", results, secrets)
    failures = [line for line in lines if not line.startswith("note: ")]
    if "refused" in case:
        assert case["refused"] in "\n".join(failures)
        assert made == []
    else:
        wanted = expected(case)
        assert {secret["metadata"]["name"]: seen(secret) for secret in made} == wanted, failures
        assert bool(failures) == (not wanted), failures


def different(case):
    return bool(case.keys() & {"ours", "ours labels", "refused", "not converted"})


@pytest.mark.parametrize("case", [*table("external_secrets"), *table("external_secrets_source")])
def test_external_secrets(case, run):
    objects = objects_of(case, "ExternalSecret", {"secretStoreRef": {"name": "aws-sm", "kind": "SecretStore"}})
    stored = {
        **STORE,
        "apiVersion": VERSIONS["SecretStore"],
        "metadata": {"name": "aws-sm", "namespace": NAMESPACE},
    }
    check(case, run, [stored, *objects], aws_of(case, STANDARD))
    assert not different(case) or case.keys() & {"noted", "not converted"} or case["makes"] is None


@pytest.mark.parametrize("case", table("kubernetes_external_secrets"))
def test_kubernetes_external_secrets(case, run):
    objects = objects_of(case, "ExternalSecret", {"backendType": "secretsManager", "roleArn": ROLE})
    check(case, run, [{**obj, "apiVersion": "kubernetes-client.io/v1"} for obj in objects], aws_of(case, STANDARD))
    assert not different(case) or case.keys() & {"noted", "not converted"}


@pytest.mark.parametrize("case", table("aws_secret_operator"))
def test_aws_secret_operator(case, run):
    check(case, run, objects_of(case, "AWSSecret", {}), aws_of(case, STANDARD))
    assert not different(case) or case.keys() & {"noted", "not converted"}


@pytest.mark.parametrize("case", [*table("kube_secret_syncer"), *table("kube_secret_syncer_source")])
def test_kube_secret_syncer(case, run):
    objects = objects_of(case, "SyncedSecret", {"IAMRole": ROLE})
    compare(case, run, objects, aws_of(case, GO_STANDARD))
    if "refused" not in case and case.get("makes") is not None:
        check_adopted(objects[0], case["makes"], expected(case)["app"]["data"])


def check_adopted(obj, theirs, ours):
    """The Go operator's Secret carries no mark, and the operator takes it over with its defaults: no key is removed."""
    synced = parse(obj)
    data = {key: str(text).encode() for key, text in theirs.items()}
    secret = kube_secret(data, name="app", namespace=NAMESPACE, ours=False)
    wanted = {key: str(text).encode() for key, text in ours.items()}
    step = plan(synced, wanted, summarise(secret), adopt=True)
    assert isinstance(step, Patch)
    assert None not in step.body.get("data", {}).values()


def test_most_external_secrets_are_the_same_and_each_other_one_is_told():
    cases = [param.values[0] for param in table("external_secrets")]
    same = [case for case in cases if not different(case) or case.get("makes", "") is None]
    on_purpose = [case for case in cases if case not in same and "noted" in case]
    assert len(same) / len(cases) > 0.85
    assert (len(same) + len(on_purpose)) / len(cases) > 0.94
