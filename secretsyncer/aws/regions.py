"""Which AWS regions a reference may name. Pure.

Each region costs a client for each role, and becomes part of a host name. So only regions that the AWS SDK knows are
allowed, and those of EXTRA_REGIONS. Everything that takes a region from a user checks it here.
"""

from __future__ import annotations

from collections.abc import Iterable

from secretsyncer.aws.arn import shown
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.region_names import REGION_NAMES
from secretsyncer.aws.services import SERVICES


class Regions:
    """The regions that may be named. `extra` are those that the SDK does not know yet."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._known = REGION_NAMES | frozenset(extra)

    def check(self, region: str, where: str) -> str:
        """The region, if it is known. Otherwise raises ValueError; `where` says which field to correct."""
        if region not in self._known:
            raise ValueError(
                f"{shown(region)} is not an AWS region that this version knows: correct {where}, or ask for it to be "
                "added to the operator's setting EXTRA_REGIONS"
            )
        return region

    def of(self, ref: SecretRef) -> str:
        """The region that the reference names; empty if it names none. Raises ValueError if it is not known."""
        region = SERVICES[ref.service].parse(ref.id).region
        if ref.region and region and ref.region != region:
            raise ValueError(f"region {shown(ref.region)} does not fit {ref.id}")
        if region:
            return self.check(region, f"the region in the ARN {shown(ref.id)}")
        return self.check(ref.region, "the field region") if ref.region else ""


REGIONS = Regions()
"""Those that the SDK knows."""
