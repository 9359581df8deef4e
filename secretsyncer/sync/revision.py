"""How often the data of a Secret have changed: an annotation of the Secret, written together with the data. No I/O.

A restart is due after a change of the data, and not after the repair of an edit by somebody else. So the annotation has a
number, and a digest of the data that were written last. Number and data are written in one request: whenever the process
ends, the number tells whether a change was already counted. Whoever sees an annotation may not be allowed to see the
data, so the digest is computed as for passwords: with a random salt, and slowly, in a thread. It is needed only when data change.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hmac import compare_digest
from typing import Any, NamedTuple, Protocol

from secretsyncer.sync.marks import OWN_GROUP
from secretsyncer.sync.observed import digest
from secretsyncer.synced_secret import SyncedSecret

_REVISION = f"{OWN_GROUP}revision-"
_SALT = 12
_SIZE = 18
_COST = {"n": 2**12, "r": 8, "p": 1, "dklen": _SIZE}
"""4 MiB and about 10 ms for each guess."""
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="revision")
"""Few, so that a rotation of many secrets at once takes little memory."""
MOST = 2**53
"""More than any revision; JSON numbers are exact up to it."""


class Revision(NamedTuple):
    """`digest`: salt and digest of the data that were written last."""

    number: int
    digest: str

    def text(self) -> str:
        """The value of the annotation."""
        return json.dumps(self._asdict(), separators=(",", ":"))


def annotation(uid: str) -> str:
    """The annotation of the SyncedSecret with this uid. A successor with the same name begins to count again."""
    return _REVISION + uid


def is_revision(name: str) -> bool:
    """Whether it is such an annotation, of any SyncedSecret."""
    return name.startswith(_REVISION)


def read(text: str | None) -> Revision | None:
    """The revision in the value of an annotation; None if there is none that can be read."""
    try:
        noted: Any = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(noted, dict):
        return None
    number, digest = noted.get("number"), noted.get("digest")
    if type(number) is not int or not 0 <= number < MOST or not isinstance(digest, str):
        return None
    return Revision(number, digest)


class Count(Protocol):
    """`following`, or what a test has in its place."""

    async def __call__(
        self,
        synced: SyncedSecret,
        data: Mapping[str, bytes],
        observed: Mapping[str, Any] | None,
        *,
        reported: int,
        managed: bool,
    ) -> Revision | None: ...


async def following(
    synced: SyncedSecret,
    data: Mapping[str, bytes],
    observed: Mapping[str, Any] | None,
    *,
    reported: int,
    managed: bool,
) -> Revision | None:
    """The revision of the Secret when it has this data; None if no workload is to be restarted.

    `reported` is the revision in the status. `managed`: the Secret is the operator's own, and not one to be adopted.
    A number of the object itself says the same.
    """
    if synced.spec.restart is None:
        return None
    annotations = observed["metadata"]["annotations"] if observed else {}
    own = read(annotations.get(annotation(synced.uid)))
    number = max(own.number if own else 0, reported)
    changes = observed is not None and _differs(data, observed["digests"])
    if own and not changes:
        return own._replace(number=number)
    others = (read(text) for name, text in sorted(annotations.items()) if is_revision(name))
    before = own or next((other for other in others if other), None)
    count = partial(counted, data, before, number, counts=changes and (managed or own is not None))
    return await asyncio.get_running_loop().run_in_executor(_THREADS, count)


def counted(data: Mapping[str, bytes], before: Revision | None, number: int, *, counts: bool) -> Revision:
    """The revision after `number`, if it `counts` that the data are not those of `before`. Takes a while."""
    if before and _made_of(data, before.digest):
        return before._replace(number=number)
    return Revision(number + counts, _digest(data, secrets.token_bytes(_SALT)))


def _differs(data: Mapping[str, bytes], digests: Mapping[str, bytes]) -> bool:
    return data.keys() != digests.keys() or any(
        digest(b64encode(value).decode()) != digests[key] for key, value in data.items()
    )


def _digest(data: Mapping[str, bytes], salt: bytes) -> str:
    made = hashlib.sha256()
    for key, value in sorted(data.items()):
        made.update(f"{key} {len(value)} ".encode())
        made.update(value)
    return b64encode(salt + hashlib.scrypt(made.digest(), salt=salt, **_COST)).decode()


def _made_of(data: Mapping[str, bytes], noted: str) -> bool:
    try:
        salt = b64decode(noted, validate=True)[:_SALT]
    except ValueError:
        return False
    return compare_digest(_digest(data, salt), noted)
