"""Resource versions: which of two is later.

Within one kind of object they are etcd's revisions: integers that only grow (guaranteed since KEP-5504,
"Comparable Resource Version", true long before). Where one is not an integer the order is not known.
"""

from __future__ import annotations


def later(version: str, than: str) -> bool | None:
    """Whether `version` came after the other; None where nobody can tell."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return None
