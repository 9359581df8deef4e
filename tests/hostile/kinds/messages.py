"""Messages in the queue of events."""

from __future__ import annotations

import json
from typing import Any

from tests.hostile.benign import MARK, NAMESPACES, OBJECTS
from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene, again_and_again
from tests.support.events import call, label_updated, rotated, through_sns

_MALFORMED: tuple[Any, ...] = (
    {"detail": {"eventName": ["PutSecretValue"]}},
    {"source": "aws.secretsmanager", "detail": {"eventName": ["PutSecretValue"]}},
    {"source": ["aws.secretsmanager"], "detail": {"eventName": {}}},
    {"source": "aws.secretsmanager", "detail": {"requestParameters": {"secretId": ["a"]}}},
    {"source": "aws.secretsmanager", "detail": {"name": 1, "arn": {}}, "resources": {"a": 1}},
    {"source": "aws.secretsmanager", "detail": None},
    {"Type": "Notification", "Message": "[" * 100_000},
    {"Type": "Notification", "Message": None},
    [1, 2],
    None,
    "[" * 200_000,
    "9" * 100_000,
    '"\\ud800"',
    "",
    "no JSON",
)


async def malformed_messages(scene: Scene) -> None:
    """Messages that are no events."""

    async def send() -> None:
        body = scene.rand.choice(_MALFORMED)
        scene.aws.world.send(body if isinstance(body, str) else json.dumps(body))

    await again_and_again(send, scene, 0.02)


async def many_names(scene: Scene) -> None:
    """Messages with 26,000 names."""
    names = [f"n{number}" for number in range(26_000)]
    for _ in range(3):
        event = label_updated("a", "a")
        scene.aws.world.send(json.dumps({**event, "resources": names}))
    await scene.stay()


async def flood_of_events(scene: Scene) -> None:
    """Thousands of events about secrets that do not exist, or did not change."""
    for number in range(2000):
        source = f"{MARK}/{number % NAMESPACES}/source-{number % OBJECTS}"
        nobody = f"nobody/{number}"
        events = (
            call("PutSecretValue", {"secretId": nobody}),
            label_updated(source, ""),
            through_sns(rotated(nobody)),
        )
        scene.aws.world.send(json.dumps(events[number % 3]))
    await scene.stay()


KINDS = table(malformed_messages, many_names, flood_of_events)
