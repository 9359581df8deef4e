"""What users see through kubectl."""

from __future__ import annotations

import re
import uuid

import pytest
import pytest_asyncio

from sandbox.playground import sample_parameters, sample_secrets
from secretsyncer.synced_secret import target_of
from tests.support.cluster import MANIFESTS, Space
from tests.support.eventually import eventually
from tests.support.specs import all_keys

pytestmark = pytest.mark.real


async def test_get_shows_readiness_reason_and_ages_and_wide_shows_role_and_message(operator, aws, kubectl, space):
    name = f"app/{uuid.uuid4().hex[:8]}"
    aws.world.create(name, '{"a": "1"}')
    aws.world.role("reader")
    await space.write("good", IAMRole="reader", dataFrom=all_keys(name))
    await space.write("bad", dataFrom=all_keys(f"{name}-missing"))
    await space.until_synced("good")
    message = await space.until_failed("bad", "SecretNotFound")

    header, bad, good = (await kubectl("get", "ss", "-n", space.name)).splitlines()
    assert header.split("  ")[0] == "NAME"
    assert re.split(r"\s{2,}", header.strip()) == ["NAME", "READY", "REASON", "LAST SYNC", "AGE"]
    assert good.split()[:3] == ["good", "True", "Synced"]
    assert re.fullmatch(r"\d+s", good.split()[3])
    assert bad.split()[:3] == ["bad", "False", "SecretNotFound"]

    wide = (await kubectl("get", "syncedsecrets", "-n", space.name, "-o", "wide")).splitlines()
    assert re.split(r"\s{2,}", wide[0].strip())[-2:] == ["ROLE", "MESSAGE"]
    assert message in wide[1]
    assert "reader" in wide[2]


async def test_describe_shows_the_events(operator, aws, kubectl, space):
    name = f"app/{uuid.uuid4().hex[:8]}"
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_failed("demo", "SecretNotFound")
    aws.world.create(name, '{"a": "1"}')
    await space.until_synced("demo")

    async def told():
        said = await kubectl("describe", "syncedsecret", "demo", "-n", space.name)
        events = said[said.index("Events:") :]
        assert re.search(rf"Warning\s+SecretNotFound\s.*\ssecretsyncer\s.*{name}", events), events
        assert re.search(r"Normal\s+Synced\s.*Secret created with key a", events), events

    await eventually(told)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("syncedsecret", "SyncedSecret creates a Kubernetes Secret from secrets in AWS Secrets Manager"),
        ("ss.spec", "IAMRole"),
        ("ss.spec.data.valueFrom.template", "Go template (text/template) whose output is the value"),
        ("ss.status.conditions.reason", "Reason for the status, as one word"),
    ],
)
async def test_explain_describes_the_fields(cluster, kubectl, field, expected):
    async def explained():  # the server publishes a new schema some moments after the definition
        code, text = await kubectl.attempt("explain", field)
        assert code == 0, text
        assert expected in " ".join(text.split())

    await eventually(explained)


async def test_wait_waits_for_the_condition(operator, aws, kubectl, space):
    name = f"app/{uuid.uuid4().hex[:8]}"
    aws.world.create(name, '{"a": "1"}')
    await space.write("demo", dataFrom=all_keys(name))
    await kubectl("wait", "--for=condition=Ready", "ss/demo", "-n", space.name, "--timeout=50s")
    assert await space.data("demo") == {"a": b"1"}


async def test_wait_ends_at_once_where_somebody_must_act_until_somebody_has(operator, aws, kubectl, space):
    name = f"app/{uuid.uuid4().hex[:8]}"
    await space.write("demo", dataFrom=all_keys(name))
    await kubectl("wait", "--for=condition=Stalled", "ss/demo", "-n", space.name, "--timeout=50s")
    aws.world.create(name, '{"a": "1"}')
    await space.until_synced("demo")
    assert [condition["type"] for condition in (await space.synced("demo"))["status"]["conditions"]] == ["Ready"]


@pytest_asyncio.fixture(loop_scope="session")
async def demo(cluster):
    """The namespace of the samples, which come with it."""
    made = Space(cluster, "demo")
    yield made
    await made.clear()


async def test_the_samples_do_what_their_comments_say(operator, aws, kubectl, demo):
    for name, text in sample_parameters():
        aws.world.parameters.put(name, text)
    for name, value, tags in sample_secrets():
        aws.world.create(name, value, tags=tags)
    aws.world.role("iam_role")
    aws.world.role("team/demo-reader")
    aws.world.role("secret-syncer")
    await kubectl("apply", "-f", str(MANIFESTS / "samples"))

    async def settled():
        lines = [line.split() for line in (await kubectl("get", "ss", "-n", "demo", "--no-headers")).splitlines()]
        ready = {line[0]: line[1] for line in lines}
        wrong = {name for name, state in ready.items() if state != "True"}
        assert wrong == {"broken", "denied", "suspended"}, lines
        return set(ready) - wrong

    for name in await eventually(settled):
        assert await demo.data(target_of(await demo.synced(name)).name), name
    assert await demo.data("broken") is None
    expected = {
        "account": {"token": b"not-a-real-token"},
        "find-by-name": {"api-key": b"not-a-real-key", "old_signing-key": b"not-a-real-key-either"},
        "demo-login": {"username": b"web", "password": b"not-a-real-password"},
        "optional": {"mysql_user": b"contentful", "mysql_socket": b"/var/run/mysqld/mysqld.sock"},
        "region": {"access_key": b"not-a-real-key", "mysql_pw": b"not-a-real-password"},
        "versions": {"now": b"not-a-real-password"},
    }
    for name, data in expected.items():  # what the searches go by may be a listing older than the samples
        await demo.until_data(name, data)
    assert (await demo.secret("demo-login"))["type"] == "kubernetes.io/basic-auth"
    aws.world.put("mysql", '{"user": "contentful", "password": "rotated", "port": 3306}')
    await demo.until_data("versions", {"now": b"rotated", "before": b"not-a-real-password"})

    async def found_and_templated():
        assert (await demo.data("find-by-tag")).get("tls") == b"false"
        hosts = (await demo.data("pgbouncer.txt"))["pgbouncer-hosts"].decode()
        assert re.fullmatch(r"(host=\S+ user=\S+ password=\S+\n){2}", hosts)

    await eventually(found_and_templated)
