"""Secrets of other programs: what a SyncedSecret may do to them."""

from __future__ import annotations

import pytest

from tests.support.specs import literal

pytestmark = pytest.mark.real

MARK = "secrets.contentful.com/managed"
HELM = {"app.kubernetes.io/managed-by": "Helm"}


async def test_a_wrong_target_name_empties_no_secret_of_another_program(operator, space):
    before = await space.put_foreign(
        "argocd-secret", {"admin.password": "theirs", "webhook.secret": "theirs"}, labels=HELM
    )
    await space.write("demo", target={"name": "argocd-secret"}, data=[literal("webhook.secret", "ours")])
    message = await space.until_failed("demo", "Conflict")
    assert "its key admin.password would be removed" in message
    assert "theirs" not in message
    assert await space.secret("argocd-secret") == before
    await space.write(
        "demo", target={"name": "argocd-secret"}, adopt=True, data=[literal("webhook.secret", "ours")]
    )
    await space.until_data("argocd-secret", {"webhook.secret": b"ours"})
    assert (await space.secret("argocd-secret"))["metadata"]["labels"] == {**HELM, MARK: "true"}


async def test_a_secret_whose_keys_all_stay_is_adopted_as_before(operator, space):
    await space.put_foreign("demo", {"a": "theirs"}, labels=HELM)
    await space.write("demo", data=[literal("a", "ours"), literal("b", "ours")])
    await space.until_data("demo", {"a": b"ours", "b": b"ours"})
    assert (await space.secret("demo"))["metadata"]["labels"] == {**HELM, MARK: "true"}
