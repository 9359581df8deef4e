"""The SyncedSecret: its fields, the checks that need nothing but the object itself, and how it is parsed.

`spec` and `status` declare every field once: its name, type, limits and description. `fields` has what these
declarations are made of (a base class, and rules over several fields), `formats` the types of fields whose text has a
format. `parse` checks a raw object. The CRD, the JSON Schema for editors and `docs/reference/fields.md` are generated
from the declarations by `generate/`.
"""

from secretsyncer.synced_secret.find import Find
from secretsyncer.synced_secret.formats import is_data_key, is_object_name
from secretsyncer.synced_secret.parameters import ParameterReference, Parameters
from secretsyncer.synced_secret.parse import TOO_LARGE, SyncedSecret, merges, parse, target_of
from secretsyncer.synced_secret.references import SecretKeyReference, SecretReference, ValueReference
from secretsyncer.synced_secret.remarks import remarks
from secretsyncer.synced_secret.spec import AnyReference, DataItem, Keys, Search, SyncedSecretSpec

__all__ = [
    "TOO_LARGE",
    "AnyReference",
    "DataItem",
    "Find",
    "Keys",
    "ParameterReference",
    "Parameters",
    "Search",
    "SecretKeyReference",
    "SecretReference",
    "SyncedSecret",
    "SyncedSecretSpec",
    "ValueReference",
    "is_data_key",
    "is_object_name",
    "merges",
    "parse",
    "remarks",
    "target_of",
]
