"""The part of the policies of `secretsyncer iam-policy` that is about Parameter Store. Pure.

GetParameters is checked for each parameter (AWS, service authorization reference of Systems Manager). The ARN of a
parameter has no random suffix. A parameter that is encrypted with a key of the customer also needs kms:Decrypt on the key,
which no manifest names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secretsyncer.aws.arn import Account
from secretsyncer.aws.services.parameterstore import parameter_arn

LISTING: dict[str, Any] = {"Effect": "Allow", "Action": "ssm:DescribeParameters", "Resource": "*"}
"""What the operator itself needs, if an object reads parameters."""
_READ, _TAGS = "ssm:GetParameters", "ssm:ListTagsForResource"


def arn_of(name: str, *, partition: str, region: str, account: str) -> str:
    """The resource of a parameter that is given by its name or its ARN."""
    if name.startswith("arn:"):
        return name
    return parameter_arn(Account(partition, account), region, name)


def statements(arns: set[str], keys: Sequence[str], *, describes: bool) -> list[dict[str, Any]]:
    """What a role needs to read these parameters, which may be encrypted with these keys."""
    if not arns:
        return []
    actions: Any = [_READ, _TAGS] if describes else _READ
    made: list[dict[str, Any]] = [{"Effect": "Allow", "Action": actions, "Resource": sorted(arns)}]
    if keys:
        services = sorted({f"ssm.{arn.split(':')[3]}.amazonaws.com" for arn in arns})
        condition = {"StringLike": {"kms:ViaService": services}}
        made.append({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": list(keys), "Condition": condition})
    return made
