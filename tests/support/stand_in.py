"""An operator's environment with the stand-in for AWS."""

from __future__ import annotations

from sandbox.aws.http import FakeAws
from sandbox.aws.state import REGION


def stand_in(aws: FakeAws) -> dict[str, str]:
    """The variables that send AWS clients to the stand-in, and let the operator list it every second."""
    return {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "AKIAOPERATOR",
        "AWS_SECRET_ACCESS_KEY": "operator",
        "AWS_EC2_METADATA_DISABLED": "true",
        "POLL_INTERVAL_SEC": "1",
    }
