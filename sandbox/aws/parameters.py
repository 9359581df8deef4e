"""Parameter Store as a model: parameters with versions and labels, what roles may do with them, and the quota.

Written against the API reference of Systems Manager, not against the operator. `World.perform` passes its operations on.
What differs from moto: a call for several names is denied as a whole because of one of them, KMS can be denied, parameters
are shared with other accounts by ARN, listings can be frozen, and more calls per second than `quota` are throttled.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from sandbox.aws.parameter_state import Parameter, ParameterState
from sandbox.aws.state import Principal, Refused, Role

_QUOTA = frozenset({"GetParameter", "GetParameters", "GetParametersByPath"})
"""Operations that share the quota of an account and region."""


class Parameters(ParameterState):
    """The parameters, and the operations of callers. `rules` returns what a caller may do."""

    def __init__(self, now: Callable[[], datetime], rules: Callable[[Principal], Role]) -> None:
        super().__init__(now)
        self._rules = rules
        self._calls: defaultdict[tuple[str, str], deque[datetime]] = defaultdict(deque)

    def perform(self, who: Principal, region: str, operation: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """The response to an operation of Parameter Store; None for another one. Raises Refused."""
        handler = getattr(self, "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(), None)
        if handler is None:
            return None
        if operation in _QUOTA:
            self._count(who.account, region)
        answer: dict[str, Any] = handler(who, region, params)
        return answer

    def _count(self, account: str, region: str) -> None:
        calls, now = self._calls[account, region], self._now()
        while calls and calls[0] <= now - timedelta(seconds=1):
            calls.popleft()
        if len(calls) >= self.quota:
            self.throttled += 1
            raise Refused("ThrottlingException", "Rate exceeded")
        calls.append(now)

    def _check(self, who: Principal, operation: str, asked: str, found: Parameter | None) -> None:
        """Identity policy first, as AWS does: who may not read a name does not learn whether it exists."""
        rules = self._rules(who)
        forms = [asked, *([found.name, found.arn] if found else [])]
        allowed = rules.read is None or any(fnmatchcase(form, glob) for glob in rules.read for form in forms)
        if found is not None and found.account != who.account:
            allowed = allowed and bool({who.account, who.role} & found.shared_with)
        if not allowed:
            resource = found.arn if found else asked
            raise Refused(
                "AccessDeniedException",
                f"User: {who.arn} is not authorized to perform: ssm:{operation} on resource: {resource} "
                f"because no identity-based policy allows the ssm:{operation} action",
            )

    def _find(self, who: Principal, region: str, asked: str) -> Parameter | None:
        if not asked.startswith("arn:"):
            return self._all.get((who.account, region, asked))
        found = [one for one in self._all.values() if one.arn == asked and one.region == region]
        return found[0] if found else None

    def _read(self, who: Principal, region: str, operation: str, asked: str, *, decrypt: bool) -> dict[str, Any]:
        """One parameter as a response has it. Raises Refused."""
        base, _, selector = asked.partition(":") if not asked.startswith("arn:") else _split_arn(asked)
        found = self._find(who, region, base)
        self._check(who, operation, base, found)
        if found is None:
            raise Refused("ParameterNotFound", "")
        number = found.version if not selector else found.labels.get(selector, 0)
        if selector.isdigit():
            number = int(selector)
        if number not in found.versions:
            raise Refused(
                "ParameterVersionNotFound", f"Systems Manager could not find version {selector} of {base}"
            )
        if found.kind == "SecureString" and any(fnmatchcase(base, glob) for glob in self._rules(who).kms_denied):
            raise Refused(
                "AccessDeniedException",
                "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or "
                "you are not allowed to access.",
            )
        value, changed = found.versions[number]
        answer = {
            "Name": found.name,
            "Type": found.kind,
            "Value": value if decrypt or found.kind != "SecureString" else "encrypted",
            "Version": number,
            "LastModifiedDate": changed.timestamp(),
            "ARN": found.arn,
            "DataType": "text",
        }
        return answer | ({"Selector": f":{selector}"} if selector else {})

    def _get_parameters(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        names = params.get("Names") or []
        if not 1 <= len(names) <= 10 or len(set(names)) != len(names):
            raise Refused("ValidationException", "Member must have 1 to 10 different names")
        found, invalid = [], []
        for name in names:
            try:
                found.append(
                    self._read(who, region, "GetParameters", name, decrypt=bool(params.get("WithDecryption")))
                )
            except Refused as no:
                if not no.code.endswith("NotFound"):
                    raise
                invalid.append(name)
        return {"Parameters": sorted(found, key=lambda one: one["Name"]), "InvalidParameters": invalid}

    def _get_parameter(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        decrypt = bool(params.get("WithDecryption"))
        return {"Parameter": self._read(who, region, "GetParameter", params["Name"], decrypt=decrypt)}

    def _get_parameters_by_path(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        below = [
            one
            for one in self._listed(who.account, region)
            if _is_below(one.name, params["Path"], recursive=bool(params.get("Recursive")))
        ]
        page, token = _page(below, params, most=10)
        decrypt = bool(params.get("WithDecryption"))
        found = [self._read(who, region, "GetParametersByPath", one.name, decrypt=decrypt) for one in page]
        return {"Parameters": found, **token}

    def _describe_parameters(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        shown = self._frozen.get((who.account, region)) or self._listed(who.account, region)
        for wanted in params.get("ParameterFilters") or ():
            shown = [one for one in shown if _matches(one, wanted)]
        page, token = _page(shown, params, most=50)
        return {"Parameters": [one.entry() for one in page], **token}

    def _put_parameter(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        name = params["Name"]
        found = self._all.get((who.account, region, name))
        self._check(who, "PutParameter", name, found)
        if found is not None and not params.get("Overwrite"):
            raise Refused("ParameterAlreadyExists", "The parameter already exists.")
        tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags") or ()}
        where = {"account": who.account, "region": region}
        made = self.put(name, params["Value"], kind=params.get("Type") or "String", tags=tags, **where)
        return {"Version": made.version, "Tier": "Standard"}

    def _delete_parameter(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        self._existing(who, region, "DeleteParameter", params["Name"])
        self.delete(params["Name"], account=who.account, region=region)
        return {}

    def _label_parameter_version(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        found = self._existing(who, region, "LabelParameterVersion", params["Name"])
        number = params.get("ParameterVersion") or found.version
        if number not in found.versions:
            raise Refused("ParameterVersionNotFound", "")
        found.labels.update(dict.fromkeys(params["Labels"], number))
        return {"InvalidLabels": [], "ParameterVersion": number}

    def _list_tags_for_resource(self, who: Principal, region: str, params: dict[str, Any]) -> dict[str, Any]:
        found = self._all.get((who.account, region, params["ResourceId"]))
        self._check(who, "ListTagsForResource", params["ResourceId"], found)
        if found is None:
            raise Refused("InvalidResourceId", "")
        return {"TagList": [{"Key": key, "Value": value} for key, value in found.tags.items()]}

    def _existing(self, who: Principal, region: str, operation: str, name: str) -> Parameter:
        found = self._all.get((who.account, region, name))
        self._check(who, operation, name, found)
        if found is None:
            raise Refused("ParameterNotFound", f"Parameter {name} not found.")
        return found


def _split_arn(asked: str) -> tuple[str, str, str]:
    parts = asked.split(":")
    return ":".join(parts[:6]), ":", ":".join(parts[6:])


def _is_below(name: str, path: str, *, recursive: bool) -> bool:
    start = path if path.endswith("/") else f"{path}/"
    rest = name.removeprefix(start)
    return rest != name and (recursive or "/" not in rest)


def _matches(one: Parameter, wanted: dict[str, Any]) -> bool:
    key, option, values = wanted["Key"], wanted.get("Option") or "Equals", wanted.get("Values") or []
    if key == "Name":
        ways: dict[str, Callable[[str], bool]] = {
            "Equals": lambda value: one.name == value,
            "BeginsWith": one.name.startswith,
            "Contains": lambda value: value in one.name,
        }
        return any(ways[option](value) for value in values)
    if key == "Path":
        return any(_is_below(one.name, value, recursive=option == "Recursive") for value in values)
    if key.startswith("tag:"):
        tag = one.tags.get(key.removeprefix("tag:"))
        return tag is not None and (not values or tag in values)
    if key == "Type":
        return one.kind in values
    raise Refused("InvalidFilterKey", f"The specified key isn't valid: {key}")


def _page(found: list[Parameter], params: dict[str, Any], *, most: int) -> tuple[list[Parameter], dict[str, str]]:
    size = params.get("MaxResults") or most
    if not 1 <= size <= most:
        raise Refused("ValidationException", f"MaxResults must be between 1 and {most}")
    try:
        start = int(base64.b64decode(params["NextToken"]).decode()) if params.get("NextToken") else 0
    except ValueError:
        raise Refused("InvalidNextToken", "The specified token isn't valid.") from None
    end = start + size
    token = {"NextToken": base64.b64encode(str(end).encode()).decode()} if end < len(found) else {}
    return found[start:end], token
