"""What a reference to a secret means under one catalogue: what AWS is asked, and what the catalogue shows of it."""

from __future__ import annotations

from typing import NamedTuple

from secretsyncer.aws.arn import check_region, parse_secret_id
from secretsyncer.aws.identity import CURRENT, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry


class Lookup(NamedTuple):
    """What a reference means.

    `key` is what AWS is asked, region filled in; `entry` what the catalogue shows of it, if it does; `arn` is
    the full ARN that the answer must have, where the user gave one but AWS is asked by name.
    """

    key: SecretRef
    entry: Entry | None = None
    arn: str = ""

    def by_arn(self) -> Lookup:
        """The same, asked by ARN: AWS has another secret of that name by now."""
        return Lookup(self.key._replace(id=self.arn))


class Resolver:
    """Resolves references, each once under a catalogue. `region` is for those that name none."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._lookups: dict[SecretRef, Lookup] = {}
        self.latest = Catalogue()

    def lookup(self, ref: SecretRef, catalogue: Catalogue) -> Lookup:
        """What to ask AWS for this reference. Raises ValueError where it is not one."""
        if catalogue is not self.latest and catalogue.round >= self.latest.round:
            self.latest, self._lookups = catalogue, {}
        lookup = self._lookups.get(ref) if catalogue is self.latest else None
        if lookup is None:
            lookup = self._resolve(ref, catalogue)
            if catalogue is self.latest:
                self._lookups[ref] = lookup
        return lookup

    def _resolve(self, ref: SecretRef, catalogue: Catalogue) -> Lookup:
        secret = parse_secret_id(ref.id)
        if ref.region and secret.region and ref.region != secret.region:
            raise ValueError(f"region {ref.region} does not fit {ref.id}")
        region = secret.region or ref.region
        region = check_region(region) if region else self._region
        stage = "" if ref.stage == CURRENT and not ref.version_id else ref.stage
        entry = None if ref.version_id or stage else catalogue.find(ref)
        if entry is not None and catalogue.is_home(ref.identity):
            key = SecretRef(ref.identity, entry.name, region)
            return Lookup(key, entry, ref.id if secret.suffix else "")
        return Lookup(SecretRef(ref.identity, ref.id, region, ref.version_id, stage), entry)
