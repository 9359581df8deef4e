"""The last listings of all services, as one immutable value. A catalogue alone is the listings of its service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.services import SERVICES


class Listings(Protocol):
    """What has the catalogue of each service."""

    def of(self, service: str) -> Catalogue:
        """The catalogue of this service; one that was never listed, if there is none."""


class AllListings:
    """These catalogues, each of another service."""

    __slots__ = ("_catalogues",)

    def __init__(self, catalogues: Iterable[Catalogue]) -> None:
        self._catalogues = {catalogue.service.name: catalogue for catalogue in catalogues}

    def of(self, service: str) -> Catalogue:
        return self._catalogues.get(service) or Catalogue(service=SERVICES[service])
