"""Rendering without a cluster: valid and invalid files, and the output."""

import base64
import io
import sys

import pytest
import yaml

from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.regions import Regions
from secretsyncer.commands.file_fields import ACCOUNT
from secretsyncer.commands.manifests import load_manifests
from secretsyncer.commands.renderer import Renderer, render_all
from secretsyncer.commands.secrets_file import FileSecrets
from secretsyncer.errors import Reason, SettingsError
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.content import ContentRenderer
from tests.support.builders import ANNOTATION, catalogue, namespace, synced_secret
from tests.support.specs import all_keys, key, literal, template, whole

CANARY = "c4n4ry-v4lu3"
SECRETS = """
app: {json: {user: web, port: 5432, tls: true, nested: {a: [1, null]}}, tags: {team: web}, versionId: v7}
text: {value: plain}
binary: {binary: /wA=}
hidden: {value: x, listed: false}
"""


@pytest.fixture
def write(tmp_path):
    def written(content, name="file.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.fixture
def secrets(write):
    return lambda text=SECRETS, name="secrets.yaml": FileSecrets.load(write(text, name))


@pytest.fixture
def results(secrets, engine, metrics):
    """Render objects with the secrets above."""

    async def rendered(*objects, require=False, text=SECRETS):
        values = secrets(text)
        rules = Rules(ANNOTATION, require)
        renderer = Renderer(ContentRenderer(values, engine, metrics), values.listings, ACCOUNT, rules)
        return await render_all(list(objects), renderer)

    return rendered


async def test_other_versions_are_found_by_stage_and_by_id(results):
    version = "9" * 32
    text = f"""
app: {{value: now, stages: {{AWSPREVIOUS: {{value: before, versionId: "{version}"}}, mine: {{binary: /wA=}}}}}}
"""

    def ref(name, **which):
        return {"name": name, "valueFrom": {"secretRef": {"name": "app", **which}}}

    data = [
        ref("now"),
        ref("current", versionStage="AWSCURRENT"),
        ref("before", versionStage="AWSPREVIOUS"),
        ref("pinned", versionId=version),
        ref("binary", versionStage="mine"),
        ref("none", versionStage="AWSPENDING", default="not yet"),
    ]
    (found,) = await results(synced_secret(data=data), text=text)
    assert {name: base64.b64decode(value) for name, value in found.secret["data"].items()} == {
        "now": b"now",
        "current": b"now",
        "before": b"before",
        "pinned": b"before",
        "binary": b"\xff\x00",
        "none": b"not yet",
    }


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ({"versionStage": "AWSPENDING"}, "has no versionStage AWSPENDING"),
        ({"versionId": "8" * 32}, f"has no versionId {'8' * 32}"),
        ({"versionId": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "versionStage": "AWSPREVIOUS"}, "has no versionId"),
    ],
)
async def test_a_version_that_is_not_in_the_file_is_not_another_one(results, which, told):
    data = [{"name": "a", "valueFrom": {"secretRef": {"name": "app", **which}}}]
    (found,) = await results(
        synced_secret(data=data), text="app: {value: now, stages: {AWSPREVIOUS: {value: before}}}"
    )
    assert found.secret is None
    assert told in found.problem


async def content(values, secret_id):
    ref = SecretRef(Identity(""), secret_id)
    (found,) = (await values.get_many([ref], catalogue())).values()
    return found


def wrong(load, *arguments):
    with pytest.raises(SettingsError) as raised:
        load(*arguments)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    assert CANARY not in message
    return message


# The file of secrets


async def test_a_file_gives_values_tags_versions_and_a_listing(secrets):
    values = secrets()
    found = await content(values, "app")
    assert found.text == '{"user": "web", "port": 5432, "tls": true, "nested": {"a": [1, null]}}'
    assert found.version_id == "v7"
    assert (await content(values, "text")).text == "plain"
    assert (await content(values, "binary")).binary == b"\xff\x00"
    assert (await content(values, "hidden")).text == "x"
    assert sorted(values.catalogue.entries) == ["app", "binary", "text"]
    assert values.catalogue.entries["app"].tags == {"team": "web"}
    ref = SecretRef(Identity(""), "app")
    assert await values.tags([ref], values.catalogue) == {ref: {"team": "web"}}


