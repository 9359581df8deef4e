"""What the controller does when a pass goes wrong in ways that no API can be made to cause."""

import asyncio

import pytest

from secretsyncer.aws.catalogue import Catalogue
from secretsyncer.controller import STUCK, Controller
from secretsyncer.dependencies import DependencyIndex
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.models import Key
from secretsyncer.targets import Targets

pytestmark = pytest.mark.looptime

KEY = Key("web", "app")


class Still:
    """An informer that shows nothing and a reconciler whose passes nothing can end."""

    def add_handler(self, handler):
        pass

    async def reconcile(self, key):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling() > 1:  # the test's own end
                    raise


async def test_a_pass_that_outlives_its_deadline_is_told_to_the_probe(metrics):
    still, queue = Still(), WorkQueue(metrics=metrics)
    controller = Controller(
        still,
        queue,
        DependencyIndex(),
        Targets(),
        objects=still,
        namespaces=still,
        secrets=still,
        prefetcher=still,
        catalogue=Catalogue,
        metrics=metrics,
        sync_interval=120,
    )
    worker = asyncio.create_task(controller.work())
    queue.add(KEY)
    await asyncio.sleep(STUCK - 1)
    assert controller.stuck() is None
    await asyncio.sleep(2)
    assert controller.stuck() == "a pass runs for 241 s"
    while not worker.done():
        worker.cancel()
        await asyncio.sleep(1)
