"""How the modules of kinds make their tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.hostile.scene import Scene

Kind = Callable[[Scene], Awaitable[None]]


def table(*kinds: Kind) -> dict[str, Kind]:
    """Each kind by its name, in words."""
    return {kind.__name__.replace("_", "-"): kind for kind in kinds}