@pytest.mark.parametrize("spelling", ["app", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbCdEf"])
async def test_a_secret_is_found_by_name_and_by_arn(secrets, spelling):
    assert (await content(secrets(), spelling)).name == "app"


async def test_a_region_that_the_operator_would_not_read_is_refused_unless_a_setting_adds_it(write):
    path = write(SECRETS)
    far = SecretRef(Identity(""), "app", "xx-west-1")
    for values, expected in (
        (FileSecrets.load(path), Reason.INVALID_SPEC),
        (FileSecrets.load(path, Regions(["xx-west-1"])), None),
    ):
        got = (await values.get_many([far], values.catalogue))[far]
        assert getattr(got, "reason", None) is expected
        assert not expected or "EXTRA_REGIONS" in got.message


@pytest.mark.parametrize(("spelling", "reason"), [("none", Reason.SECRET_NOT_FOUND), ("a b", Reason.INVALID_SPEC)])
async def test_a_secret_that_is_missing_in_the_file_is_named(secrets, spelling, reason):
    values = secrets()
    failure = await content(values, spelling)
    assert failure.reason is reason
    assert spelling in failure.message
    ref = SecretRef(Identity(""), spelling)
    assert (await values.tags([ref], values.catalogue))[ref].reason is reason


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "{}"])
def test_a_file_without_secrets_is_one(secrets, text):
    assert secrets(text).catalogue.entries == {}


async def test_a_file_may_be_json_with_tabs_and_escapes(secrets):
    text = '{\n\t"app": {"value": "a\\/b \\ud83d\\ude00"},\n\t"n": {"json": {"k": 1e5}}\n}'
    values = secrets(text, "secrets.json")
    assert (await content(values, "app")).text == "a/b \U0001f600"
    assert (await content(values, "n")).text == '{"k": 100000.0}'


async def test_a_file_is_utf_8_in_every_locale(secrets):
    assert (await content(secrets("app: {value: h\u00e9}"), "app")).text == "h\u00e9"


async def test_base64_may_be_wrapped(secrets):
    values = secrets("k:\n  binary: |\n    AAEC\n    AwQ=\n")
    assert (await content(values, "k")).binary == bytes(range(5))


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
        ("'2026-01-31T12:00:00+02:00'", "2026-01-31T12:00:00+02:00"),
        ("'2026-01-31 12:00'", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
    ],
)
def test_the_date_of_the_last_change_is_read(secrets, written, moment):
    values = secrets(f"k: {{value: x, lastChanged: {written}}}")
    assert values.catalogue.entries["k"].last_changed.isoformat() == moment


def test_a_key_of_a_merged_mapping_may_be_replaced(secrets):
    text = "a: &a {value: x, versionId: v1}\nb: &b {<<: *a, value: other}\nc: {<<: *b, value: third}"
    assert secrets(text).catalogue.entries.keys() == {"a", "b", "c"}


