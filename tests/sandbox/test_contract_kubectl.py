"""kubectl as a client of both servers: it is what people try the sandbox with."""

from __future__ import annotations

import asyncio
import json
import os
import shutil

import pytest

from tests.sandbox.contract import WIDGET_COLUMNS, crd, secret, widget
from tests.support.eventually import LIMIT, eventually

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


@pytest.fixture
def kubectl(api, namespace, tmp_path):
    """Run kubectl in the new namespace: returns its output, or with `fails=True` its error."""
    config = api.write_kubeconfig(tmp_path / "kubeconfig")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUBECONFIG": str(config),
        "EDITOR": "sed -i s/old/new/",
    }

    def start(*arguments):
        return asyncio.create_subprocess_exec(
            "kubectl",
            f"--namespace={namespace}",
            *arguments,
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(*arguments, given="", fails=False):
        process = await start(*arguments)
        text = given if isinstance(given, str) else json.dumps(given)
        out, err = await process.communicate(text.encode())
        assert (process.returncode != 0) == fails, err.decode() + out.decode()
        return (err if fails else out).decode()

    run.start = start
    return run


@pytest.fixture
def widgets_defined(widgets):
    """The custom resource is served."""


def noted(note, **data):
    """A Secret with a label, an annotation and data."""
    body = secret("a", data=data)
    body["metadata"] |= {"labels": {"x": "y"}, "annotations": {"note": note}}
    return body


async def as_json(kubectl, *what):
    return json.loads(await kubectl("get", *what, "-o", "json"))


async def test_apply_creates_changes_and_leaves_alone(kubectl, widgets_defined):
    for body, changed in (
        (widget("a"), widget("a", size=2)),
        (noted("old", k="MQ=="), noted("new", k="Mg==", l="MQ==")),
    ):
        assert "created" in await kubectl("apply", "-f", "-", given=body)
        assert "unchanged" in await kubectl("apply", "-f", "-", given=body)
        assert "configured" in await kubectl("apply", "-f", "-", given=changed)
        assert "unchanged" in await kubectl("apply", "-f", "-", given=changed)


async def test_apply_removes_what_is_no_longer_in_the_manifest(kubectl):
    body = noted("old", k="MQ==", l="MQ==")
    body["metadata"]["finalizers"] = ["example.com/one", "example.com/two"]
    await kubectl("apply", "-f", "-", given=body)
    body = secret("a", data={"k": "MQ=="})
    body["metadata"]["finalizers"] = ["example.com/two"]
    await kubectl("apply", "-f", "-", given=body)
    found = await as_json(kubectl, "secret", "a")
    assert found["data"] == {"k": "MQ=="}
    assert found["metadata"]["finalizers"] == ["example.com/two"]
    assert "labels" not in found["metadata"]


async def test_apply_of_a_namespace_changes_its_annotations(kubectl, namespace):
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{namespace}-more"}}
    assert "created" in await kubectl("apply", "-f", "-", given=body)
    body["metadata"]["annotations"] = {"a": "b"}
    assert "configured" in await kubectl("apply", "-f", "-", given=body)
    found = await as_json(kubectl, "namespace", f"{namespace}-more")
    assert found["metadata"]["annotations"]["a"] == "b"


async def test_apply_says_what_is_invalid(kubectl, widgets_defined):
    """By the server, or by kubectl itself out of the server's OpenAPI."""
    error = await kubectl("apply", "-f", "-", given=widget("a", size="x"), fails=True)
    assert "size" in error
    assert "integer" in error
    assert 'unknown field "spec.sise"' in await kubectl("apply", "-f", "-", given=widget("a", sise=1), fails=True)


async def test_definition_is_applied_and_found_by_its_short_name(kubectl):
    definition = crd("bolts", "Bolt", additionalPrinterColumns=WIDGET_COLUMNS)
    definition["spec"]["names"]["shortNames"] = ["bt"]
    await kubectl("apply", "-f", "-", given=definition)
    await kubectl("wait", "--for=condition=Established", "crd/bolts.contract.example.com", "--timeout=50s")
    assert "unchanged" in await kubectl("apply", "-f", "-", given=definition)
    body = {**widget("a"), "kind": "Bolt"}
    await eventually(lambda: kubectl("apply", "-f", "-", given=body))  # discovery follows a little later
    assert "a " in await kubectl("get", "bt")


async def test_get_shows_the_columns(kubectl, widgets_defined):
    await kubectl("create", "-f", "-", given=widget("a", size=7))
    head, row = (line.split() for line in (await kubectl("get", "widgets")).splitlines())
    assert head == ["NAME", "SIZE", "READY", "AGE"]
    assert row[:2] == ["a", "7"]
    assert "MODE" in await kubectl("get", "widgets", "-o", "wide")


async def test_get_as_yaml_hides_the_managers(kubectl):
    await kubectl("create", "-f", "-", given=secret("a", data={"k": "dg=="}))
    text = await kubectl("get", "secret", "a", "-o", "yaml")
    assert "k: dg==" in text
    assert "managedFields" not in text


@pytest.fixture
async def widget_with_event(client, namespace, widgets):
    made = await client.make(widgets, widget("a", size=7))
    about = {"kind": "Widget", "name": "a", "namespace": namespace, "uid": made["metadata"]["uid"]}
    about["apiVersion"] = "contract.example.com/v1"
    event = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "Turned", "message": "it turned"}
    await client.make(f"/api/v1/namespaces/{namespace}/events", {**event, "type": "Warning", "count": 3})


