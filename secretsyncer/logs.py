"""Logging: a constant message with fields, as JSON lines or as text for people.

Fields travel in `extra=`; the object's key and the pass's id are bound per pass with `bind` and so are on
each line, also on those of the layers below. No value of a secret is ever handed to a logger; the libraries
that would print them at DEBUG are held at INFO whatever `LOG_LEVEL` says.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

_bound: ContextVar[dict[str, Any]] = ContextVar("secretsyncer_log_fields", default={})  # noqa: B039 - never mutated
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

TALKATIVE = ("kubernetes_asyncio", "botocore", "aiobotocore", "urllib3", "asyncio", "aiohttp.access")
"""Loggers kept at INFO: at DEBUG they print request and response bodies, Secrets included."""


class bind:  # noqa: N801 - a context manager, made for each pass: a class costs a third of a generator
    """Put these fields on every line logged inside, in this task."""

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _bound.set({**_bound.get(), **self._fields})

    def __exit__(self, *_: object) -> None:
        _bound.reset(self._token)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    own = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    return {**_bound.get(), **own}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, fields, error."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, message, then `field=value`: for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {key}={_printable(value)}" for key, value in _fields(record).items())
        text = f"{clock} {record.levelname.lower():<7} {record.getMessage()}{fields}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _printable(value: Any) -> str:
    """Its text, fit for a terminal and for one line: users choose names, and others look at the log."""
    text = str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def configure(level: str, style: Literal["json", "text"]) -> None:
    """Send the root logger's lines to standard error in that style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
    # It tells at INFO of each endpoint that the environment sets, for each client.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # It logs each failed AssumeRole at WARNING with a traceback; we report the failure ourselves, once.
    logging.getLogger("aiobotocore.credentials").setLevel(logging.ERROR)
