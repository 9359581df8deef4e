"""Values of secrets never show: not in an exception, a representation, a log line, a status or a metric."""

import base64
import hashlib
import json
import logging
import traceback

import pytest
from prometheus_client import generate_latest

from secretsyncer import logs
from secretsyncer.aws.identity import Identity
from secretsyncer.errors import SyncFailure
from secretsyncer.sync import status
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.sync.observed import summarise
from secretsyncer.sync.secret_plan import plan
from secretsyncer.synced_secret import parse
from tests.support.builders import catalogue, entry, kube_secret, synced_secret, value
from tests.support.specs import all_keys, key, literal, template, whole
from tests.support.value_source import MemoryAws

CANARY = "Zq7vKx2mPw9sLt4dRb6n"
GRANT = Grant(Identity("arn:aws:iam::123456789012:role/reader"))
LISTED = catalogue(*(entry(name, team="web") for name in ("app", "text", "broken", "binary", "odd")))

AWS = {
    "app": {"pw": CANARY, "port": 5432, "nested": {"deep": [CANARY]}, "null": None},
    "text": CANARY,
    "broken": '{"pw": "' + CANARY,
    "binary": b"\xff" + CANARY.encode(),
    "odd": json.dumps({"bad/key": CANARY, "half": CANARY + "\ud800"}),
    "list": [CANARY],
    "name": f"secret of {CANARY}",
}


def optional(item, **options):
    ((kind, source),) = item["valueFrom"].items()
    return {**item, "valueFrom": {kind: {**source, **options}}}


FORMS = {
    "everything": {"dataFrom": all_keys("app")},
    "key": {"data": [key("a", "app", "pw")]},
    "nested": {"data": [key("a", "app", "nested")]},
    "text": {"data": [whole("a", "text")]},
    "binary": {"data": [whole("a", "binary")]},
    "literal": {"data": [literal("a", CANARY)]},
    "found": {"dataFrom": {"find": {"tagKey": "team"}, "invalidKeys": "Replace"}},
    "merged": {"dataFrom": {"find": {"name": {"prefix": "app"}, "merge": True}, "invalidKeys": "Skip"}},
    "null": {"data": [key("a", "app", "null")]},
    "missing": {"data": [key("a", "app", "missing"), key("b", "app", "nowhere")]},
    "no JSON": {"data": [key("a", "text", "k"), key("b", "broken", "k"), key("c", "binary", "k")]},
    "list": {"dataFrom": all_keys("list")},
    "invalid keys": {"dataFrom": all_keys("odd")},
    "clash": {"dataFrom": {**all_keys("app"), "rewrite": [{"source": "^.*$", "target": "x"}]}},
    "half a pair": {"data": [key("a", "odd", "half")]},
    "no base64": {"data": [optional(whole("a", "name"), decode="base64")]},
    "path": {
        "data": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "app", "jmesPath": "sum(nested.deep)"}}}]
    },
    "path to nothing": {"data": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "app", "jmesPath": "x.y"}}}]},
    "type": {"data": [literal("a", "1")], "dataFrom": all_keys("app"), "type": "kubernetes.io/tls"},
    "docker": {"data": [whole(".dockerconfigjson", "text")], "type": "kubernetes.io/dockerconfigjson"},
    "default": {"data": [optional(key("a", "app", "nowhere"), default=CANARY)]},
    "wrong spec": {"data": [{"name": CANARY[:4], "value": CANARY, "valueFrom": {"template": CANARY}}]},
    "wrong type": {"data": [{"name": "a", "value": [CANARY]}]},
    "wrong metadata": {"data": [literal("a", "1")], "secretMetadata": {"labels": {"a": [CANARY]}}},
}
TEMPLATES = [
    '{{ getSecretValue "text" }}',
    '{{ (getSecretValueMap "app").pw }}',
    '{{ getSecretValueMap "text" }}',
    '{{ getSecretValueMap "broken" }}',
    '{{ getSecretValueMap "list" }}',
    '{{ getSecretValue "binary" }}',
    '{{ (getSecretValueMap "app").missing }}',
    '{{ index (getSecretValueMap "app") "pw" "x" }}',
    '{{ (getSecretValueMap "app").pw.field }}',
    '{{ (getSecretValue "text").field }}',
    '{{ (getSecretValueMap "app").null }}',
    '{{ printf "%d" (getSecretValue "text") }}',
    '{{ printf (getSecretValue "text") 5 }}',
    '{{ printf "%s %s" (getSecretValue "text") }}',
    '{{ fromJson (getSecretValue "text") }}',
    '{{ b64dec (getSecretValue "name") }}',
    '{{ required (getSecretValue "text") "" }}',
    '{{ index .Secrets (getSecretValue "text") 5 }}',
    '{{ slice (getSecretValue "text") 500 }}',
    '{{ (getSecretValue "text") | call }}',
    '{{ template (getSecretValue "text") }}',
    '{{ getSecretValue (getSecretValue "text") }}',
    '{{ getSecretValue (getSecretValue "name") }}',
    '{{ getSecretValueMap (getSecretValueMap "app").pw }}',
    '{{ range $n, $s := filterByName .Secrets (printf "(%s" (getSecretValue "text")) }}{{ end }}',
    '{{ range $n, $s := filterByTagKey .Secrets (getSecretValue "text") }}{{ end }}',
    '{{ range getSecretValue "text" }}{{ . }}{{ end }}',
    '{{ if lt (getSecretValue "text") 5 }}{{ end }}',
    '{{ indent (getSecretValue "text") "x" }}',
    '{{ getSecretValue "text" | unknown }}',
]


