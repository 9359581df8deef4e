"""Logging: a constant message with fields, as JSON lines or as text.

A message is a noun and a participle ("listing failed"). Fields go into `extra=`: `error`, `reason` and `key` mean the
same everywhere. `bind` adds the key of the object and the id of the reconcile to every line of a reconcile, in all
modules. No value of a secret is ever passed to a logger. Libraries that would log bodies at DEBUG are kept at INFO,
whatever `LOG_LEVEL` is.
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
"""Loggers kept at INFO. At DEBUG, they log request and response bodies, including Secrets."""


def _no_bad_request(record: logging.LogRecord) -> bool:
    """False for a line about a client that sends what is not HTTP."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__module__ != "aiohttp.http_exceptions"


class bind:  # noqa: N801 - a context manager; a class costs a third of a generator, for each reconcile
    """Add these fields to every line that this task logs inside."""

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
    """One JSON object per line: time (RFC 3339, UTC), level, logger, message, fields, traceback."""

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
    """The text, safe for a terminal and on one line, because users choose names and others read the log."""
    text = str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def configure(level: str, style: Literal["json", "text"]) -> None:
    """Log to standard error in this style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
    # At INFO, it logs each endpoint that the environment sets, for each client.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # At WARNING, it logs each failed AssumeRole with a traceback. The operator reports the failure itself, once.
    logging.getLogger("aiobotocore.credentials").setLevel(logging.ERROR)
    # At ERROR, it logs each such client with a traceback and the bytes. It has been answered: 400.
    logging.getLogger("aiohttp.server").addFilter(_no_bad_request)
