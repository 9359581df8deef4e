"""The services of AWS that hold values, by name. To add one, see ARCHITECTURE.md."""

from __future__ import annotations

from collections.abc import Mapping

from secretsyncer.aws.services.parameterstore import ParameterStoreService
from secretsyncer.aws.services.secretsmanager import SecretsManagerService
from secretsyncer.aws.services.service import SecretId, Service

SECRETS_MANAGER = SecretsManagerService()
PARAMETER_STORE = ParameterStoreService()

SERVICES: Mapping[str, Service] = {service.name: service for service in (SECRETS_MANAGER, PARAMETER_STORE)}

__all__ = [
    "PARAMETER_STORE",
    "SECRETS_MANAGER",
    "SERVICES",
    "Named",
    "SecretId",
    "Service",
    "named",
    "named_by_arn",
    "service_of_arn",
    "service_of_operation",
]

Named = tuple[str, str]
"""The name of a service, and that of what it holds."""

_BY_OPERATION = {operation: service for service in SERVICES.values() for operation in service.answers}
_BY_ENDPOINT = {service.endpoint: service for service in SERVICES.values()}


def service_of_operation(operation: str) -> Service:
    """The service that an operation belongs to; Secrets Manager for those of no service."""
    return _BY_OPERATION.get(operation, SECRETS_MANAGER)


def service_of_arn(arn: str) -> Service | None:
    """The service that an ARN belongs to."""
    parts = arn.split(":", 3)
    return _BY_ENDPOINT.get(parts[2]) if len(parts) == 4 else None


def named(service: str, text: str) -> set[Named]:
    """What a name or an ARN may mean."""
    return {(service, name) for name in SERVICES[service].possible_names(text)}


def named_by_arn(arn: str) -> set[Named]:
    """What an ARN may mean."""
    return named((service_of_arn(arn) or SECRETS_MANAGER).name, arn)
