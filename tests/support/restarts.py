"""What the statuses of SyncedSecrets and the workloads themselves say of restarts."""

from __future__ import annotations

from tests.support.eventually import eventually
from tests.support.workloads import RESTARTED_AT

AT_ONCE = {"delay": "0s"}
WEB = {"targets": [{"kind": "Deployment", "name": "web"}], **AT_ONCE}


async def status(space, name="demo"):
    return (await space.synced(name)).get("status") or {}


def condition(of):
    found = [c for c in of.get("conditions") or [] if c["type"] == "Restarted"]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


async def until_restarted(space, revision, name="demo"):
    """The status, once all workloads were restarted for this revision."""

    async def probe():
        found = await status(space, name)
        assert found.get("restartedRevision") == revision == found.get("revision"), found
        return found

    return await eventually(probe)


async def until_told(space, reason, name="demo"):
    """The message of the condition, once it has this reason."""

    async def probe():
        told = condition(await status(space, name))
        assert told, "no condition"
        assert told[:2] == ("False", reason), told
        return told[2]

    return await eventually(probe)


async def restarts(space, name="web", kind="Deployment"):
    """How often the spec of the workload was changed since it was made."""
    return (await space.cluster.get(kind, space.name, name))["metadata"]["generation"] - 1


async def stamp(space, name="web", kind="Deployment"):
    obj = await space.cluster.get(kind, space.name, name)
    if kind == "Rollout":
        return obj["spec"].get("restartAt")
    return obj["spec"]["template"]["metadata"].get("annotations", {}).get(RESTARTED_AT)
