"""What took long and gave nothing is not tried again before an input changes, and one namespace delays no other."""

from __future__ import annotations

import asyncio
import threading

import pytest

from secretsyncer.aws.identity import Identity
from secretsyncer.errors import Reason, Rejected, SyncFailure
from secretsyncer.gotemplate.engine import DeadlineExceeded, Needs, Rendered, TemplateEngine, TemplateFailure
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.budget import LONG_RENDER, Limits
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.sync.slow_templates import LONG_TIMEOUT, SlowTemplates
from tests.support.builders import catalogue, entry, parsed, synced_secret, value
from tests.support.core import KEY, Core, InlineEngine
from tests.support.eventually import eventually
from tests.support.specs import template, whole
from tests.support.value_source import MemoryAws

LISTED = catalogue(entry("app"), entry("other"))
RELISTED = catalogue(entry("app"), entry("other"), entry("new"))
GRANT = Grant(Identity("arn:aws:iam::123456789012:role/reader"))
CANARY = "c4n4ry-v4lu3"


def slow(result, seconds=2.0):
    object.__setattr__(result, "seconds", seconds)
    return result


class TestMemory:
    """By what it was rendered from."""

    def test_the_same_inputs_give_the_same_failure(self):
        memory = SlowTemplates()
        memory.note("t", {"app": ("arn", "v1")}, LISTED, slow(DeadlineExceeded("the template takes too long")))
        again = memory.recall("t", {"app": ("arn", "v1")}, RELISTED)
        assert isinstance(again, DeadlineExceeded)
        assert (str(again), again.seconds) == ("the template takes too long", 2.0)

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("u", {"app": ("arn", "v1")}),
            ("t", {"app": ("arn", "v2")}),
            ("t", {}),
            ("t", {"app": ("other", "v1")}),
            ("t", {"other": ("arn", "v1")}),
        ],
    )
    def test_other_inputs_are_tried(self, text, values):
        memory = SlowTemplates()
        memory.note("t", {"app": ("arn", "v1")}, LISTED, slow(DeadlineExceeded("x")))
        assert memory.recall(text, values, LISTED) is None

    def test_what_looked_at_the_listing_is_tried_again_when_the_listing_changes(self):
        memory = SlowTemplates()
        memory.note("t", {}, LISTED, slow(DeadlineExceeded("x", whole_catalogue=True)))
        assert memory.recall("t", {}, catalogue(entry("app"), entry("other"))) is not None
        assert memory.recall("t", {}, RELISTED) is None

    def test_a_late_request_for_another_secret_is_remembered(self):
        memory = SlowTemplates()
        memory.note("t", {}, LISTED, Needs(("app",), ("other",), seconds=1.0))
        assert memory.recall("t", {}, LISTED) == Needs(("app",), ("other",))

    def test_what_failed_at_once_is_tried_again(self):
        memory = SlowTemplates()
        memory.note("t", {}, LISTED, slow(TemplateFailure("x"), LONG_RENDER / 2))
        assert memory.recall("t", {}, LISTED) is None

    def test_a_timeout_that_tells_of_a_busy_machine_is_not_remembered(self):
        memory = SlowTemplates()
        memory.note("t", {}, LISTED, slow(DeadlineExceeded("x"), LONG_TIMEOUT / 2))
        assert memory.recall("t", {}, LISTED) is None
        memory.note("t", {}, LISTED, slow(TemplateFailure("x"), LONG_TIMEOUT / 2))
        assert memory.recall("t", {}, LISTED) is not None

    def test_it_takes_no_more_room_than_it_has(self):
        memory = SlowTemplates(room=10_000)
        for number in range(1000):
            memory.note(f"t{number}", {}, LISTED, slow(DeadlineExceeded("x" * 100)))
        memory.note("large", {}, LISTED, slow(DeadlineExceeded("x" * 10_000)))
        assert memory._slow.currsize <= 10_000
        assert memory.recall("t999", {}, LISTED) is not None
        assert memory.recall("large", {}, LISTED) is None

    def test_no_value_is_kept_by_the_frames_of_a_failure(self):
        memory = SlowTemplates()

        def fail(secret):
            raise slow(DeadlineExceeded("x"))

        with pytest.raises(DeadlineExceeded) as raised:
            fail(CANARY)
        memory.note("t", {}, LISTED, raised.value)
        assert memory.recall("t", {}, LISTED).__traceback__ is None


