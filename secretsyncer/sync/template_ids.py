"""The ids with which templates ask for values, and what they stand for. Pure.

The engine knows secrets by their name or ARN. The id of a parameter has a mark before that, which no secret can have. With
another mark, a path stands for what is listed below it.
"""

from __future__ import annotations

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.services import PARAMETER_STORE
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.dependencies import below
from secretsyncer.synced_secret import Parameters

READS_PATH = "getParameters"
"""A template without this text selects no parameters."""
_PARAMETER = "parameter:"
_BELOW = "parameters:"


def id_of(ref: SecretRef) -> str:
    """The id of a reference."""
    return f"{_PARAMETER}{ref.id}" if ref.service == PARAMETER_STORE.name else ref.id


def ref_for(grant: Grant, id_: str) -> SecretRef:
    """What an id stands for, if it is not a path."""
    if id_.startswith(_PARAMETER):
        return grant.ref(id_.removeprefix(_PARAMETER), service=PARAMETER_STORE.name)
    return grant.ref(id_)


def is_path(id_: str) -> bool:
    """Whether the id is a path."""
    return id_.startswith(_BELOW)


def filter_of(id_: str) -> Filter:
    """The part of the listing that a path depends on."""
    return below(_search(id_).folder)


def selection(id_: str, listings: Listings) -> SecretValue:
    """What is listed below a path, for the engine: a line for each, with the rest of its name, a tab, and its ARN.

    Raises Rejected for a path that can select nothing. The message does not show it: it may contain a value.
    """
    if not id_.startswith(f"{_BELOW}/"):
        raise Rejected(Reason.INVALID_SPEC, "a path of getParameters does not begin with a slash")
    folder, catalogue = _search(id_).folder, listings.of(PARAMETER_STORE.name)
    lines = [f"{entry.name.removeprefix(folder)}\t{entry.arn}\n" for entry in catalogue.below(folder)]
    digest = catalogue.path_digest(folder, recursive=True)
    return SecretValue(id_, "", digest, "".join(lines), None, service=PARAMETER_STORE.name)


def _search(id_: str) -> Parameters:
    return Parameters.model_construct(path=id_.removeprefix(_BELOW))