def test_without_a_date_there_is_none(secrets):
    assert secrets("k: {value: x}").catalogue.entries["k"].last_changed is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a", "must be a map of names to secrets"),
        ("text", "must be a map of names to secrets"),
        ("a: {value: x}\na: {value: z}", ": a: appears twice"),
        ('{"a": {"value": "x"},\t"a": {"value": "y"}}', ": a: appears twice"),
        ("a: {json: {b: [{5: x, '5': y}]}}", ": 5: appears twice"),
        ("a: {value: x}\n---\nb: {value: y}", "must be one document"),
        (f"a: {CANARY}", "a: must be an object with some of"),
        (f"a: [{CANARY}]", "a: must be an object with some of"),
        (f"a: {{valu: {CANARY}}}", "a: valu: unknown field; must be an object with some of"),
        (f"a: {{1: {CANARY}}}", "a: 1: unknown field; must be an object with some of"),
        ("a: {tags: {}}", "a: needs exactly one of value, json and binary"),
        (f"a: {{value: {CANARY}, json: {{}}}}", "a: needs exactly one of value, json and binary"),
        ("a: {value: 5}", "a: value must be text"),
        (f"a: {{value: {{k: {CANARY}}}}}", "a: value must be text; use json for an object"),
        ("a: {value: null}", "a: value must be text"),
        ("a: {binary: 5}", "a: binary must be base64"),
        (f"a: {{binary: '{CANARY}!'}}", "a: binary must be base64"),
        ("a: {binary: \u00e9}", "a: binary must be base64"),
        (f"a: {{json: &x [*x, {CANARY}]}}", "not valid YAML or JSON"),
        (f"a: {{json: {{? [x] : {CANARY}}}}}", "not valid YAML or JSON"),
        ("a: {json: .nan}", "not valid YAML or JSON"),
        ("a: {value: x, tags: [team]}", "a: tags must be a map"),
        ("a: {value: x, tags: text}", "a: tags must be a map"),
        ("a: {value: x, lastChanged: yesterday}", "a: lastChanged must be a date"),
        ("a: {value: x, lastChanged: 5}", "a: lastChanged must be a date"),
        ("a: {value: x, stages: [AWSPREVIOUS]}", "a: stages must be a map"),
        ("a: {value: x, stages: {AWSCURRENT: {value: y}}}", "a: stages must be a map of other stages"),
        (f"a: {{value: x, stages: {{AWSPENDING: {CANARY}}}}}", "a: stages.AWSPENDING: must be an object"),
        ("a: {value: x, stages: {AWSPENDING: {value: y, tags: {}}}}", "a: stages.AWSPENDING: tags: unknown field"),
        ("a: {value: x, stages: {AWSPENDING: {versionId: y}}}", "a: stages.AWSPENDING: needs exactly one of"),
        ("two words: {value: x}", "two words: 'two words' is not the name of a secret"),
        (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbCdEf: {value: x}",
            "must be a name, not an ARN",
        ),
        (f"a: {{value: {CANARY}", ", line 2, column 1: not valid YAML or JSON"),
        ("a: !unknown x", "a: must be an object with some of"),
        ("\tx", "not valid YAML or JSON"),
        (b"\xff\xfe\x00", "not valid YAML or JSON"),
        ("[" * 5000, "not valid YAML or JSON"),
    ],
)
def test_an_invalid_file_is_one_line_with_position_and_field_and_without_values(write, text, problem):
    path = write(text)
    message = wrong(FileSecrets.load, path)
    assert message.startswith(str(path))
    assert problem in message


def test_a_missing_file_is_named(tmp_path):
    assert wrong(FileSecrets.load, tmp_path / "none.yaml").endswith("none.yaml: No such file or directory")
    assert "Is a directory" in wrong(FileSecrets.load, tmp_path)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("value: 2024-01-31", "2024-01-31"),
        ("value: 22:22", "22:22"),
        ("value: =", "="),
        ("json: {t: 12:30, d: 2024-01-31, 2024-02-01: x}", '{"t": "12:30", "d": "2024-01-31", "2024-02-01": "x"}'),
        ("json: {yes: on, n: 0777}", '{"true": true, "false": 511}'),
    ],
)
def test_dates_times_and_the_like_in_the_file_are_what_kubectl_would_make_of_them(secrets, source, text):
    values = secrets(f"a: {{{source}}}")
    (value,) = values._secrets["a"].values()
    assert value.text == text


SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"


@pytest.mark.parametrize(
    ("names", "id_", "found"),
    [
        ("mysql mysql-backup", "mysql-backup", "mysql-backup"),
        ("mysql mysql-backup", f"{SECRET}mysql-backup", "mysql-backup"),
        ("mysql mysql-backup", f"{SECRET}mysql-backup-AbC123", "mysql-backup"),
        ("mysql mysql-backup", f"{SECRET}mysql-AbC123", "mysql"),
        ("mysql mysql-backup", f"{SECRET}mysql", "mysql"),
        ("mysql", f"{SECRET}mysql-backup", None),
        ("mysql", f"{SECRET}mysql-AbC123", "mysql"),
        ("mysql", f"{SECRET}mysql-backup-AbC123", None),
        ("mysql-AbC123", f"{SECRET}mysql-AbC123", "mysql-AbC123"),
        ("mysql-AbC123 mysql", f"{SECRET}mysql-AbC123", "mysql-AbC123"),
    ],
)
async def test_an_arn_finds_the_secret_of_its_name_and_no_shorter_one(secrets, names, id_, found):
    values = secrets("\n".join(f"{name}: {{value: {name}}}" for name in names.split()))
    ref = SecretRef(Identity(""), id_)
    value = (await values.get_many([ref], values.catalogue))[ref]
    assert getattr(value, "reason", value.text if hasattr(value, "text") else None) == (
        found or Reason.SECRET_NOT_FOUND
    )


