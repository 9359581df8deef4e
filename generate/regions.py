"""`secretsyncer/aws/region_names.py`: the regions in the SDK's own data, so that what only decides needs no SDK."""

from __future__ import annotations

from botocore.loaders import Loader

_HEADER = '''\
"""The regions that the AWS SDK knows, of all partitions.

Generated from botocore's data by `make docs`. Do not edit.
"""

from __future__ import annotations

REGION_NAMES = frozenset(
    {
'''


def text() -> str:
    """The module. The SDK's data also has a name for all regions of a partition, such as `aws-global`."""
    partitions = Loader().load_data("partitions")["partitions"]
    names = sorted({name for part in partitions for name in part["regions"] if not name.endswith("-global")})
    return _HEADER + "".join(f'        "{name}",\n' for name in names) + "    }\n)\n"
