"""Kubeconfigs, merged and resolved like in kubectl, and their exec plugins.

`read` merges the files of `KUBECONFIG`: the first file that sets a value wins, and entries of lists are merged by
name. Missing and empty files are skipped. Paths are relative to the file that contains them. `run_plugin` runs a
credential plugin of a user (KEP-541, client-go credential plugins). A plugin that takes too long is killed with all of
its children.

The rules are those of "Organizing Cluster Access Using kubeconfig Files" in the Kubernetes documentation. The tests
compare the merge with `kubectl config view`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from secretsyncer import kube_yaml
from secretsyncer.errors import SettingsError, clip

MAX_ANSWER = 1 << 20
"""Maximum bytes of the response of a plugin."""
_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_PATHS = {"cluster": ("certificate-authority",), "user": ("client-certificate", "client-key", "tokenFile")}
_TEXT, _YES_OR_NO, _MAP, _TEXTS, _MAPS = "text", "true or false", "a map", "a list of texts", "a list of maps"
_FIELDS = {
    "cluster": {
        "server": _TEXT,
        "tls-server-name": _TEXT,
        "proxy-url": _TEXT,
        "insecure-skip-tls-verify": _YES_OR_NO,
        "certificate-authority": _TEXT,
        "certificate-authority-data": _TEXT,
    },
    "context": {"cluster": _TEXT, "user": _TEXT, "namespace": _TEXT},
    "user": {
        **dict.fromkeys(("token", "tokenFile", "username", "password"), _TEXT),
        **dict.fromkeys(("client-certificate", "client-certificate-data", "client-key", "client-key-data"), _TEXT),
        **dict.fromkeys(("exec", "auth-provider"), _MAP),
    },
    "exec": {"command": _TEXT, "args": _TEXTS, "env": _MAPS, "apiVersion": _TEXT, "installHint": _TEXT},
    "env": {"name": _TEXT, "value": _TEXT},
}
"""Fields and what they must hold. kubectl refuses anything else, too."""
_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")
_API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_NO_AUTH = "the auth-provider {} is not supported; use an exec plugin (kubectl has removed it, too)"


class Context(NamedTuple):
    """The current context: its name and namespace, its cluster and its user, with absolute paths."""

    name: str
    namespace: str
    cluster: dict[str, Any]
    user: dict[str, Any]


def read(paths: str) -> Context:
    """The current context of these files, joined by `:`. Raises SettingsError, a line that says what to do."""
    files = [Path(os.path.expanduser(path)) for path in paths.split(os.pathsep) if path]  # noqa: PTH111 - never raises
    found = [file for file in files if file.exists()]
    if not found:
        raise SettingsError(f"KUBECONFIG names no file that exists: {paths}")
    merged: dict[str, Any] = {"current-context": "", **{plural: {} for plural in _LISTS}}
    for file in found:
        config = _load(file)
        merged["current-context"] = merged["current-context"] or str(config.get("current-context") or "")
        for plural, kind in _LISTS.items():
            for name, entry in _entries(file, config, plural, kind).items():
                merged[plural].setdefault(name, entry)
    return _current(paths, merged)


def _load(file: Path) -> dict[str, Any]:
    try:
        documents = kube_yaml.load_all(file.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"KUBECONFIG: {file}: {exc.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"KUBECONFIG: {file}{where}: not valid YAML") from None
    config = documents[0] if documents else {}
    if not isinstance(config, dict):
        raise SettingsError(f"KUBECONFIG: {file}: must hold an object of kind Config")
    return config


def _entries(file: Path, config: dict[str, Any], plural: str, kind: str) -> dict[str, dict[str, Any]]:
    """The entries of one list by name, with the paths in them made absolute."""
    listed = config.get(plural) or []
    if not isinstance(listed, list):
        raise SettingsError(f"KUBECONFIG: {file}: {plural} must be a list")
    entries: dict[str, dict[str, Any]] = {}
    for item in listed:
        if not isinstance(item, dict) or not item.get("name") or not isinstance(item.get(kind) or {}, dict):
            raise SettingsError(f"KUBECONFIG: {file}: each entry of {plural} needs a name and a {kind}")
        name, where = str(item["name"]), f"KUBECONFIG: {file}: {kind} {item['name']}"
        if name in entries:
            raise SettingsError(f"{where}: there are two of this name in the file")
        _check_fields(where, kind, item.get(kind) or {})
        entries[name] = _resolved(file, kind, item.get(kind) or {})
    return entries


def _check_fields(where: str, kind: str, entry: dict[str, Any]) -> None:
    for field, wanted in _FIELDS[kind].items():
        value = entry.get(field)
        if value is not None and not _is(wanted, value):
            raise SettingsError(f"{where}: {field} must be {wanted}")


def _is(wanted: str, value: Any) -> bool:
    listed = value if isinstance(value, list) else [None]
    return {
        _TEXT: isinstance(value, str),
        _YES_OR_NO: isinstance(value, bool),
        _MAP: isinstance(value, dict),
        _TEXTS: all(isinstance(item, str) for item in listed),
        _MAPS: all(isinstance(item, dict) for item in listed),
    }[wanted]


def _resolved(file: Path, kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    folder = file.parent.absolute()
    paths = {key: str(folder / str(entry[key])) for key in _PATHS.get(kind, ()) if entry.get(key)}
    plugin = entry.get("exec") if kind == "user" else None
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command") or ""):
        paths["exec"] = {**plugin, "command": str(folder / str(plugin["command"]))}  # type: ignore[assignment]
    return {**entry, **paths}


def _current(paths: str, merged: dict[str, Any]) -> Context:
    name = merged["current-context"]
    where = f"KUBECONFIG: {paths}"
    if not name:
        raise SettingsError(f"{where}: no current-context; choose one with: kubectl config use-context NAME")
    context = merged["contexts"].get(name)
    if context is None:
        raise SettingsError(f"{where}: there is no context {name}, which is the current-context")
    cluster = merged["clusters"].get(str(context.get("cluster")))
    if cluster is None:
        raise SettingsError(
            f"{where}: context {name} names the cluster {context.get('cluster')}, which is not there"
        )
    server = cluster.get("server") or ""
    if not _is_url(server):
        raise SettingsError(
            f"{where}: the server of context {name} must be a URL, like https://host:6443: {server!r}"
        )
    user = merged["users"].get(context["user"]) if context.get("user") else {}
    if user is None:
        raise SettingsError(f"{where}: context {name} names the user {context['user']}, which is not there")
    return Context(name, context.get("namespace") or "default", cluster, _checked(where, user))


def _is_url(server: str) -> bool:
    """Whether requests can be sent there: a scheme, a host and perhaps a port and a path."""
    try:
        parts = urlsplit(server)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = server.isprintable() and " " not in server and not (parts.query or parts.fragment)
    return plain and port_is_valid and parts.scheme in {"http", "https"} and bool(parts.hostname)


def _checked(where: str, user: dict[str, Any]) -> dict[str, Any]:
    provider = user.get("auth-provider")
    kind = provider.get("name") if provider else None
    if provider and kind != "oidc":
        raise SettingsError(f"{where}: {_NO_AUTH.format(kind)}")
    if any(user.get(field) for field in _IMPERSONATION):
        raise SettingsError(f"{where}: impersonation (as) is not supported; use the credentials of that user")
    plugin = user.get("exec")
    if plugin:
        if not plugin.get("command"):
            raise SettingsError(f"{where}: exec needs a command")
        _check_fields(f"{where}: exec", "exec", plugin)
        for variable in plugin.get("env") or ():
            _check_fields(f"{where}: exec.env", "env", variable)
            if not variable.get("name"):
                raise SettingsError(f"{where}: exec.env: each variable needs a name")
        if plugin.get("apiVersion") not in _API_VERSIONS:
            raise SettingsError(f"{where}: exec.apiVersion must be one of {', '.join(_API_VERSIONS)}")
    return user


def user_of(status: Mapping[str, Any]) -> dict[str, Any]:
    """The response of a plugin in the form of a user in a kubeconfig."""
    data = {"client-certificate-data": "clientCertificateData", "client-key-data": "clientKeyData"}
    encoded = {key: base64.b64encode(str(status[name]).encode()) for key, name in data.items() if status.get(name)}
    return {**encoded, "token": str(status.get("token") or "")}


async def run_plugin(plugin: Mapping[str, Any], cluster: Mapping[str, Any], *, limit: float) -> dict[str, Any]:
    """The `status` of the ExecCredential that the plugin prints. Raises SettingsError, never with its output.

    After `limit` seconds, and when this is cancelled, the plugin and every process that it started are killed.
    """
    command = [str(plugin["command"]), *(str(argument) for argument in plugin.get("args") or ())]
    environment = {
        **os.environ,
        **_variables(plugin),
        "KUBERNETES_EXEC_INFO": json.dumps(_exec_info(plugin, cluster)),
    }
    about = f"exec plugin {command[0]}"
    try:
        process = await _start(command, environment)
    except (OSError, ValueError) as exc:  # ValueError: a null byte, or = in the name of a variable
        hint = plugin.get("installHint")
        cause = exc.strerror if isinstance(exc, OSError) else exc
        raise SettingsError(clip(f"{about}: {cause}" + (f" ({hint})" if hint else ""))) from None
    try:
        async with asyncio.timeout(limit):
            answer = await _answer(process)
            code = await process.wait()
    except BaseException as exc:
        await _kill(process)
        if isinstance(exc, TimeoutError):
            raise SettingsError(f"{about}: no answer within {limit:.0f} s; it was killed") from None
        raise
    if code:
        raise SettingsError(f"{about}: exit code {code}; run it by hand to see why")
    return _status(about, answer, str(plugin["apiVersion"]))


async def _start(command: list[str], environment: dict[str, str]) -> asyncio.subprocess.Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # its own process group, so that its children can be killed with it
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The process may run already, and have children that only this can end.
        await _kill(await starting)
        raise


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End the process and its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _answer(process: asyncio.subprocess.Process) -> bytes:
    """Standard output, as far as it is read."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    answer = b""
    while len(answer) < MAX_ANSWER and (more := await process.stdout.read(MAX_ANSWER - len(answer))):
        answer += more
    return answer


def _variables(plugin: Mapping[str, Any]) -> dict[str, str]:
    return {str(item["name"]): str(item.get("value") or "") for item in plugin.get("env") or ()}


def _exec_info(plugin: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
        spec["cluster"] = {key: cluster[key] for key in keys if key in cluster}
    return {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec}


def _status(about: str, answer: bytes, api_version: str) -> dict[str, Any]:
    try:
        credential = json.loads(answer)
        status = credential["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SettingsError(f"{about}: its output is not an ExecCredential with a status") from None
    if credential.get("apiVersion") != api_version:
        raise SettingsError(f"{about}: answers with another apiVersion than {api_version}")
    if not isinstance(status, dict) or not (status.get("token") or status.get("clientCertificateData")):
        raise SettingsError(f"{about}: its answer holds neither a token nor a client certificate")
    if bool(status.get("clientCertificateData")) != bool(status.get("clientKeyData")):
        raise SettingsError(f"{about}: its answer holds only one of clientCertificateData and clientKeyData")
    return status
