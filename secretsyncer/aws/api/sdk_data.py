"""The data files of the SDK, without what the operator never uses: 7 MiB less in memory.

The endpoints of all services are one file of a megabyte, of which four services are kept. Models lose their documentation.
`Sessions` gives it to its session. Which file is read, and from where, stays the SDK's own.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader

SERVICES = frozenset({"secretsmanager", "sqs", "ssm", "sts"})
"""The services that are called, as the endpoints name them."""


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
                    return _slim(Path(file_path).name, json.load(file))
        return None


def _slim(name: str, data: Any) -> Any:
    if name == "endpoints":
        for partition in data["partitions"]:
            services = partition["services"]
            partition["services"] = {service: services[service] for service in SERVICES & services.keys()}
    return _without_texts(data) if name == "service-2" else data


def _without_texts(data: Any) -> Any:
    """The same without documentation. A shape may have a member of this name, which is no text."""
    if isinstance(data, dict):
        return {
            name: _without_texts(inner)
            for name, inner in data.items()
            if not (name == "documentation" and isinstance(inner, str))
        }
    return [_without_texts(inner) for inner in data] if isinstance(data, list) else data