# Manifests

OBJECT = "kind: SyncedSecret\nmetadata: {name: NAME}\nspec: {data: [{name: a, value: '1'}]}\n"


def names(objects):
    return [obj["metadata"]["name"] for obj in objects]


def test_files_documents_lists_and_folders_are_read_in_order(write, tmp_path):
    write(OBJECT.replace("NAME", "b1") + "---\n" + OBJECT.replace("NAME", "b2") + "---\n", "folder/b.yaml")
    write(
        '{"kind": "List", "items": [{"metadata": {"name": "a1"}}, {"metadata": {"name": "a2"}}]}', "folder/a.json"
    )
    write("not yaml: [", "folder/readme.txt")
    write("not yaml: [", "folder/deeper/x.yaml")
    single = write(OBJECT.replace("NAME", "single"), "single.yml")
    assert names(load_manifests([single, tmp_path / "folder"]).objects) == ["single", "a1", "a2", "b1", "b2"]


def test_a_dash_is_standard_input(monkeypatch):
    from pathlib import Path

    monkeypatch.setattr(sys, "stdin", io.StringIO(OBJECT.replace("NAME", "piped")))
    assert names(load_manifests([Path("-")]).objects) == ["piped"]


@pytest.mark.parametrize("text", ["kind: List", "{kind: SecretList, items: []}", "{kind: List, items: null}", ""])
def test_a_file_without_objects_is_one(write, text):
    assert load_manifests([write(text)]) == ([], [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{kind: List, items: 5}", "items must be a list"),
        ("{kind: List, items: {metadata: {name: a}}}", "items must be a list"),
        ("- a", "must hold objects"),
        ("{", "not valid YAML or JSON"),
        (r'{"kind": "SyncedSecret", "metadata": {"name": "a\ud800"}}', "not valid YAML or JSON"),
    ],
)
def test_a_wrong_manifest_is_one_line_with_its_file(write, text, problem):
    path = write(text)
    message = wrong(load_manifests, [path])
    assert message.startswith(str(path))
    assert problem in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: SyncedSecret", "an object without metadata.name"),
        ("{kind: SyncedSecret, metadata: {}}", "an object without metadata.name"),
        ("{kind: SyncedSecret, metadata: [name]}", "an object without metadata.name"),
        ("{kind: SyncedSecret, metadata: {name: 5}}", "an object without metadata.name"),
        ("{kind: SyncedSecret, metadata: {name: a, namespace: 5}}", "a: metadata.namespace must be text"),
        ("{kind: List, items: [null]}", "an object without metadata.name"),
        (
            "{kind: Namespace, metadata: {name: a, annotations: [x]}}",
            "a: metadata.annotations must be a map of texts",
        ),
        (
            "{kind: Namespace, metadata: {name: a, annotations: {iam.amazonaws.com/allowed-roles: [reader]}}}",
            "a: metadata.annotations must be a map of texts; put quotes around a list",
        ),
        ("{kind: Namespace, metadata: {name: a, labels: {x: 5}}}", "a: metadata.labels must be a map of texts"),
    ],
)
def test_an_object_that_the_api_server_would_refuse_is_one_line_and_the_others_go_on(write, text, problem):
    path = write(text)
    good = write(OBJECT.replace("NAME", "good"), "good.yaml")
    objects, (line,) = load_manifests([path, good])
    assert names(objects) == ["good"]
    assert line.startswith(str(path))
    assert problem in line


