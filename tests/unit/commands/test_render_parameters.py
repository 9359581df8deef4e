"""Rendering without a cluster: the section of parameters in the file."""

from __future__ import annotations

from base64 import b64decode

import pytest

from secretsyncer.commands.file_fields import ACCOUNT
from secretsyncer.commands.renderer import Renderer, render_all
from secretsyncer.commands.secrets_file import FileSecrets
from secretsyncer.errors import SettingsError
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.content import ContentRenderer
from tests.support.builders import ANNOTATION, namespace, synced_secret
from tests.support.specs import parameter, template, whole

FILE = """
app: {value: a secret}
parameters:
  /app/db/password: {value: p, version: 7, labels: {live: {value: old, version: 3}}}
  /app/config: {json: {port: 5432}, tags: {k: 1}}
  /app/hidden: {value: x, listed: false}
  plain: {value: other}
"""


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "secrets.yaml"
        path.write_text(content)
        return path

    return written


@pytest.fixture
def render(write, engine, metrics):
    async def rendered(*items, text=FILE, **spec):
        values = FileSecrets.load(write(text))
        renderer = Renderer(
            ContentRenderer(values, engine, metrics), values.listings, ACCOUNT, Rules(ANNOTATION, False)
        )
        (result,) = await render_all([namespace(), synced_secret(*items, **spec)], renderer)
        if result.secret is None:
            return result.problem
        return {key: b64decode(value).decode() for key, value in result.secret["data"].items()}

    return rendered


async def test_every_form_of_reference_is_found_in_the_section(render):
    arn = f"arn:aws:ssm:us-east-1:{ACCOUNT.id}:parameter/plain"
    assert await render(
        whole("secret", "app"),
        parameter("current", "/app/db/password"),
        parameter("pinned", "/app/db/password", version=3),
        parameter("labelled", "/app/db/password", label="live"),
        parameter("port", "/app/config", key="port"),
        parameter("arn", arn),
        template(
            "t", '{{ getParameter "/app/hidden" }}{{ range $k, $v := getParameters "/app" }} {{ $k }}{{ end }}'
        ),
        dataFrom={"parameters": [{"path": "/app/db"}]},
    ) == {
        "secret": "a secret",
        "current": "p",
        "password": "p",
        "pinned": "old",
        "labelled": "old",
        "port": "5432",
        "arn": "other",
        "t": "x config db/password",
    }


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (parameter("a", "/none"), "parameter /none is not in the file of secrets"),
        (parameter("a", "plain", version=9), "parameter plain has no version 9 in the file of secrets"),
        (parameter("a", "plain", label="x"), "parameter plain has no label x in the file of secrets"),
        (parameter("a", "not a name"), "parameterRef.name: must be the name of a parameter"),
    ],
)
async def test_what_is_not_there_is_named(render, item, problem):
    assert problem in await render(item)


async def test_an_aws_secret_may_be_called_parameters(render):
    assert await render(whole("a", "parameters"), text="parameters: {value: x}") == {"a": "x"}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{/a: {binary: AA==}}", "/a: binary: unknown field; must be an object with some of"),
        ("{/a: {}}", "/a: needs exactly one of value and json"),
        ("{/a: {value: x, version: seven}}", "/a: version must be a number"),
        ("{/a: {value: x, labels: [x]}}", "/a: labels must be a map"),
        ("{'a b': {value: x}}", "is not the name of a parameter"),
        ("{'arn:aws:ssm:us-east-1:000000000000:parameter/a': {value: x}}", "must be a name, not an ARN"),
    ],
)
def test_a_wrong_section_is_named_with_its_parameter_and_field(write, section, problem):
    with pytest.raises(SettingsError) as raised:
        FileSecrets.load(write(f"parameters: {section}"))
    assert problem in str(raised.value)
    assert "secrets.yaml: parameters: " in str(raised.value)
