"""AWS as a model: accounts, secrets, roles and what they may do. State and rules, no wire and no clients.

Written against the API references of Secrets Manager, STS and SQS (one queue, whatever its URL), not against the
operator. `World.perform` takes an operation with its parameters and returns the response of AWS, or raises `Refused`
with AWS's code and status. What differs from moto: permissions are per role and per secret, full ARNs work across
accounts, sessions end, a batch takes 20 ids and reports its errors by secret, listings can be frozen (AWS: "might not
reflect changes from the last five minutes") and reads can lag.
"""

from __future__ import annotations

import base64
import re
import secrets as random_tokens
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from sandbox.aws.parameters import Parameters
from sandbox.aws.state import CURRENT, OPERATOR_ACCOUNT, PREVIOUS, Principal, Refused, Role, Secret, Session, State


class World(State):
    """AWS: the state, and the operations of callers. `parameters` is Parameter Store."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.parameters = Parameters(self.now, self._rules)

    def authenticate(self, access_key: str, token: str) -> Principal:
        """The caller with these credentials. Keys that are not from STS are the operator's."""
        session = self.sessions.get(access_key)
        if session is None:
            if access_key.startswith("ASIA"):
                raise Refused(
                    "UnrecognizedClientException", "The security token included in the request is invalid."
                )
            return Principal(OPERATOR_ACCOUNT)
        if session.token != token:
            raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
        if session.revoked or session.expires <= self.now():
            raise Refused("ExpiredTokenException", "The security token included in the request is expired")
        return session.principal

    def perform(self, who: Principal, region: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """The response to the operation. Raises Refused."""
        self._check_operation(who, operation)
        if (found := self.parameters.perform(who, region, operation, params)) is not None:
            return found
        handler = getattr(self, "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(), None)
        if handler is None:
            raise Refused("UnknownOperationException", "")
        answer: dict[str, Any] = handler(who, region, params)
        return answer

    def _check_operation(self, who: Principal, operation: str) -> None:
        if operation in self._rules(who).deny:
            raise _denied(who, operation, "*")

    def _rules(self, who: Principal) -> Role:
        return self.roles.get(who.role) or (Role(who.role) if who.role else self.operator)

    def _check_secret(self, who: Principal, operation: str, secret_id: str, secret: Secret | None) -> None:
        """Identity policy first, as AWS does: who may not read a name does not learn whether it exists."""
        rules = self._rules(who)
        forms = [secret_id, *([secret.name, secret.arn] if secret else [])]
        allowed = rules.read is None or any(fnmatchcase(form, glob) for glob in rules.read for form in forms)
        foreign = secret is not None and secret.account != who.account
        if foreign and not {who.account, who.role} & secret.shared_with:  # type: ignore[union-attr]
            allowed = False
        if not allowed or operation in rules.deny:
            raise _denied(who, operation, secret.arn if secret else secret_id)
        reads = secret is not None and operation == "GetSecretValue"
        if reads and any(fnmatchcase(secret_id, glob) for glob in rules.kms_denied):
            raise Refused("AccessDeniedException", "Access to KMS is not allowed")

    def _find(self, who: Principal, region: str, secret_id: str) -> Secret | None:
        if not secret_id.startswith("arn:"):
            return self.secrets.get((who.account, region, secret_id))
        secret = self.by_arn.get(secret_id)
        if secret is None and not re.search(r"-[A-Za-z0-9]{6}$", secret_id):
            parts = secret_id.split(":", 6)
            if len(parts) == 7 and parts[4] == who.account:  # across accounts AWS wants the whole ARN
                secret = self.secrets.get((parts[4], parts[3], parts[6]))
        return secret if secret and secret.region == region else None

    def _reach(self, who: Principal, region: str, operation: str, secret_id: str) -> Secret:
        if not secret_id:
            raise Refused("InvalidParameterException", "You must provide a SecretId.")
        secret = self._find(who, region, secret_id)
        self._check_secret(who, operation, secret_id, secret)
        if secret is None:
            raise Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return secret

    def _get_secret_value(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "GetSecretValue", params.get("SecretId", ""))
        if secret.deleted:
            raise Refused(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            )
        wanted, stage = params.get("VersionId", ""), params.get("VersionStage", "")
        version = (
            wanted or (secret.reads_lag_at if stage in {"", CURRENT} else "") or secret.staged(stage or CURRENT)
        )
        lagging = version == secret.reads_lag_at
        if version not in secret.versions or (wanted and stage and stage not in secret.stages.get(wanted, [])):
            what = f"VersionId: {wanted}" if wanted else f"staging label: {stage or CURRENT}"
            raise Refused(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for {what}",
            )
        stages = [CURRENT] if lagging else list(secret.stages.get(version, []))
        value = secret.versions[version]
        answer: dict[str, Any] = {
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": version,
            "VersionStages": stages,
            "CreatedDate": secret.changed.timestamp(),
        }
        if isinstance(value, bytes):
            return answer | {"SecretBinary": base64.b64encode(value).decode()}
        return answer | {"SecretString": value}

    def _batch_get_secret_value(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        ids = params.get("SecretIdList") or []
        if not ids or params.get("Filters"):
            raise Refused("InvalidParameterException", "You must include Filters or SecretIdList, but not both.")
        if len(ids) > 20:
            raise Refused("ValidationException", "SecretIdList must have length less than or equal to 20")
        values, errors = [], []
        for secret_id in ids:
            try:
                values.append(self._get_secret_value(who, region, {"SecretId": secret_id}))
            except Refused as no:
                errors.append({"SecretId": secret_id, "ErrorCode": no.code, "Message": no.sentence})
        return {"SecretValues": values, "Errors": errors}

    def _describe_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "DescribeSecret", params.get("SecretId", ""))
        entry = self.entry(secret)
        entry["VersionIdsToStages"] = entry.pop("SecretVersionsToStages", {})
        return entry

    def _list_secrets(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        size = params.get("MaxResults") or 100
        if not 1 <= size <= 100:
            raise Refused("InvalidParameterException", "MaxResults must be between 1 and 100")
        try:
            start = int(base64.b64decode(params["NextToken"]).decode()) if params.get("NextToken") else 0
        except ValueError:
            raise Refused("InvalidNextTokenException", "The NextToken value is invalid.") from None
        if params.get("SortBy") not in {None, "created-date", "last-accessed-date", "last-changed-date", "name"}:
            raise Refused("ValidationException", "Value at 'sortBy' failed to satisfy constraint: enum value set")
        entries = self.shown(who.account, region, deleted=bool(params.get("IncludePlannedDeletion")))
        if params.get("SortBy") == "last-changed-date" and self.sorts:
            entries.sort(key=lambda one: one.changed, reverse=params.get("SortOrder") == "desc")
        total, page = len(entries), [self.entry(secret) for secret in entries[start : start + size]]
        answer: dict[str, Any] = {"SecretList": page}
        if start + size < total:
            answer["NextToken"] = base64.b64encode(str(start + size).encode()).decode()
        return answer

    def _create_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self.create(
            params["Name"],
            _value(params),
            account=who.account,
            region=region,
            tags={tag["Key"]: tag["Value"] for tag in params.get("Tags") or ()},
            version_id=params.get("ClientRequestToken", ""),
        )
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": secret.staged(CURRENT)}

    def _put_secret_value(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "PutSecretValue", params.get("SecretId", ""))
        stages = params.get("VersionStages") or [CURRENT]
        value = _value(params)
        if value is None:
            raise Refused("InvalidParameterException", "You must provide either SecretString or SecretBinary.")
        version = self.add_version(secret, value, stages, params.get("ClientRequestToken", ""))
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": version, "VersionStages": stages}

    def _update_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        return self._put_secret_value(who, region, params)

    def _delete_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "DeleteSecret", params.get("SecretId", ""))
        force = bool(params.get("ForceDeleteWithoutRecovery"))
        self.delete(secret.name, force=force, account=secret.account, region=secret.region)
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": self.now().timestamp()}

    def _restore_secret(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "RestoreSecret", params.get("SecretId", ""))
        self.restore(secret.name, account=secret.account, region=secret.region)
        return {"ARN": secret.arn, "Name": secret.name}

    def _tag_resource(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "TagResource", params.get("SecretId", ""))
        tags = {tag["Key"]: tag["Value"] for tag in params["Tags"]}
        self.tag(secret.name, tags, account=secret.account, region=secret.region)
        return {}

    def _untag_resource(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "UntagResource", params.get("SecretId", ""))
        gone: dict[str, str | None] = dict.fromkeys(params["TagKeys"])
        self.tag(secret.name, gone, account=secret.account, region=secret.region)
        return {}

    def _update_secret_version_stage(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        secret = self._reach(who, region, "UpdateSecretVersionStage", params.get("SecretId", ""))
        stage, target = params["VersionStage"], params.get("MoveToVersionId", "")
        if target and target not in secret.versions:
            raise Refused("InvalidParameterException", "MoveToVersionId is not a version of this secret.")
        if target and stage == CURRENT and (now := secret.staged(CURRENT)):
            secret.move(PREVIOUS, now)
        secret.move(stage, target)
        self.touch(secret)
        return {"ARN": secret.arn, "Name": secret.name}

    def _receive_message(self, _who: Principal, _region: str, params: dict[str, Any]) -> dict[str, Any]:
        """At once, whatever `WaitTimeSeconds` says. What was received and not deleted comes again."""
        first = list(self.messages.items())[: params.get("MaxNumberOfMessages") or 1]
        found = [{"MessageId": handle, "ReceiptHandle": handle, "Body": body} for handle, body in first]
        return {"Messages": found} if found else {}

    def _delete_message_batch(self, _who: Principal, _region: str, params: dict[str, Any]) -> dict[str, Any]:
        for entry in params["Entries"]:
            self.messages.pop(entry["ReceiptHandle"], None)
        return {"Successful": [{"Id": entry["Id"]} for entry in params["Entries"]], "Failed": []}

    def _get_caller_identity(self, who: Principal, _region: str, _params: dict[str, Any]) -> dict[str, Any]:
        return {"Account": who.account, "Arn": who.arn, "UserId": "AROAEXAMPLE:session"}

    def _assume_role(self, who: Principal, _region: str, params: dict[str, Any]) -> dict[str, Any]:
        arn, session = params["RoleArn"], params["RoleSessionName"]
        role = self.roles.get(arn) or (Role(arn) if self.open_doors else None)
        seconds = int(params.get("DurationSeconds") or 3600)
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", session) or not 900 <= seconds <= 43_200:
            raise Refused("ValidationError", "1 validation error detected")
        if role is None or not role.trusted or role.external_id not in {"", params.get("ExternalId", "")}:
            raise Refused(
                "AccessDenied",
                f"User: {who.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                403,
            )
        key = f"ASIA{random_tokens.token_hex(8).upper()}"
        expires = self.now() + timedelta(seconds=seconds)
        token = random_tokens.token_hex(16)
        self.sessions[key] = Session(Principal(role.account, arn, session), "secret", token, expires)
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": "secret",
                "SessionToken": token,
                "Expiration": expires.isoformat(timespec="seconds"),
            },
            "AssumedRoleUser": {
                "Arn": Principal(role.account, arn, session).arn,
                "AssumedRoleId": f"AROA:{session}",
            },
        }


def _value(params: dict[str, Any]) -> str | bytes | None:
    if params.get("SecretBinary") is not None:
        return base64.b64decode(params["SecretBinary"])
    text: str | None = params.get("SecretString")
    return text


def _denied(who: Principal, operation: str, resource: str) -> Refused:
    return Refused(
        "AccessDeniedException",
        f"User: {who.arn} is not authorized to perform: secretsmanager:{operation} on resource: {resource} "
        f"because no identity-based policy allows the secretsmanager:{operation} action",
    )
