"""The data files of the SDK, without what the operator never uses: 10 MiB less in memory.

The endpoints of all services are one file of a megabyte, of which four services are kept. Models lose their documentation.
`Sessions` gives it to its session. Which file is read, and from where, stays the SDK's own.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader

SERVICES = frozenset({"secretsmanager", "sqs", "ssm", "sts"})
"""The services that are called, as the endpoints name them."""
_OF_PARTITION = re.compile(r'"services"\s*:\s*{\s*')
_COLON, _COMMA = re.compile(r"\s*:?\s*"), re.compile(r"\s*,?\s*")


class SlimFiles(JSONFileLoader):
    """Reads the SDK's files."""

    def load_file(self, file_path: str) -> Any:
        """The content of `file_path` (without its extension), or None if there is no such file.

        In plain dictionaries: those of the SDK, which remember their order twice, take three times as much.
        """
        for extension, open_file in ((".json", open), (".json.gz", gzip.open)):
            path = Path(file_path + extension)
            if path.is_file():
                with open_file(path, "rb") as file:
                    return _slim(Path(file_path).name, file.read().decode())
        return None


def _slim(name: str, text: str) -> Any:
    if name == "endpoints":
        return json.loads("".join(_with_our_services(text)))
    return json.loads(text, object_pairs_hook=_without_texts if name == "service-2" else None)


def _with_our_services(text: str) -> Iterator[str]:
    """The text with no other services in its partitions.

    They are parsed one by one. All at once would leave 4 MiB behind, in pieces that nothing else fits into.
    """
    decode, end = json.JSONDecoder().raw_decode, 0
    while partition := _OF_PARTITION.search(text, end):
        yield text[end : partition.end()]
        kept, at = [], partition.end()
        while text[at : at + 1] not in {"}", ""}:
            name, start = decode(text, at)
            _, end = decode(text, _past(_COLON, text, start))
            if name in SERVICES:
                kept.append(text[at:end])
            at = _past(_COMMA, text, end)
        yield ",".join(kept)
        end = at
    yield text[end:]


def _past(sign: re.Pattern[str], text: str, at: int) -> int:
    """The position of what follows this sign, which the last member lacks."""
    found = sign.match(text, at)
    return found.end() if found else at


def _without_texts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The same without documentation. A shape may have a member of this name, which is no text."""
    return {name: inner for name, inner in pairs if not (name == "documentation" and isinstance(inner, str))}
