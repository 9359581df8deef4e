"""The events of the services as EventBridge puts them into a queue: AWS's own, and CloudTrail's of calls."""

from __future__ import annotations

import json
import uuid
from typing import Any

Event = dict[str, Any]


def _event(
    kind: str, detail: Event, *, resources: tuple[str, ...] = (), source: str = "aws.secretsmanager"
) -> Event:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": "123456789012",
        "time": "2026-01-31T12:00:00Z",
        "region": "eu-west-1",
        "resources": list(resources),
        "detail": detail,
    }


def label_updated(name: str, arn: str, *, version: str = "v") -> Event:
    """AWS, "Secret Label Updated event"."""
    detail = {"name": name, "labelUpdated": "AWSCURRENT", "versionId": version}
    return _event("Secret Label Updated", detail, resources=(arn,))


def call(operation: str, request: Event, response: Event | None = None) -> Event:
    """CloudTrail's entry of a call, through EventBridge."""
    detail = {
        "eventVersion": "1.08",
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": operation,
        "eventType": "AwsApiCall",
        "requestParameters": request,
        "responseElements": response,
    }
    return _event("AWS API Call via CloudTrail", detail)


def rotated(arn: str) -> Event:
    """CloudTrail's entry of a rotation, which no call makes."""
    detail = {
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": "RotationSucceeded",
        "eventType": "AwsServiceEvent",
        "requestParameters": None,
        "responseElements": None,
        "additionalEventData": {"SecretId": arn},
    }
    return _event("AWS Service Event via CloudTrail", detail)


def parameter_changed(name: str, arn: str, operation: str = "Update") -> Event:
    """AWS, "Parameter Store Change"."""
    detail = {"operation": operation, "name": name, "type": "SecureString"}
    return _event("Parameter Store Change", detail, resources=(arn,), source="aws.ssm")


def of_another_service() -> Event:
    return _event("EC2 Instance State-change Notification", {"state": "running"}, source="aws.ec2")


def through_sns(event: Event) -> Event:
    """What SQS gets where SNS is in between."""
    return {"Type": "Notification", "MessageId": str(uuid.uuid4()), "Message": json.dumps(event)}