def test_dates_in_annotations_are_text_as_for_kubectl(write):
    path = write("{kind: Namespace, metadata: {name: a, annotations: {since: 2024-01-31, at: 22:22, is: =}}}")
    ((obj,), problems) = load_manifests([path])
    assert problems == []
    assert obj["metadata"]["annotations"] == {"since": "2024-01-31", "at": "22:22", "is": "="}


def test_an_unreadable_folder_is_named(tmp_path, monkeypatch):
    def refused(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(tmp_path), "iterdir", refused)
    assert wrong(load_manifests, [tmp_path]) == f"{tmp_path}: Permission denied"


# Rendering


async def test_every_form_gives_the_secret_that_the_operator_would_write(results, golden):
    found = await results(
        synced_secret(
            literal("mode", "production"),
            key("port", "app", "port"),
            whole("keystore", "binary"),
            whole("by-arn", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:text-AbCdEf"),
            template("conf", '{{ range $name, $_ := filterByTagKey .Secrets "team" }}{{ $name }}{{ end }}'),
            dataFrom=all_keys("app"),
            secretMetadata={"labels": {"team": "web"}},
        )
    )
    golden("render/every-form.yaml", yaml.safe_dump_all([result.secret for result in found], sort_keys=False))


async def test_each_object_has_its_own_result_in_order(results):
    found = await results(
        synced_secret(literal("a", "1"), name="good"),
        synced_secret(whole("a", "nowhere"), name="missing"),
        {"kind": "ConfigMap", "metadata": {"name": "not ours"}},
        synced_secret(name="wrong", data=5),
        {"kind": "SyncedSecret", "metadata": {"name": "homeless"}, "spec": {"data": [literal("a", "1")]}},
    )
    assert [(result.label, result.secret is not None) for result in found] == [
        ("team/good", True),
        ("team/missing", False),
        ("team/wrong", False),
        ("default/homeless", True),
    ]
    assert found[1].problem == "SecretNotFound: data.a: AWS secret nowhere is not in the file of secrets"
    assert found[2].problem.startswith("InvalidSpec: spec.data: must be a list")


@pytest.mark.parametrize(
    ("roles", "require", "problem"),
    [
        (None, False, ""),
        (["reader"], False, ""),
        (["arn:aws:iam::000000000000:role/reader"], False, ""),
        (["writer"], False, "RoleNotAllowed: role arn:aws:iam::000000000000:role/reader is not in the annotation"),
        ("reader", False, "RoleNotAllowed: the annotation"),
        (None, True, "RoleNotAllowed: namespace team has no annotation"),
    ],
)
async def test_the_gate_is_that_of_the_operator(results, roles, require, problem):
    place = {"kind": "Namespace", **namespace(roles=roles)}
    (found,) = await results(synced_secret(literal("a", "1"), IAMRole="reader"), place, require=require)
    assert found.problem.startswith(problem)
    assert (found.secret is None) == bool(problem)


async def test_a_refusal_says_that_the_namespace_is_not_among_the_files(results):
    ours = synced_secret(literal("a", "1"), AWSAccountID="000000000000")
    hint = "; the namespace is not among these files: add its manifest"
    (alone,) = await results(ours)
    (beside,) = await results(ours, {"kind": "Namespace", **namespace()})
    assert alone.problem == beside.problem + hint
    assert "has no label" in beside.problem


async def test_a_namespace_without_metadata_of_its_own_is_one_without_annotation(results):
    place = {"kind": "Namespace", "metadata": {"name": "team"}}
    (found,) = await results(synced_secret(literal("a", "1"), IAMRole="reader"), place)
    assert found.secret


async def test_a_missing_key_of_the_type_is_reported_like_any_error(results):
    (found,) = await results(synced_secret(literal("a", "1"), type="kubernetes.io/tls"))
    assert found.problem == "InvalidSecretValue: a Secret of type kubernetes.io/tls needs the key tls.crt"


async def test_the_representation_of_a_result_shows_no_value(results):
    (found,) = await results(synced_secret(whole("a", "text")))
    assert found.secret["data"] == {"a": "cGxhaW4="}
    assert "cGxhaW4=" not in repr(found)
