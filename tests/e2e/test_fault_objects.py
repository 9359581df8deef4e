"""Random objects, constant edits, a thousand failing objects: each affects only itself."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from sandbox.kubernetes_client import path_of
from secretsyncer.commands.file_fields import ACCOUNT
from secretsyncer.commands.renderer import Renderer, render_all
from secretsyncer.commands.secrets_file import FileSecrets
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.metrics import Metrics
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.synced_secret import SyncedSecretSpec
from tests.support.builders import ANNOTATION, synced_secret
from tests.support.crd import without_rules
from tests.support.eventually import eventually
from tests.support.measures import total
from tests.support.specs import all_keys, literal

log = logging.getLogger(__name__)

MADE_UP, AT_ONCE = 10_000, 20
ON_THE_SERVER = 100
EDITS = 1000
EDITS_A_SECOND = 200
FAILING = 1000
PROMPTLY = 10_000
"""Milliseconds for an edit on a busy machine. Behind all that fail, it would wait for minutes."""

# Around the model's schema: its field names, its kinds of values, and what does not belong there

SCHEMA = SyncedSecretSpec.model_json_schema(by_alias=True)
FIELDS = sorted({name for part in [SCHEMA, *SCHEMA["$defs"].values()] for name in part.get("properties", {})})
TEXTS = st.one_of(
    st.sampled_from(["a", "b", "app/config", "missing", "", ".", "[a", "$1", "10s", "Retain", "base64", "reader"]),
    st.sampled_from(
        ["{{ .Secrets }}", '{{ getSecretValue "app/config" }}', "{{ end }}", "{{ printf `%s` 1 }}", "{{"]
    ),
    st.text(max_size=12),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=8,
)


def nearly(fields):
    """An object with these fields, each of them right most of the time."""
    return st.fixed_dictionaries({}, optional={name: right | SCALARS for name, right in fields.items()})


SECRET = {"name": TEXTS, "region": TEXTS, "decode": st.just("base64"), "optional": st.booleans()}
VALUE_FROM = st.one_of(
    st.fixed_dictionaries({"template": TEXTS}),
    st.fixed_dictionaries({"secretRef": nearly({**SECRET, "default": TEXTS})}),
    st.fixed_dictionaries({"secretKeyRef": nearly({**SECRET, "key": TEXTS, "jmesPath": TEXTS})}),
)
ITEM = st.one_of(
    st.fixed_dictionaries({"name": TEXTS, "value": TEXTS}),
    st.fixed_dictionaries({"name": TEXTS, "valueFrom": VALUE_FROM}),
    ANYTHING,
)
FIND = nearly({"tagKey": TEXTS, "name": nearly({"regexp": TEXTS, "prefix": TEXTS}), "merge": st.booleans()})
REWRITE = st.lists(nearly({"source": TEXTS, "target": TEXTS}), max_size=2)
WILD = nearly(
    {
        "data": st.lists(ITEM, max_size=3),
        "dataFrom": nearly({"secretRef": nearly(SECRET), "find": FIND, "rewrite": REWRITE}),
        "IAMRole": TEXTS,
        "type": TEXTS,
        "target": nearly({"name": TEXTS}),
        "refreshInterval": TEXTS | st.integers(),
        "deletionPolicy": st.sampled_from(["Retain", "Delete"]),
        "secretMetadata": nearly({"labels": st.dictionaries(TEXTS, TEXTS, max_size=2)}),
    }
)

PLAIN = st.sampled_from(["app/config", "a", "b", "missing"])
KEYS = st.text("ab-._", min_size=1, max_size=3)
PROPER_ITEM = st.one_of(
    st.fixed_dictionaries({"name": KEYS, "value": st.text(max_size=5)}),
    st.builds(lambda name, secret: {"name": name, "valueFrom": {"secretRef": {"name": secret}}}, KEYS, PLAIN),
    st.builds(
        lambda name, text: {"name": name, "valueFrom": {"template": text}}, KEYS, st.text("{}. a|", max_size=6)
    ),
)
PROPER = st.fixed_dictionaries(
    {"data": st.lists(PROPER_ITEM, min_size=1, max_size=2)},
    optional={"type": TEXTS, "IAMRole": TEXTS, "refreshInterval": TEXTS, "target": nearly({"name": KEYS})},
)
SPECS = st.one_of(PROPER, WILD)


def made_up(count):
    """So many made-up specs, the same in each run."""
    specs = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(SPECS)
    def collect(spec):
        specs.append(spec)

    collect()
    return specs


@pytest.mark.filterwarnings("ignore:deprecated string literal")  # of JMESPath, which Python shows to nobody
def test_ten_thousand_made_up_specs_are_rendered_or_refused(request, tmp_path):
    """Through parsing, gate, reading, the template engine and rendering: anything but a `SyncFailure` fails here."""
    secrets = tmp_path / "secrets.yaml"
    secrets.write_text("{app/config: {json: {a: text, b: 1}, tags: {a: b}}, a: {value: plain}, b: {binary: /wA=}}")
    specs = made_up(MADE_UP)
    assert len(specs) >= MADE_UP
    values = FileSecrets.load(secrets)
    engine = TemplateEngine(cache_dir=Path(request.config.rootpath, ".cache", "gotemplate"), deadline=30)
    contents = ContentRenderer(values, engine, Metrics(CollectorRegistry()))
    renderer = Renderer(contents, values.catalogue, ACCOUNT, Rules(ANNOTATION, False))
    outcomes = {True: 0, False: 0}
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        for start in range(0, len(specs), AT_ONCE):
            some = specs[start : start + AT_ONCE]
            try:
                results = runner.run(render_all([{**synced_secret(), "spec": spec} for spec in some], renderer))
            except Exception as bug:
                raise AssertionError(f"one of these ends it: {some}") from bug
            assert len(results) == len(some)
            for spec, result in zip(some, results, strict=True):
                assert result.secret or result.problem, spec
                outcomes[result.secret is not None] += 1
    engine.close()
    assert outcomes[True] > MADE_UP / 20, outcomes  # else only the refusals would have been tried


@pytest.mark.real
async def test_a_hundred_made_up_objects_leave_the_queue_empty_and_the_process_well(operator, aws, cluster, space):
    specs = await asyncio.to_thread(made_up, ON_THE_SERVER * 3)
    taken = 0
    async with without_rules(cluster):
        for number, spec in enumerate(specs):
            obj = synced_secret(name=f"made-up-{number}", namespace=space.name)
            del obj["metadata"]["uid"], obj["metadata"]["generation"]
            reply = await cluster.request("POST", path_of("SyncedSecret", space.name), {**obj, "spec": spec})
            assert reply.status in {201, 400, 422}  # what the CRD's schema refuses does not get in
            taken += reply.status == 201
    assert taken >= ON_THE_SERVER, f"only {taken} of {len(specs)} got in"

    async def all_judged():
        for obj in await cluster.list("SyncedSecret", space.name):
            assert (obj.get("status") or {}).get("conditions"), obj
        metrics = await operator.metrics()
        assert total(metrics, "secretsyncer_queue_depth") == 0
        assert total(metrics, "secretsyncer_queue_longest_running_seconds") == 0

    await eventually(all_judged)
    await space.write("fine", data=[literal("a", "1")])
    await space.until_data("fine", {"a": b"1"})
    assert (await operator.get("/healthz"))[0] == 200


@pytest.mark.real
async def test_a_storm_of_200_edits_a_second_ends_with_the_last_one(operator, space):
    await space.write("demo", data=[literal("a", "0")])
    await space.until_synced("demo")
    began = time.monotonic()

    async def edit(number):
        patch = {"spec": {"data": [literal("a", str(number))]}}
        await space.cluster.merge("SyncedSecret", space.name, "demo", patch)

    burst = EDITS_A_SECOND // 40  # of more at once, most meet each other, and the server tries them again and again
    for start in range(1, EDITS, burst):
        await asyncio.gather(*(edit(number) for number in range(start, start + burst)))
        await asyncio.sleep(max(0, began + (start + burst) / EDITS_A_SECOND - time.monotonic()))
    log.info("edits a second: %d", round(EDITS / (time.monotonic() - began)))
    await edit(EDITS + 1)
    await space.until_data("demo", {"a": str(EDITS + 1).encode()})
    obj = await space.until_synced("demo")
    secret = (await space.secret("demo"))["metadata"]["resourceVersion"]
    await asyncio.sleep(1)
    assert (await space.secret("demo"))["metadata"]["resourceVersion"] == secret  # and stays there
    assert (await space.synced("demo"))["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]


@pytest.mark.real
async def test_a_thousand_failing_objects_do_not_slow_down_one_that_works(operator, aws, space, name):
    await space.write("works", data=[literal("a", "0")])
    await space.until_synced("works")
    idle = await latency(space)
    fault = aws.fault("500", operation="GetSecretValue")  # so that they come again and again
    batch = aws.fault("500", operation="BatchGetSecretValue")
    for start in range(0, FAILING, 50):
        specs = (f"{name}-{number}" for number in range(start, start + 50))
        await asyncio.gather(*(space.write(f"fails-{i.split('-')[1]}", dataFrom=all_keys(i)) for i in specs))
    busy = await latency(space)
    log.info("an edit takes %d ms when idle, %d ms beside %d that fail", idle, busy, FAILING)
    aws.faults.remove(fault)
    aws.faults.remove(batch)
    assert busy < max(10 * idle, PROMPTLY), f"{busy} ms, and {idle} ms when idle"


async def latency(space):
    """Milliseconds from an edit to the Secret: the median of nine."""
    times = []
    for _ in range(9):
        value = uuid.uuid4().hex
        began = time.monotonic()
        await space.write("works", data=[literal("a", value)])
        await space.until_data("works", {"a": value.encode()})
        times.append(round(1000 * (time.monotonic() - began)))
    return sorted(times)[4]
