"""Paths of the API, and the order of versions."""

from __future__ import annotations

import pytest

from secretsyncer.kube.feed import later
from secretsyncer.kube.resources import EVENTS, LEASES, NAMESPACES, SECRETS, SYNCED_SECRETS


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SECRETS.path(), "/api/v1/secrets"),
        (SECRETS.path("a"), "/api/v1/namespaces/a/secrets"),
        (SECRETS.path("a", "x"), "/api/v1/namespaces/a/secrets/x"),
        (NAMESPACES.path("", "a"), "/api/v1/namespaces/a"),
        (NAMESPACES.path("ignored", "a"), "/api/v1/namespaces/a"),
        (
            SYNCED_SECRETS.path("a", "x", "status"),
            "/apis/secrets.contentful.com/v1/namespaces/a/syncedsecrets/x/status",
        ),
        (SECRETS.path("a", "../../nodes?x#y"), "/api/v1/namespaces/a/secrets/..%2F..%2Fnodes%3Fx%23y"),
    ],
)
def test_paths(path, expected):
    assert path == expected


def test_api_versions():
    assert [EVENTS.api_version, LEASES.api_version] == ["v1", "coordination.k8s.io/v1"]


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("x", "9", None), ("9", "", None), ("²", "1", None)],
)
def test_versions_are_compared_as_numbers_where_they_are(version, than, expected):
    assert later(version, than=than) is expected
