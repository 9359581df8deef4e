"""The parts of a SyncedSecret's spec, as short as they are in YAML."""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]

PGBOUNCER = r"""{{- $cfg := "" -}}
{{- range $secretID, $_ := filterByTagKey .Secrets "tag1" -}}
{{- $secretValue := getSecretValueMap $secretID -}}
{{- $cfg = printf "%shost=%s user=%s password=%s\n" $cfg $secretValue.host $secretValue.user $secretValue.password -}}
{{- end -}}
{{- $cfg -}}
"""
"""The template of the Go operator's README, letter by letter."""


def literal(name: str, value: str) -> Item:
    return {"name": name, "value": value}


def key(name: str, secret: str, key: str) -> Item:
    """One key of a JSON secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def whole(name: str, secret: str) -> Item:
    """A whole secret."""
    return {"name": name, "valueFrom": {"secretRef": {"name": secret}}}


def template(name: str, text: str) -> Item:
    return {"name": name, "valueFrom": {"template": text}}


def all_keys(secret: str) -> Item:
    """The value of `dataFrom`."""
    return {"secretRef": {"name": secret}}


def parameter(name: str, parameter: str, **options: Any) -> Item:
    """A parameter, or one value in it."""
    return {"name": name, "valueFrom": {"parameterRef": {"name": parameter, **options}}}
