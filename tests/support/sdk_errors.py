"""What AWS, or something in its place, says to the SDK's own client."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest
from botocore.exceptions import ClientError


async def refusal(call: Awaitable[object]) -> str:
    """The error code of a call that is refused."""
    with pytest.raises(ClientError) as caught:
        await call
    return str(caught.value.response["Error"]["Code"])