class CountingEngine(TemplateEngine):
    """An engine whose renders time out; with the value "good" they do not."""

    def __init__(self):
        super().__init__(cache_dir=None)
        self.renders = 0

    async def render(self, template, catalogue, values, data):
        self.renders += 1
        if "getSecretValue" in template and not values:
            return Needs(("app",), ())
        if values.get("app") == "good" or data.get("k") == b"good":
            return Rendered("output", frozenset(values), (), whole_catalogue=False)
        raise slow(DeadlineExceeded("the template takes too long"))


async def test_a_template_that_timed_out_does_not_run_again_until_a_value_that_it_reads_changes(metrics):
    aws, engine = MemoryAws(value("app", "bad")), CountingEngine()
    renderer = ContentRenderer(aws, engine, metrics)
    spec = parsed(template("t", '{{ getSecretValue "app" }}')).spec
    messages = set()
    for listing in (LISTED, LISTED, RELISTED):
        with pytest.raises(Rejected) as raised:
            await renderer.render(GRANT, spec, listing)
        messages.add(raised.value.message)
    assert messages == {"data.t: the template takes too long"}
    assert engine.renders == 2 + 2 * 1  # one that asks for the value, each time, and one with it
    aws.values["app"] = value("app", "good", version="v2")
    assert (await renderer.render(GRANT, spec, LISTED)).data == {"t": b"output"}


async def test_a_template_that_timed_out_does_not_run_again_until_its_data_changes(metrics):
    aws, engine = MemoryAws(value("app", "bad")), CountingEngine()
    renderer = ContentRenderer(aws, engine, metrics)
    spec = parsed({**whole("k", "app"), "templateOnly": True}, template("t", "{{ .Data.k }}")).spec
    for _ in range(3):
        with pytest.raises(Rejected, match="the template takes too long"):
            await renderer.render(GRANT, spec, LISTED)
    assert engine.renders == 1
    aws.values["app"] = value("app", "good", version="v2")
    assert (await renderer.render(GRANT, spec, LISTED)).data == {"t": b"output"}


class HeldEngine(TemplateEngine):
    """A hostile template takes a thread until the test ends it, as an endless loop does until its deadline."""

    def __init__(self, cache_dir):
        super().__init__(cache_dir=cache_dir, deadline=30)
        self.held = self.ended = self.others = 0
        self._lock, self._go = threading.Lock(), threading.Semaphore(0)

    async def render(self, template, *request):
        if "hostile" in template:
            return await super().render(template, *request)
        self.others += 1
        try:
            return await super().render(template, *request)
        finally:
            self.others -= 1

    def render_sync(self, template, *request):
        if "hostile" not in template:
            return super().render_sync(template, *request)
        with self._lock:
            self.held += 1
        self._go.acquire()
        with self._lock:
            self.held -= 1
            self.ended += 1
        raise slow(DeadlineExceeded("the template takes too long"))

    async def end_one(self):
        """End one of these renders."""
        wanted = self.ended + 1
        self._go.release()

        async def has_ended():
            assert self.ended == wanted

        await eventually(has_ended)

    def let_all_end(self):
        self._go.release(1000)


