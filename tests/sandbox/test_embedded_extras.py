"""What the embedded API promises beyond the contract."""

from __future__ import annotations

import time

from tests.sandbox.contract import connect, secret

SECRETS = "/api/v1/namespaces/default/secrets"


async def test_thousand_objects_are_no_problem(embedded):
    async with connect(embedded) as client:
        start = (await client.get(SECRETS)).version
        began = time.monotonic()
        for number in range(1000):
            await client.make(SECRETS, secret(f"s{number}", stringData={"k": "v" * 100}))
        async with client.watch(f"{SECRETS}?resourceVersion={start}") as watch:
            for number in range(1000):
                assert await watch.short() == ("ADDED", f"s{number}")
        assert len((await client.get(SECRETS)).body["items"]) == 1000
        assert time.monotonic() - began < 120  # on a busy machine


async def test_other_dry_runs_than_of_a_create_are_refused_and_do_nothing(embedded):
    async with connect(embedded) as client:
        await client.make(SECRETS, secret("b"))
        assert (await client.delete(f"{SECRETS}/b", {"dryRun": ["All"]})).status == 400
        assert (await client.get(SECRETS)).names() == ["b"]