async def test_describe_shows_the_object_and_its_events(kubectl, namespace, widget_with_event):
    text = await kubectl("describe", "widget", "a")
    assert "Size:  7" in text
    assert "it turned" in text
    await kubectl("create", "-f", "-", given=secret("s", stringData={"k": "value"}))
    assert "k:  5 bytes" in await kubectl("describe", "secret", "s")
    assert "Active" in await kubectl("describe", "namespace", namespace)


@pytest.mark.parametrize("command", [["get", "events"], ["events"], ["events", "--for", "widget/a"]])
async def test_events_are_shown(kubectl, widget_with_event, command):
    text = await kubectl(*command)
    assert "Warning" in text
    assert "widget/a" in text.lower()
    assert "it turned" in text


async def test_label_annotate_patch_edit_replace(kubectl):
    await kubectl("create", "-f", "-", given=noted("old", k="MQ=="))
    assert "labeled" in await kubectl("label", "secret", "a", "z=1")
    assert "annotated" in await kubectl("annotate", "secret", "a", "more=1")
    assert "patched" in await kubectl("patch", "secret", "a", "-p", '{"stringData":{"l":"1"}}')
    assert "patched" in await kubectl("patch", "secret", "a", "--type=merge", "-p", '{"data":{"l":null}}')
    assert "edited" in await kubectl("edit", "secret", "a")
    found = await as_json(kubectl, "secret", "a")
    assert found["data"] == {"k": "MQ=="}
    assert found["metadata"]["labels"] == {"x": "y", "z": "1"}
    assert found["metadata"]["annotations"] == {"note": "new", "more": "1"}
    await kubectl("label", "secret", "a", "x-")
    assert "a " in await kubectl("get", "secrets", "-l", "!x")
    assert "replaced" in await kubectl("replace", "-f", "-", given=noted("other"))


async def test_edit_of_a_custom_object(kubectl, widgets_defined):
    await kubectl("create", "-f", "-", given=widget("a", tags={"note": "old"}))
    assert "edited" in await kubectl("edit", "widget", "a")
    assert (await as_json(kubectl, "widget", "a"))["spec"]["tags"] == {"note": "new"}


async def test_delete_waits_until_it_is_gone(kubectl, widgets_defined):
    await kubectl("create", "-f", "-", given=widget("a"))
    assert "deleted" in await kubectl("delete", "widget", "a", "--timeout=50s")
    assert "NotFound" in await kubectl("get", "widget", "a", fails=True)


async def test_delete_of_all(kubectl):
    await kubectl("create", "-f", "-", given=secret("a"))
    assert '"a" deleted' in await kubectl("delete", "secrets", "--all")


async def test_explain_reads_the_schema(kubectl, widgets_defined):
    async def probe():  # the real server's OpenAPI follows a little later
        text = await kubectl("explain", "widget.spec")
        assert "size" in text
        return text

    assert "Widget" in await eventually(probe)


async def test_get_watch_prints_changes_as_they_come(kubectl, client, widgets):
    await client.make(widgets, widget("a"))
    process = await kubectl.start("get", "widgets", "-w", "--no-headers", "--output-watch-events")
    try:
        async with asyncio.timeout(LIMIT):
            assert (await process.stdout.readline()).split()[:3] == [b"ADDED", b"a", b"1"]
            await client.patch(f"{widgets}/a", {"spec": {"size": 2}})
            assert (await process.stdout.readline()).split()[:3] == [b"MODIFIED", b"a", b"2"]
            await client.delete(f"{widgets}/a")
            assert (await process.stdout.readline()).split()[:2] == [b"DELETED", b"a"]
    finally:
        process.kill()
        await process.communicate()


async def test_wait_for_a_condition(kubectl, client, widgets):
    await client.make(widgets, widget("a"))
    waiting = asyncio.create_task(kubectl("wait", "--for=condition=Ready", "widget/a", "--timeout=50s"))
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await client.patch(f"{widgets}/a/status", status)
    assert "condition met" in await waiting