def fingerprints():
    """Forms of the canary that must not show: any eight of its characters, encodings, plain hashes."""
    raw = CANARY.encode()
    yield from (CANARY[start : start + 8] for start in range(len(CANARY) - 7))
    # Base64 of a text depends on where it starts; the middle of each of the three readings does not.
    yield from (base64.b64encode(b"x" * shift + raw)[4:-4].decode() for shift in range(3))
    yield raw.hex()
    yield from (hashlib.new(name, raw).hexdigest()[:12] for name in ("md5", "sha1", "sha256", "sha512", "blake2b"))


FINGERPRINTS = tuple(fingerprints())


def shows(text):
    return [print_ for print_ in FINGERPRINTS if print_ in text]


def chain(failure):
    """All that can come out of an exception: its text, representation, arguments, causes, traceback."""
    yield "".join(traceback.format_exception(failure))
    while failure is not None:
        yield from (str(failure), repr(failure), repr(failure.args), repr(vars(failure)))
        failure = failure.__cause__ or failure.__context__


@pytest.fixture
def logged(capsys):
    """Log at debug as the operator does; what was written."""
    names = [None, *logs.TALKATIVE]
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    logs.configure("debug", "json")
    yield lambda: "".join(capsys.readouterr())
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def passed(renderer, obj):
    """What a pass makes of an object, all that can be printed of it, and the values that it was to write."""
    printed, written = [], []
    old = {}
    try:
        synced = parse(obj)
        printed.append(repr(synced))
        made = await renderer.render(GRANT, synced.spec, LISTED)
        printed += [repr(made), repr(made.read), repr(made.dependencies), repr(made.template_reads)]
        for observed in (None, summarise(kube_secret({"old": CANARY}))):
            step = plan(synced, made.data, observed, adopt=True)
            printed += [repr(step), repr(observed)]
            written.append(json.dumps(step.body))
        new = status.synced(old, generation=1, sources=tuple(made.read.values()), keys=len(made.data), now=0.0)
    except SyncFailure as failure:
        printed += chain(failure)
        new = status.failed(old, failure, generation=1, now=0.0)
        logging.getLogger("secretsyncer.test").info("rejected", exc_info=failure, extra={"error": failure.message})
    return [*printed, json.dumps(new)], written


@pytest.fixture
def renderer(engine, metrics):
    aws = MemoryAws(*(value(name, json.dumps(c) if isinstance(c, list) else c) for name, c in AWS.items()))
    return ContentRenderer(aws, engine, metrics)


@pytest.mark.parametrize("form", FORMS)
async def test_no_result_of_a_reconcile_shows_a_value(renderer, metrics, form):
    printed, _ = await passed(renderer, synced_secret(**FORMS[form]))
    printed.append(generate_latest(metrics.registry).decode())
    assert printed
    assert [(shows(text), text) for text in printed if shows(text)] == []


@pytest.mark.parametrize("text", TEMPLATES)
async def test_no_result_of_a_template_shows_a_value(renderer, metrics, text):
    printed, _ = await passed(renderer, synced_secret(template("a", text)))
    printed.append(generate_latest(metrics.registry).decode())
    assert [(shows(text), text) for text in printed if shows(text)] == []


async def test_no_line_of_the_log_shows_a_value(renderer, logged):
    for spec in (*FORMS.values(), *({"data": [template("a", text)]} for text in TEMPLATES)):
        await passed(renderer, synced_secret(**spec))
    lines = logged()
    assert lines.count("rejected") > 20
    assert [line for line in lines.splitlines() if shows(line)] == []


async def test_the_values_are_really_there_to_be_seen(renderer):
    _, written = await passed(renderer, synced_secret(whole("a", "text"), key("b", "app", "pw")))
    assert all(shows(body) for body in written)
    assert len(written) == 2
    assert shows(f"x{CANARY}y")
    assert shows(base64.b64encode(f"pw={CANARY}".encode()).decode())
    assert not shows("secretsyncer")
