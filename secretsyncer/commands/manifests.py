"""Reads, checks and prints manifests, from files or standard input. The checks of metadata are those of the API server."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from secretsyncer import kube_yaml
from secretsyncer.commands.terminal import clean
from secretsyncer.errors import SettingsError
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import SYNCED_SECRETS


def add_files(command: argparse.ArgumentParser) -> None:
    """The option `-f` of a command that reads manifests."""
    command.add_argument(
        "-f", dest="files", metavar="FILE", type=Path, nargs="+", required=True, action="extend",
        help="files with manifests (YAML or JSON), folders of such files, or - for standard input",
    )  # fmt: skip


class Manifests(NamedTuple):
    """The objects in the files, and a line for each object that the API server would reject."""

    objects: list[Object]
    problems: list[str]


def load_manifests(paths: Sequence[Path], *, letters_are_text: bool = False) -> Manifests:
    """Every object of the files, of folders' files, and of `List`s. Raises SettingsError with file and position.

    `letters_are_text` is that of `kube_yaml.load_all`.
    """
    objects, problems = [], []
    for path in paths:
        for file in _files(path):
            for obj in _objects(file, letters_are_text=letters_are_text):
                problem = _problem(obj)
                if problem:
                    problems.append(f"{file}: {problem}")
                else:
                    objects.append(obj)
    return Manifests(objects, problems)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        return sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml", ".json"})
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from None


def _valid_json(text: str) -> Any:
    """Raises ValueError also for half of a surrogate pair, which JSON can escape, and which is no text."""
    document = json.loads(text)
    if "\\u" in text:
        json.dumps(document, ensure_ascii=False).encode()
    return document


def _objects(path: Path, *, letters_are_text: bool) -> Iterator[Any]:
    documents = _load(path, _valid_json, partial(kube_yaml.load_all, letters_are_text=letters_are_text))
    if not all(isinstance(document, dict) for document in documents):
        raise SettingsError(f"{path}: must hold objects")
    for document in documents:
        items = [document]
        if str(document.get("kind", "")).endswith("List"):
            items = document.get("items") or []
            if not isinstance(items, list):
                raise SettingsError(f"{path}: items must be a list")
        yield from items


def _problem(obj: Any) -> str:
    """The reason for which the API server would reject the metadata of an object; empty if it is valid."""
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if metadata is None or not isinstance(name, str) or not name:
        return "an object without metadata.name"
    if not isinstance(metadata.get("namespace"), str | None):
        return f"{name}: metadata.namespace must be text"
    for part in ("annotations", "labels"):
        texts = metadata.get(part) or {}
        if not isinstance(texts, dict) or not all(isinstance(t, str) for pair in texts.items() for t in pair):
            return f"{name}: metadata.{part} must be a map of texts; put quotes around a list or a number"
    return ""


def _load(path: Path, as_json: Callable[[str], Any], as_yaml: Callable[[str], list[Any]]) -> list[Any]:
    """Parsed as JSON if it is JSON, because the parser of YAML rejects tabs and some escapes."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
        try:
            return [as_json(text)]
        except kube_yaml.DuplicateKeyError:
            raise
        except (ValueError, RecursionError):
            return as_yaml(text)
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from None
    except kube_yaml.DuplicateKeyError as exc:
        raise SettingsError(f"{path}: {exc}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(f"{path}{where}: not valid YAML or JSON") from None


def load_secrets(path: Path) -> dict[str, Any]:
    """The one map of a file; empty where it holds none. Raises SettingsError with file and position, or key."""
    as_json = partial(json.loads, object_pairs_hook=kube_yaml.unique)
    documents = _load(path, as_json, kube_yaml.load_unique)
    if not all(isinstance(document, dict) for document in documents):
        raise SettingsError(f"{path}: must be a map of names to secrets")
    if len(documents) > 1:
        raise SettingsError(f"{path}: must be one document")
    return documents[0] if documents else {}


def synced_secrets(objects: list[Object]) -> list[Object]:
    """The SyncedSecrets among the objects; those without a namespace are in `default`, as for kubectl."""
    wanted = [obj for obj in objects if obj.get("kind") == SYNCED_SECRETS.kind]
    for obj in wanted:
        obj["metadata"]["namespace"] = obj["metadata"].get("namespace") or "default"
    return wanted


def report(problems: Sequence[str]) -> None:
    """Print problems for people: on standard error, a line each."""
    for problem in problems:
        print(f"secretsyncer: {clean(problem)}", file=sys.stderr)


def dump(objects: Sequence[Object], style: str = "yaml") -> str:
    """The objects as documents of YAML, or as one `List` in JSON; empty without any object."""
    if style == "json":
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}, indent=2) + "\n"
    return kube_yaml.dump_all(objects)
