"""Arbitrary JSON, bytes and variables at each boundary: the failure of that input, never of the process."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from secretsyncer.aws.api.http import REQUIRED, is_answer
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.listing.event_queue import ids_of
from secretsyncer.aws.listing.pages import entry_of
from secretsyncer.commands import manifests
from secretsyncer.commands.secrets_file import FileSecrets
from secretsyncer.errors import KubeError, Rejected, SettingsError
from secretsyncer.kube import kubeconfig
from secretsyncer.kube.errors import decode
from secretsyncer.kube.feed import read_event, read_page
from secretsyncer.proxies import proxy_for
from secretsyncer.settings import Settings, load
from secretsyncer.sync.observed import namespace_view, summarise, synced_secret_view
from secretsyncer.synced_secret import parse

NAMES = [
    "detail", "eventName", "source", "aws.secretsmanager", "resources", "requestParameters",
    "responseElements", "additionalEventData", "secretId", "name", "arn", "ARN", "PutSecretValue",
    "SecretId", "Type", "Notification", "Message", "metadata", "resourceVersion", "items", "kind",
    "continue", "type", "object", "code", "details", "causes", "reason", "message", "retryAfterSeconds",
    "Name", "Tags", "Key", "Value", "SecretVersionsToStages", "AWSCURRENT", "DeletedDate", "spec", "data",
    "dataFrom", "secretRef", "secretKeyRef", "valueFrom", "value", "key", "find", "tags", "template",
    "secretMetadata", "labels", "annotations", "target", "current-context", "contexts", "clusters", "users",
    "cluster", "user", "server", "exec", "command",
]  # fmt: skip
WORDS = st.sampled_from(NAMES)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | WORDS
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=5),
    max_leaves=25,
)
OBJECT = st.dictionaries(WORDS, ANY, max_size=6)
NAMED = st.builds(lambda obj, more: {**obj, "metadata": {"name": "x", "namespace": "y", **more}}, OBJECT, OBJECT)

EVENT = ANY.map(lambda inner: json.dumps({"source": "aws.secretsmanager", "detail": inner}))
JSON = ANY.map(lambda value: json.dumps(value).encode())


@contextmanager
def one_line(*kinds):
    """The block may raise one of these, with a message of one line that is not empty; anything else is a bug."""
    try:
        yield
    except kinds as exc:
        text = exc.failure.message if isinstance(exc, AwsError) else str(exc)
        if not text or "\n" in text or len(text) > 5_000:
            pytest.fail(f"not a line: {text!r}")


@given(st.text(max_size=200) | ANY.map(json.dumps) | EVENT)
def test_a_message_of_the_queue(body):
    found = ids_of(body)
    assert found is None or all(isinstance(name, str) for name in found.ids)


@given(st.fixed_dictionaries({"eventName": ANY, "requestParameters": ANY, "name": ANY, "arn": ANY}))
@example({"eventName": ["PutSecretValue"]})
def test_an_event_of_the_queue_with_fields_of_any_type(detail):
    found = ids_of(json.dumps({"source": "aws.secretsmanager", "resources": [detail], "detail": detail}))
    assert found is None or all(isinstance(name, str) for name in found.ids)


@given(st.sampled_from([*REQUIRED, "ReceiveMessage"]), ANY)
@example("ListSecrets", None)
@example("ListSecrets", {"SecretList": {}})
def test_an_answer_of_aws(operation, answer):
    assert is_answer(operation, answer) in {True, False}


@given(st.dictionaries(st.sampled_from(["Name", "ARN", "Tags", "SecretVersionsToStages", "DeletedDate"]), ANY))
def test_an_entry_of_a_listing(raw):
    with one_line(AwsError):
        entry_of(raw)


@given(st.integers(100, 599), st.binary(max_size=60) | JSON)
def test_an_answer_of_the_api_server(status, content):
    with one_line(KubeError):
        assert isinstance(decode(status, {"Retry-After": "x"}, content), dict)


@given(st.binary(max_size=60) | JSON)
def test_a_line_of_a_watch(line):
    with one_line(KubeError):
        assert isinstance(read_event(line).version, str)


@given(OBJECT)
def test_a_page_of_a_list(answer):
    with one_line(KubeError):
        assert all(isinstance(item, dict) for item in read_page(answer).items)


@given(NAMED)
def test_an_object(obj):
    with one_line(Rejected):
        parse(obj)


@given(ANY)
@example({"\n": None})
@example({"x" * 10_000: 1})
@example({f"field{number}": number for number in range(10_000)})
def test_a_spec(spec):
    with one_line(Rejected):
        parse({"metadata": {"name": "x", "namespace": "y"}, "spec": spec})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=st.binary(max_size=80) | JSON)
def test_a_file(content, tmp_path):
    path = Path(tmp_path, "file.yaml")
    path.write_bytes(content)
    for read in (kubeconfig_of, FileSecrets.load, manifests_of):
        with one_line(SettingsError):
            read(path)


def kubeconfig_of(path):
    kubeconfig.read(str(path))


def manifests_of(path):
    manifests.load_manifests([path])


@given(st.dictionaries(st.sampled_from([name.upper() for name in Settings.model_fields]), st.text(max_size=30)))
def test_the_environment(environment):
    with one_line(SettingsError):
        load(environment)


@given(
    st.dictionaries(st.sampled_from(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY"]), st.text(max_size=30)),
    st.sampled_from(["https://x.y", "https://[::1]:6443", "http://10.0.0.1:80"]),
)
def test_the_proxies_of_the_environment(environment, url):
    with one_line(SettingsError):
        proxy_for(url, environment)


@pytest.mark.parametrize("transform", [summarise, synced_secret_view, namespace_view("a")])
def test_an_object_without_anything(transform):
    kept = transform({"metadata": {"name": "x", "labels": None, "annotations": None}, "data": None})
    assert kept["metadata"]["name"] == "x"