async def test_templates_of_one_namespace_do_not_delay_those_of_another(metrics, request):
    aws = MemoryAws(value("app", "v"))
    engine = HeldEngine(request.config.rootpath / ".cache" / "gotemplate")
    renderer = ContentRenderer(aws, engine, metrics)

    async def render(namespace, text):
        return await renderer.render(GRANT, parsed(template("t", text)).spec, LISTED, namespace=namespace)

    async def finish(task):
        """Wait for it. A hostile template ends only while nothing else is rendered."""
        while not task.done():
            if engine.held and not engine.others:
                await engine.end_one()
            await asyncio.sleep(0.005)
        return task.result()

    async def is_held():
        assert engine.held

    await render("honest", "warm")
    hostile = [asyncio.create_task(render("hostile", f"hostile {number}")) for number in range(16)]
    try:
        async with asyncio.timeout(60):
            await eventually(is_held)
            for number in range(5):
                made = await finish(
                    asyncio.create_task(render("honest", f'{number} {{{{ getSecretValue "app" }}}}'))
                )
                assert made.data == {"t": f"{number} v".encode()}
        # Two for each honest one at most: its turn comes after one of the other namespace.
        assert 0 < engine.ended <= 10
    finally:
        engine.let_all_end()
        await asyncio.gather(*hostile, return_exceptions=True)
        await asyncio.to_thread(engine.close)


async def test_long_work_of_one_namespace_does_not_delay_that_of_another(engine, metrics):
    aws = MemoryAws(value("big", {f"k{n}": "x" for n in range(3_000)}))
    items = [
        {"name": f"k{n}", "valueFrom": {"secretKeyRef": {"name": "big", "jmesPath": f"sort(keys(@))[{n}]"}}}
        for n in range(100)
    ]
    renderer = ContentRenderer(aws, engine, metrics, limits=Limits(steps=10**9, cpu_seconds=60))
    done = []

    async def render(namespace, *items):
        await renderer.render(GRANT, parsed(*items).spec, LISTED, namespace=namespace)
        done.append(namespace)

    hostile = [asyncio.create_task(render("hostile", *items)) for _ in range(6)]
    await asyncio.wait(hostile, return_when=asyncio.FIRST_COMPLETED)
    await render("honest", items[0])
    assert done.index("honest") < 3
    for task in hostile:
        task.cancel()
    await asyncio.gather(*hostile, return_exceptions=True)


class SlowEngine(InlineEngine):
    """An engine that says of every render that it took three seconds."""

    def __init__(self, engine):
        super().__init__(engine)
        self.renders = 0

    async def render(self, *request):
        self.renders += 1
        result = await super().render(*request)
        return slow(result, 3.0) if isinstance(result, Rendered) else result


@pytest.mark.looptime
class TestWholeObjects:
    """An object whose templates succeed, but take too long together."""

    TEXTS = tuple(template(f"t{n}", f'{n} {{{{ getSecretValue "app" }}}}') for n in range(5))

    async def failure(self, core):
        await asyncio.sleep(core.cluster.lag + 0.01)
        with pytest.raises(SyncFailure) as raised:
            await core.reconciler.reconcile(KEY)
        return raised.value

    @pytest.fixture
    async def core(self, engine):
        return Core(SlowEngine(engine))

    async def put(self, core):
        core.world.create("app", "v")
        await core.list_aws()
        core.cluster.put(synced_secret(*self.TEXTS))

    async def test_it_is_not_rendered_again_until_an_input_changes(self, core):
        await self.put(core)
        first = await self.failure(core)
        renders = core.engine.renders
        assert (first.reason, first.message) == (
            Reason.TEMPLATE_ERROR,
            "the templates run for 12.0 s; the limit is 10.0 s",
        )
        for _ in range(3):
            again = await self.failure(core)
            await core.list_aws()
            assert (again.reason, again.message) == (first.reason, first.message)
        assert core.engine.renders == renders
        core.world.put("app", "w")
        await core.list_aws()
        await self.failure(core)
        assert core.engine.renders > renders

    async def test_an_edit_is_tried_at_once(self, core):
        await self.put(core)
        await self.failure(core)
        core.cluster.put(synced_secret(whole("a", "app"), generation=2))
        await asyncio.sleep(core.cluster.lag + 0.01)
        assert (await core.reconciler.reconcile(KEY)).reason is Reason.SYNCED
