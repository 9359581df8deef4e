"""Which objects use a service at all, so that it is listed only while one does.

In doubt, an object counts as one that does: a needless listing does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from secretsyncer.aws.services import PARAMETER_STORE, SERVICES, Service
from secretsyncer.kube.objects import Key, Object, packed
from secretsyncer.kube.shelf import is_stub

_TEXTS = {PARAMETER_STORE.name: ('"parameterRef"', '"parameters"', "getParameter")}
"""What the specs of such objects contain. A service that is not here is always used."""


def used_services(objects: Iterable[Object]) -> set[str]:
    """The services that these objects use, and those that are always used."""
    listed = list(objects)
    return {name for name in SERVICES if name not in _TEXTS or any(_uses(obj, name) for obj in listed)}


def _uses(obj: Object, service: str) -> bool:
    spec = obj.get("spec")
    text = (spec if isinstance(spec, bytes) else packed(spec)).decode()
    return is_stub(obj) or any(part in text for part in _TEXTS[service])


class Users:
    """The objects that use one service. `on_first` is called when the first one appears."""

    def __init__(self, service: Service) -> None:
        self._service = service.name if service.name in _TEXTS else ""
        self._keys: set[Key] = set()
        self.on_first: Callable[[], None] = lambda: None

    def exist(self) -> bool:
        """Whether an object uses the service."""
        return not self._service or bool(self._keys)

    def on_object(self, _kind: object, key: Key, old: Object | None, new: Object | None) -> None:
        """An object has appeared, changed or gone: a handler of the informer."""
        if not self._service:
            return
        if old and new and old.get("spec") == new.get("spec"):
            return  # most changes are of the status
        if new is None or not _uses(new, self._service):
            self._keys.discard(key)
            return
        is_first = not self._keys
        self._keys.add(key)
        if is_first:
            self.on_first()
