"""The command line: arguments, output and exit codes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from secretsyncer import __version__, cli
from secretsyncer.settings import Settings
from tests.support.builders import synced_secret
from tests.support.python import printed
from tests.support.specs import all_keys, literal, whole

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"
SECRETS = str(SAMPLES / "aws" / "secrets.yaml")
CANARY = "c4n4ry-v4lu3"
COMMANDS = ("status", "why", "refresh", "suspend", "resume", "render", "iam-policy", "convert", "run")


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in this process: exit code, standard output, standard error."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def ran(*arguments, **environment):
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exc:
            code = exc.code
        return code, *capsys.readouterr()

    return ran


@pytest.fixture
def manifest(tmp_path):
    def written(*objects):
        path = tmp_path / "manifest.yaml"
        path.write_text(yaml.safe_dump_all(objects))
        return path

    return written


# Arguments


def test_the_version_is_printed(run):
    assert run("--version") == (0, f"secretsyncer {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["rnder"], "invalid choice: 'rnder'"),
        (["render"], "the following arguments are required: -f"),
        (["render", "-f", "x"], "one of the arguments --secrets --from-aws is required"),
        (["render", "-f", "x", "--secrets", "y", "--from-aws"], "not allowed with argument"),
        (["render", "-f", "x", "--secrets", "y", "-o", "xml"], "invalid choice: 'xml'"),
        (["render", "--secrets", "y"], "the following arguments are required: -f"),
        (["run", "fast"], "unrecognized arguments: fast"),
        (["iam-policy"], "the following arguments are required: -f"),
        (["convert"], "the following arguments are required: -f"),
        (["status", "-A", "-n", "team-a"], "not allowed with argument"),
        (["why"], "the following arguments are required: [NAMESPACE/]NAME"),
        (["why", "--account", "1", "a/b"], "an AWS account has 12 digits"),
        (["iam-policy", "-f", "x", "--kms-key", "arn:aws:kms:eu-west-1:1:alias/a"], "and not of an alias"),
        (
            ["iam-policy", "-f", "x", "--account", "1"],
            "argument --account: must be the 12 digits of an AWS account",
        ),
        (["iam-policy", "-f", "x", "--region", "x"], "argument --region: must be the name of an AWS region"),
        (["iam-policy", "-f", "x", "--partition", "aws-x"], "must be aws, aws-cn or aws-us-gov"),
        (["refresh"], "the following arguments are required: [NAMESPACE/]NAME"),
    ],
)
def test_wrong_arguments_end_with_code_2_and_a_line_that_names_them(run, arguments, problem):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert problem in err.splitlines()[-1]


def test_arguments_that_are_not_known_show_the_usage_of_the_command(run):
    code, _, err = run("status", "foo")
    assert code == 2
    assert err.startswith("usage: secretsyncer status [-h]")
    assert err.splitlines()[-1] == "secretsyncer status: error: unrecognized arguments: foo"


def test_help_shows_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in COMMANDS:
        assert f"\n    {command}" in out


def test_under_the_name_of_the_plugin_help_shows_commands_of_kubectl(run, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/kubectl-secretsyncer"])
    for arguments in (["--help"], ["why", "--help"]):
        code, out, _ = run(*arguments)
        assert code == 0
        assert "\n  kubectl secretsyncer why team-a/database" in out


def test_help_of_run_has_every_variable_with_its_default_and_meaning(run):
    code, out, _ = run("run", "--help")
    assert code == 0
    for name, field in Settings.model_fields.items():
        assert f"\n  {name.upper()}" in out
        assert " ".join(field.description.split())[:60] in out
    assert "POLL_INTERVAL_SEC (300)" in out
    assert "REQUIRE_NS_ANNOTATION (false)" in out
    assert "KUBECONFIG" in out


def test_help_of_render_has_a_command_and_a_file_that_work(run, manifest, tmp_path):
    code, out, _ = run("render", "--help")
    assert code == 0
    (command,) = [line.split()[2:] for line in out.splitlines() if line.startswith("  secretsyncer render")]
    assert all((ROOT / argument).exists() for argument in command if argument.startswith("manifests/"))
    example = [line for line in out.splitlines() if line.startswith(("  mysql:", "  cert:", "  keystore:"))]
    (tmp_path / "secrets.yaml").write_text("\n".join(example))
    wanted = synced_secret(whole("c", "cert"), whole("k", "keystore"), dataFrom=all_keys("mysql"))
    code, out, err = run("render", "-f", manifest(wanted), "--secrets", tmp_path / "secrets.yaml")
    assert (code, err) == (0, "")
    assert yaml.safe_load(out)["data"].keys() == {"user", "password", "c", "k"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_fits_a_terminal(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 120


# Settings


@pytest.mark.parametrize("command", [["run"], ["render", "-f", SAMPLES, "--secrets", SECRETS]])
def test_a_wrong_setting_ends_with_code_2_and_one_line(run, command):
    code, out, err = run(*command, POLL_INTERVAL_SEC="soon")
    assert (code, out) == (2, "")
    assert err == "secretsyncer: POLL_INTERVAL_SEC='soon': must be a number\n"


# Rendering


def test_the_samples_give_what_the_golden_file_shows(run, golden):
    code, out, err = run("render", "-f", SAMPLES, "--secrets", SECRETS)
    golden("render/samples.yaml", out)
    assert code == 1
    broken, denied, merged = sorted(err.splitlines())
    assert broken == "demo/broken: InvalidSecretValue: data.mysql_pw: AWS secret mysql has no key 'pasword'"
    assert denied.startswith(
        "demo/denied: RoleNotAllowed: role arn:aws:iam::000000000000:role/billing-admin is not"
    )
    assert merged.endswith(": the other keys of the Secret stay (policy Merge)")


def test_json_is_one_list_of_the_same(run):
    code, out, _ = run("render", "-f", SAMPLES, "--secrets", SECRETS, "-o", "json")
    printed = json.loads(out)
    assert (code, printed["kind"], printed["apiVersion"]) == (1, "List", "v1")
    _, as_yaml, _ = run("render", "-f", SAMPLES, "--secrets", SECRETS)
    assert printed["items"] == list(yaml.safe_load_all(as_yaml))


def test_what_the_condition_remarks_is_said(run, manifest):
    both = {"name": "a", "value": "1", "valueFrom": {"secretRef": {"name": "mysql"}}}
    code, out, err = run("render", "-f", manifest(synced_secret(data=[both])), "--secrets", SECRETS)
    assert (code, err) == (0, "note: team/demo: data[0] (a) has value and valueFrom, and valueFrom is used\n")
    assert yaml.safe_load(out)["data"]["a"] != "MQ=="


def test_all_good_ends_with_code_0(run, manifest):
    code, out, err = run("render", "-f", manifest(synced_secret(literal("a", "1"))), "--secrets", SECRETS)
    assert (code, err) == (0, "")
    assert yaml.safe_load(out)["data"] == {"a": "MQ=="}


def test_several_files_may_follow_one_option_or_several(run, manifest, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(synced_secret(literal("a", "1"), name="other")))
    one = manifest(synced_secret(literal("a", "1"), name="one"))
    for files in (["-f", one, other], ["-f", one, "-f", other]):
        _, out, _ = run("render", *files, "--secrets", SECRETS)
        assert [secret["metadata"]["name"] for secret in yaml.safe_load_all(out)] == ["one", "other"]


def test_files_without_a_syncedsecret_are_an_error(run, manifest):
    command = ["render", "-f", manifest({"kind": "ConfigMap", "metadata": {"name": "x"}}), "--secrets", SECRETS]
    assert run(*command) == (1, "", "secretsyncer: no SyncedSecret in these files\n")
    code, out, _ = run(*command, "-o", "json")
    assert (code, json.loads(out)["items"]) == (1, [])


def test_nothing_is_printed_for_what_failed_and_no_value_is_in_a_message(run, manifest, tmp_path):
    secrets = tmp_path / "secrets.yaml"
    secrets.write_text(f"app: {{value: {CANARY}}}")
    code, out, err = run("render", "-f", manifest(synced_secret(dataFrom=all_keys("app"))), "--secrets", secrets)
    assert (code, out) == (1, "")
    assert err == (
        "team/demo: InvalidSecretValue: dataFrom: AWS secret app is not JSON (line 1, column 1), "
        "but a JSON object is required\n"
    )


@pytest.mark.parametrize(
    "command",
    [["render", "-f", "none.yaml", "--secrets", SECRETS], ["render", "-f", SAMPLES, "--secrets", "none.yaml"]],
)
def test_a_file_that_is_not_there_ends_with_code_2(run, command):
    assert run(*command) == (2, "", "secretsyncer: none.yaml: No such file or directory\n")


def test_values_can_only_be_revealed_in_differences(run):
    command = ["render", "-f", SAMPLES, "--secrets", SECRETS, "--reveal"]
    assert run(*command) == (2, "", "secretsyncer: --reveal needs --diff\n")


def test_the_namespace_annotation_is_the_one_that_is_set(run):
    code, _, err = run("render", "-f", SAMPLES, "--secrets", SECRETS, NS_ANNOTATION="example.com/roles")
    assert code == 1
    assert "RoleNotAllowed" not in err


# Policies


def test_policies_are_json_by_role(run):
    code, out, err = run("iam-policy", "-f", SAMPLES, "--account", "123456789012", "--region", "eu-west-1")
    assert (code, err) == (0, "")
    assert "arn:aws:iam::123456789012:role/iam_role" in json.loads(out)


def test_policies_for_nothing_are_a_failure(run, manifest):
    code, out, _ = run("iam-policy", "-f", manifest({"kind": "ConfigMap", "metadata": {"name": "x"}}))
    assert code == 1
    json.loads(out)


# As a process


def test_the_module_is_the_command():
    ran = subprocess.run(
        [sys.executable, "-m", "secretsyncer", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout == f"secretsyncer {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        f"render -f {SAMPLES}/literal.yaml --secrets {SECRETS}",
        f"iam-policy -f {SAMPLES}/literal.yaml",
        f"convert -f {SAMPLES}/literal.yaml",
    ],
)
def test_offline_commands_load_no_client_of_aws_or_kubernetes(command):
    code = (
        "import sys; from secretsyncer import cli; cli.main(sys.argv[1:]); "
        "print(sorted({'aiohttp', 'aiobotocore', 'botocore', 'kubernetes_asyncio'} & set(sys.modules)))"
    )
    assert printed(code, *command.split()).splitlines()[-1] == "[]"


def test_the_operator_loads_no_other_command():
    code = (
        "import contextlib, sys; from secretsyncer import cli\n"
        "with contextlib.suppress(SystemExit): cli.main(['run', '--help'])\n"
        "print(sorted(name for name in sys.modules if name.startswith(('secretsyncer.commands.', 'yaml'))))"
    )
    assert printed(code).splitlines()[-1] == "['secretsyncer.commands.run', 'secretsyncer.commands.terminal']"


def test_the_operator_starts_without_what_only_some_objects_or_visitors_need():
    code = (
        "import sys, secretsyncer.operator.app\n"
        "print(sorted({'re2', 'wasmtime', 'htpy', 'yaml', 'kubernetes_asyncio.client'} & set(sys.modules)))"
    )
    assert printed(code) == "[]\n"


def test_each_command_is_found_by_its_name_alone(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    names = re.findall(r"^    ([a-z-]+)", capsys.readouterr().out, re.MULTILINE)
    assert len(names) >= 9
    for name in names:
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        assert f"secretsyncer {name} " in capsys.readouterr().out


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        ran = subprocess.run(
            [sys.executable, "-m", "secretsyncer", "iam-policy", "-f", str(SAMPLES / "literal.yaml")],
            stdout=closed,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
            timeout=120,
        )
    assert (ran.returncode, ran.stderr) == (141, b"")


def test_sigterm_ends_the_process_even_while_it_is_being_imported():
    """As process 1 of a container it would be ignored: the kernel delivers to that one what it handles, and no more."""
    code = (
        "import os, runpy, signal, sys, types\n"
        "class Cli(types.ModuleType):\n"
        "    def __getattr__(self, name):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        raise AssertionError('SIGTERM was ignored')\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "sys.modules['secretsyncer.cli'] = Cli('secretsyncer.cli')\n"
        "runpy.run_module('secretsyncer', run_name='__main__')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_an_interrupt_ends_as_shells_expect(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("secretsyncer.commands.manifests.load_manifests", interrupted)
    assert run("render", "-f", SAMPLES, "--secrets", SECRETS)[0] == 130
