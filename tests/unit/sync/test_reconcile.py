"""Reconciles of one object, from the stores to the Secret, its status and the Events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from math import inf

import pytest

from secretsyncer.aws.listing.changes import diff
from secretsyncer.errors import KubeError, Reason, Rejected, StillWaiting, SyncFailure, Unavailable
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import NAMESPACES, SECRETS, SYNCED_SECRETS
from secretsyncer.sync import dependencies
from secretsyncer.sync.authorize import NAMESPACE_TYPE_LABEL, NAMESPACE_TYPE_TAG
from secretsyncer.sync.budget import Limits, LongWork
from secretsyncer.sync.observed import REFRESH_ANNOTATION
from secretsyncer.sync.reconcile import Outcome
from secretsyncer.synced_secret.formats import MIN_REFRESH
from tests.support.builders import ANNOTATION, namespace, synced_secret
from tests.support.core import KEY, Core, InlineEngine
from tests.support.specs import all_keys, key, literal, template, whole

pytestmark = pytest.mark.looptime

TEAM = Key("", "team")


@pytest.fixture(params=[False, True], ids=["kept", "stubs"])
async def core(request):
    return Core(stubs=request.param)


@pytest.fixture
async def templates(engine):
    """A core that renders templates."""
    return Core(InlineEngine(engine))


async def shown(core: Core) -> None:
    """Wait until the watch has shown every change."""
    await asyncio.sleep(core.cluster.lag + 0.01)


async def reconcile(core: Core, key: Key = KEY) -> Outcome:
    """One reconcile of the object as the watch shows it, and the watch's echo of its writes."""
    await shown(core)
    outcome = await core.reconciler.reconcile(key)
    await shown(core)
    return outcome


async def failure(core: Core, key: Key = KEY) -> SyncFailure:
    with pytest.raises(SyncFailure) as raised:
        await reconcile(core, key)
    return raised.value


async def sync(core: Core, *items, **spec) -> Outcome:
    """Put an object, list AWS and reconcile."""
    core.cluster.put(synced_secret(*items, **spec))
    await core.list_aws()
    return await reconcile(core)


# What a reconcile makes


async def test_the_secret_the_status_and_the_event_show_what_was_synced(core):
    secret = core.world.create("app", '{"user": "web", "password": "s1"}')
    outcome = await sync(core, literal("mode", "production"), dataFrom=all_keys("app"))
    assert outcome == Outcome("changed")
    assert core.data() == {"mode": b"production", "user": b"web", "password": b"s1"}
    status = core.cluster.synced_secret(KEY)["status"]
    assert status["sources"] == [
        {
            "service": "SecretsManager",
            "name": "app",
            "arn": secret.arn,
            "versionID": secret.staged("AWSCURRENT"),
        }
    ]
    assert core.ready().items() >= {"status": "True", "reason": "Synced", "observedGeneration": 1}.items()
    assert core.events == [("Normal", "Synced", "Secret created with keys mode, password, user")]


async def test_a_reconcile_of_what_has_not_changed_writes_nothing(core):
    core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    writes = list(core.cluster.writes)
    assert await reconcile(core) == Outcome("unchanged")
    assert core.cluster.writes == writes
    assert core.calls == {"GetSecretValue": 1}


async def test_the_refresh_interval_of_the_spec_is_part_of_the_outcome(core):
    outcome = await sync(core, literal("a", "1"), refreshInterval="10m")
    assert outcome.refresh_after == 600
    assert core.reconciler.in_step(KEY) == Outcome("unchanged", refresh_after=600)


async def test_what_the_go_operator_accepts_is_read_as_it_does_and_the_condition_says_so(core):
    core.world.create("app", '{"k": "1"}')
    twice = {"secretRef": {"name": "app"}, "secretKeyRef": {"name": "app", "key": "k"}}
    await sync(core, {"name": "a"}, {"name": "b", "value": "x", "valueFrom": twice})
    assert core.data() == {"b": b"1"}
    assert core.ready()["message"] == (
        "1 key from 1 AWS secret; data[0] (a) has no value and is skipped; data[1] (b) has value and valueFrom, and "
        "valueFrom is used; data[1] (b) has secretRef and secretKeyRef, and secretKeyRef is used"
    )


async def test_a_spec_without_data_makes_an_empty_secret_and_empties_none(core):
    await sync(core)
    assert core.data() == {}
    assert core.ready()["message"] == "0 keys; the spec has neither data nor dataFrom, so the Secret has no keys"
    await sync(core, literal("a", "1"))
    core.cluster.put(synced_secret(generation=3))
    refused = await failure(core)
    assert "spec has no value for any key, and Secret team/demo has 1 key" in refused.message
    assert core.data() == {"a": b"1"}


# What is there


async def test_a_deleted_object_leaves_nothing_behind(core):
    core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    assert [ref.id for ref in core.index.refs()] == ["app"]
    core.cluster.remove(SYNCED_SECRETS, KEY)
    assert await reconcile(core) == Outcome("gone")
    assert core.index.refs() == ()
    assert core.reconciler.in_step(KEY) is None
    assert not core.reconciler._records._records
    assert not core.reconciler._refreshes._last


@pytest.mark.parametrize("what", ["object", "namespace"])
async def test_what_is_being_deleted_is_left_alone(core, what):
    core.cluster.put(synced_secret(literal("a", "1")))
    doomed = (SYNCED_SECRETS, KEY) if what == "object" else (NAMESPACES, TEAM)
    core.cluster.edit(*doomed, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert await reconcile(core) == Outcome("gone")
    assert core.cluster.writes == []


async def test_an_object_waits_for_its_namespace_without_a_change_of_its_status(core):
    core.cluster.put(synced_secret(literal("a", "1"), namespace="late"))
    late = Key("late", "demo")
    problem = await failure(core, late)
    assert isinstance(problem, Unavailable)
    assert "namespace late" in problem.message
    assert core.cluster.writes == []
    core.cluster.put(namespace("late"))
    await reconcile(core, late)
    assert core.data(late) == {"a": b"1"}


async def reading(core, item):
    """The reconcile of an object with this item, in the middle of its call to AWS."""
    core.world.create("app", "x")
    core.aws.api.latency = 1.0
    core.cluster.put(synced_secret(item))
    await shown(core)
    running = asyncio.create_task(core.reconciler.reconcile(KEY))
    await asyncio.sleep(0.5)
    return running


def suspend(core):
    core.cluster.edit(SYNCED_SECRETS, KEY, {"spec": {"suspend": True}, "metadata": {"generation": 3}})


def withdraw(core):
    core.cluster.edit(NAMESPACES, TEAM, {"metadata": {"annotations": {ANNOTATION: '["other"]'}}})


CLOSED = {
    "suspended": suspend,
    "withdrawn": withdraw,
    "deleted": lambda core: core.cluster.remove(SYNCED_SECRETS, KEY),
}


@pytest.mark.parametrize("how", CLOSED)
@pytest.mark.parametrize("before", ["read again", "another type"])
async def test_access_that_ends_while_the_secret_itself_is_read_ends_before_the_write(core, how, before):
    await sync(core, literal("a", "1"))
    spec = {"type": "example.com/x", "recreateOnTypeChange": True} if before == "another type" else {}
    core.cluster.put(synced_secret(literal("a", "2"), **spec))
    await shown(core)
    original, asked = core.cluster.refuse, []

    def refuse(verb, plural, key):
        """Somebody else writes the Secret, so that it is read again, or a dry run takes a moment."""
        if plural == "secrets" and not asked:
            asked.append(verb)
            CLOSED[how](core)
            if verb == "patch":
                return KubeError(409, "Conflict", "modified")
        return original(verb, plural, key)

    core.cluster.refuse, core.cluster.latency, core.cluster.lag = refuse, 1.0, 0.0
    with contextlib.suppress(Rejected):
        await core.reconciler.reconcile(KEY)
    assert asked == ["dry run" if before == "another type" else "patch"]
    assert core.data() == {"a": b"1"}


async def test_an_object_that_goes_while_its_values_are_read_gets_no_secret(core):
    running = await reading(core, whole("a", "app"))
    core.cluster.remove(SYNCED_SECRETS, KEY)
    assert await running == Outcome("gone")
    assert core.cluster.writes == []


async def test_an_object_recreated_while_the_old_one_is_reconciled_gets_its_own_content(core):
    running = await reading(core, whole("old", "app"))
    core.cluster.remove(SYNCED_SECRETS, KEY)
    core.cluster.put(synced_secret(literal("new", "1"), uid="another"))
    assert await running == Outcome("gone")
    assert core.data() == {}
    await reconcile(core)
    assert core.data() == {"new": b"1"}
    assert core.cluster.synced_secret(KEY)["status"]["sources"] == []


async def test_an_edit_during_a_reconcile_is_not_taken_for_reconciled(core):
    running = await reading(core, whole("a", "app"))
    core.cluster.put(synced_secret(whole("b", "app")))
    assert await running == Outcome("unchanged", None)
    await shown(core)
    assert core.reconciler.in_step(KEY) is None
    await reconcile(core)
    assert core.data() == {"b": b"x"}
    assert core.ready()["observedGeneration"] == 2


async def test_after_an_edit_nothing_is_reported_of_a_secret_that_is_as_it_was_wanted(core):
    await sync(core, literal("a", "x"))
    running = await reading(core, whole("a", "app"))
    core.cluster.put(synced_secret(literal("b", "1")))
    writes = list(core.cluster.writes)
    assert await running == Outcome("unchanged", None)
    assert core.cluster.writes == writes
    assert core.ready()["observedGeneration"] == 1


async def test_an_edit_that_is_not_valid_leaves_the_secret_as_it_is_until_one_that_is(core):
    core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    core.cluster.put(synced_secret(whole("a", "app"), refreshInterval="soon"))
    assert isinstance(await failure(core), Rejected)
    assert core.ready().items() >= {"status": "False", "reason": "InvalidSpec", "observedGeneration": 2}.items()
    assert core.data() == {"a": b"x"}
    assert core.index.refs() == ()  # whatever it meant to read
    core.cluster.put(synced_secret(whole("b", "app")))
    await reconcile(core)
    assert core.data() == {"b": b"x"}


# Suspended


async def test_a_suspended_object_is_not_synced_until_it_is_resumed(core):
    core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    core.cluster.put(synced_secret(whole("b", "app"), suspend=True))
    assert await reconcile(core) == Outcome("changed", Reason.SUSPENDED)
    assert await reconcile(core) == Outcome("unchanged", Reason.SUSPENDED)
    assert core.reconciler.in_step(KEY) is None
    assert core.data() == {"a": b"x"}
    assert core.ready()["reason"] == "Suspended"
    core.cluster.put(synced_secret(whole("b", "app")))
    await reconcile(core)
    assert core.data() == {"b": b"x"}
    assert core.ready()["reason"] == "Synced"


# Several objects for one Secret


async def test_of_two_objects_for_one_secret_the_older_has_it_and_the_other_takes_over(core):
    old, young = Key("team", "old"), Key("team", "young")
    for number, owner in enumerate((old, young)):
        obj = synced_secret(literal("by", owner.name), name=owner.name, uid=owner.name, target={"name": "shared"})
        obj["metadata"]["creationTimestamp"] = f"2026-01-0{number + 1}T00:00:00Z"
        core.cluster.put(obj)
    await reconcile(core, old)
    problem = await failure(core, young)
    assert (type(problem), problem.reason) == (Rejected, Reason.CONFLICT)
    assert "older SyncedSecret old" in core.ready(young)["message"]
    assert core.data(Key("team", "shared")) == {"by": b"old"}
    core.cluster.remove(SYNCED_SECRETS, old)
    await reconcile(core, young)
    assert core.data(Key("team", "shared")) == {"by": b"young"}
    assert core.ready(young)["reason"] == "Synced"


# Who may read


async def test_a_role_that_the_namespace_does_not_allow_reads_nothing(core):
    core.world.create("app", "x")
    core.cluster.put(namespace(roles=["another"]))
    core.cluster.put(synced_secret(whole("a", "app"), IAMRole="reader"))
    assert (await failure(core)).reason == Reason.ROLE_NOT_ALLOWED
    assert core.calls == {}
    assert core.data() == {}
    assert core.ready()["reason"] == "RoleNotAllowed"
    core.cluster.put(namespace(roles=["reader"]))
    await reconcile(core)
    assert core.data() == {"a": b"x"}
    assert {identity for _, identity, _ in core.aws.api.asked} == {core.aws.reader}


async def test_a_bare_role_name_waits_for_the_operators_account_and_a_whole_arn_does_not(core):
    core.world.create("app", "x")
    api = core.aws.api
    api.known_account, answers = None, api.account

    async def no_answer():
        raise Unavailable(Reason.AWS_UNAVAILABLE, "STS does not answer")

    api.account = no_answer
    core.cluster.put(synced_secret(whole("a", "app"), IAMRole="reader"))
    failed = await failure(core)
    assert failed.reason == Reason.AWS_UNAVAILABLE
    assert failed.message.endswith("(sts:GetCallerIdentity): STS does not answer")
    core.cluster.put(synced_secret(whole("a", "app"), IAMRole=core.aws.reader.role))
    await reconcile(core)
    assert core.data() == {"a": b"x"}
    core.cluster.put(synced_secret(whole("b", "app"), IAMRole="reader"))
    assert (await failure(core)).reason == Reason.AWS_UNAVAILABLE

    async def answer():
        api.known_account = await answers()
        return api.known_account

    api.account = answer
    await reconcile(core)
    assert core.data() == {"b": b"x"}


async def test_what_does_not_need_the_operators_account_does_not_wait_for_it(core):
    core.world.create("app", "x")
    core.aws.api.known_account = None
    core.aws.api.account = asyncio.Event().wait
    busy = LongWork(patience=1.0, is_needed=lambda: True)
    core.cluster.put(synced_secret(whole("a", "app"), IAMRole="reader"))
    await shown(core)
    with pytest.raises(StillWaiting):
        await core.reconciler.reconcile(KEY, busy)
    assert "status" not in core.cluster.synced_secret(KEY)
    core.cluster.put(synced_secret(whole("a", "app"), IAMRole=core.aws.reader.role))
    await shown(core)
    await core.reconciler.reconcile(KEY, busy)
    assert core.data() == {"a": b"x"}


async def test_an_invalid_entry_of_the_annotation_is_logged_and_affects_no_other_entry(core, caplog):
    core.world.create("app", "x")
    core.cluster.put(namespace(roles=["reader", "no role!"]))
    await sync(core, whole("a", "app"), IAMRole="reader")
    assert core.data() == {"a": b"x"}
    (record,) = [record for record in caplog.records if record.message == "annotation entry skipped"]
    assert "no role!" in record.error


# Out of step


async def in_step(core: Core) -> Outcome | None:
    await shown(core)
    return core.reconciler.in_step(KEY)


async def test_an_object_that_was_never_reconciled_is_not_in_step(core):
    core.cluster.put(synced_secret(literal("a", "1")))
    assert await in_step(core) is None


OUT_OF_STEP = {
    "its spec is edited": lambda c: c.cluster.put(synced_secret(whole("b", "app"))),
    "it is being deleted": lambda c: c.cluster.edit(
        SYNCED_SECRETS, KEY, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    ),
    "it is deleted": lambda c: c.cluster.remove(SYNCED_SECRETS, KEY),
    "a refresh is asked for": lambda c: c.cluster.edit(
        SYNCED_SECRETS, KEY, {"metadata": {"annotations": {REFRESH_ANNOTATION: "now"}}}
    ),
    "its Secret is edited": lambda c: c.cluster.edit(SECRETS, KEY, {"data": {"a": "Mg=="}}),
    "its Secret is deleted": lambda c: c.cluster.remove(SECRETS, KEY),
    "its namespace changes": lambda c: c.cluster.edit(NAMESPACES, TEAM, {"metadata": {"annotations": {ANNOTATION: "[]"}}}),
    "its namespace is deleted": lambda c: c.cluster.remove(NAMESPACES, TEAM),
    "an older object claims its Secret": lambda c: c.owners.note(
        Key("team", "older"),
        {"metadata": {"name": "older", "namespace": "team", "creationTimestamp": "2020"}, "spec": {"target": {"name": "demo"}}},
    ),
    "its value is stale": lambda c: c.aws.cache.invalidate(["app"]),
}  # fmt: skip


@pytest.mark.parametrize("change", OUT_OF_STEP.values(), ids=OUT_OF_STEP)
async def test_an_object_is_in_step_until(core, change):
    core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    assert await in_step(core) == Outcome("unchanged")
    change(core)
    assert await in_step(core) is None


async def test_an_object_is_out_of_step_once_aws_lists_another_version(core):
    core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    core.world.put("app", "y")
    assert await in_step(core) == Outcome("unchanged")  # nobody knows yet
    await core.list_aws()
    assert await in_step(core) is None
    await reconcile(core)
    assert core.data() == {"a": b"y"}


async def test_an_object_is_out_of_step_once_find_would_select_others(core):
    core.world.create("app/one", '{"a": "1"}', tags={"app": ""})
    await sync(core, dataFrom={"find": {"tagKey": "app", "merge": True}})
    core.world.create("elsewhere", "x")
    await core.list_aws()
    assert await in_step(core) == Outcome("unchanged")
    core.world.create("app/two", '{"b": "2"}', tags={"app": ""})
    await core.list_aws()
    assert await in_step(core) is None
    await reconcile(core)
    assert core.data() == {"a": b"1", "b": b"2"}


async def test_an_object_that_failed_is_out_of_step_until_it_works_again(core):
    core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    core.world.delete("app")
    await core.list_aws()
    assert (await failure(core)).reason == Reason.SECRET_NOT_FOUND
    assert await in_step(core) is None
    core.world.restore("app")
    await core.list_aws()
    assert await in_step(core) is None  # the status still tells of the failure
    await reconcile(core)
    assert core.ready()["status"] == "True"
    assert core.events[-1] == ("Normal", "Synced", "in sync with AWS again")


async def test_an_object_that_failed_is_out_of_step_even_if_the_world_is_again_as_it_was(core):
    core.world.create("app", "x")
    core.cluster.put(namespace(roles=["reader"]))
    await sync(core, whole("a", "app"), IAMRole="reader")
    core.cluster.put(namespace(roles=[]))
    await failure(core)
    core.cluster.put(namespace(roles=["reader"]))
    assert await in_step(core) is None
    await reconcile(core)
    assert core.ready()["reason"] == "Synced"


async def test_what_an_optional_secret_left_out_is_asked_for_at_each_resync(core):
    core.world.create("app", "x")
    optional = {"name": "b", "valueFrom": {"secretRef": {"name": "later", "optional": True}}}
    await sync(core, whole("a", "app"), optional)
    assert core.data() == {"a": b"x"}
    assert await in_step(core) is None
    core.world.create("later", "y")
    await core.list_aws()
    await reconcile(core)
    assert core.data() == {"a": b"x", "b": b"y"}
    assert await in_step(core) == Outcome("unchanged")


async def test_where_tags_decide_over_access_each_resync_asks_for_them(core):
    tag = f"{NAMESPACE_TYPE_TAG}web"
    core.world.role("secret-syncer")
    core.world.create("app", "x", tags={tag: "1"})
    core.cluster.put(namespace(labels={NAMESPACE_TYPE_LABEL: "web"}))
    await sync(core, whole("a", "app"), AWSAccountID="123456789012")
    assert core.data() == {"a": b"x"}
    assert await in_step(core) is None
    core.world.tag("app", {tag: None})
    await core.list_aws()
    assert (await failure(core)).reason == Reason.ROLE_NOT_ALLOWED


# Reads on demand


async def test_the_refresh_annotation_has_a_value_read_again_that_no_listing_shows(core):
    core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    core.world.freeze_lists()
    core.world.put("app", "y")
    await core.list_aws()
    await reconcile(core)
    assert core.data() == {"a": b"x"}
    core.cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"annotations": {REFRESH_ANNOTATION: "1"}}})
    await reconcile(core)
    assert core.data() == {"a": b"y"}
    before = core.calls.copy()
    await reconcile(core)
    assert core.calls == before  # once for each value of the annotation
    core.world.put("app", "z")
    core.cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"annotations": {REFRESH_ANNOTATION: "2"}}})
    assert (await reconcile(core)).refresh_after == MIN_REFRESH
    assert core.data() == {"a": b"y"}  # the last refresh was not long ago
    await asyncio.sleep(MIN_REFRESH)
    await reconcile(core)
    assert core.data() == {"a": b"z"}


async def test_after_the_refresh_interval_a_template_reads_again_what_it_reads(templates):
    core = templates
    core.world.create("app", "x")
    await sync(core, template("a", '{{ getSecretValue (printf "%s" "app") }}'), refreshInterval="1m")
    core.world.freeze_lists()
    core.world.put("app", "y")
    await asyncio.sleep(50)
    await reconcile(core)
    assert core.data() == {"a": b"x"}
    await asyncio.sleep(10)
    assert core.reconciler.in_step(KEY) is None
    await reconcile(core)
    assert core.data() == {"a": b"y"}


async def test_a_refresh_ends_also_if_aws_is_slow_and_others_need_the_worker(templates):
    core = templates
    core.world.create("app", "x")
    item = template("a", '{{ getSecretValue (printf "%s" "app") }}')
    await sync(core, item)
    core.world.freeze_lists()
    core.world.put("app", "y")
    core.aws.api.latency = 1.0
    core.cluster.put(synced_secret(item, literal("b", "1")))  # so that it is not known what it reads
    core.cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"annotations": {REFRESH_ANNOTATION: "1"}}})
    await shown(core)
    for _ in range(3):
        with contextlib.suppress(StillWaiting):
            await core.reconciler.reconcile(KEY, LongWork(patience=0.5, is_needed=lambda: True))
        await asyncio.sleep(2.0)
    assert core.data() == {"a": b"y", "b": b"1"}
    assert core.calls == {"GetSecretValue": 2}


NOTHING_IS_KEPT = {"FEW": 0, "MOST_REFS": 0}


@pytest.mark.parametrize("case", ["little is kept of it", "edited at the same time"])
@pytest.mark.parametrize("read", ["template", "search"])
async def test_the_refresh_annotation_counts_for_whatever_the_object_reads(templates, monkeypatch, case, read):
    core = templates
    core.world.create("app", "x", tags={"t": "1"})
    await core.list_aws()
    if case == "little is kept of it":
        for name, limit in NOTHING_IS_KEPT.items():
            monkeypatch.setattr(dependencies, name, limit)
    item = template("a", '{{ getSecretValue (printf "%s" "app") }}')
    spec = {"dataFrom": {"find": {"name": {"regexp": "^app$"}}}} if read == "search" else {}
    items = [] if read == "search" else [item]
    await sync(core, *items, **spec)
    core.world.freeze_lists()
    core.world.put("app", "y")
    await core.list_aws()
    if case == "edited at the same time":
        items.append(literal("b", "1"))
    core.cluster.put(synced_secret(*items, **spec))
    core.cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"annotations": {REFRESH_ANNOTATION: "1"}}})
    await reconcile(core)
    assert b"y" in core.data().values()
    before = core.calls.copy()
    await reconcile(core)
    assert core.calls == before


# A status that is not stored


async def test_a_status_that_is_not_stored_because_of_a_conflict_is_written_later(core):
    secret = core.world.create("app", "x")
    await sync(core, whole("a", "app"))
    core.world.put("app", "y")
    await core.list_aws()
    conflicts = [KubeError(409, "Conflict", "modified")]
    core.cluster.refuse = lambda verb, plural, key: (
        conflicts.pop() if conflicts and plural == "syncedsecrets" else None
    )
    assert isinstance(await failure(core), Unavailable)
    assert core.reconciler.in_step(KEY) is None
    await reconcile(core)
    assert core.data() == {"a": b"y"}
    assert core.cluster.synced_secret(KEY)["status"]["currentVersionID"] == secret.staged("AWSCURRENT")


# What it depends on


async def test_a_failure_waits_for_the_secret_that_it_misses_and_for_no_other(core):
    core.cluster.put(synced_secret(whole("a", "app")))
    await core.list_aws()
    assert (await failure(core)).reason == Reason.SECRET_NOT_FOUND
    assert [ref.id for ref in core.index.refs()] == ["app"]
    assert core.index.by_ids(["app"]) == {KEY}
    assert core.index.by_ids(["other"]) == set()


@pytest.fixture
def no_room(monkeypatch):
    """Nothing is kept of what objects read."""
    monkeypatch.setattr(dependencies, "FEW", 0)
    monkeypatch.setattr(dependencies, "MOST_REFS", 0)


async def test_an_object_that_reads_too_much_for_its_inputs_to_be_kept_is_synced_all_the_same(no_room, core):
    core.world.create("app/one", '{"a": "1"}', tags={"app": ""})
    await sync(core, dataFrom={"find": {"tagKey": "app", "merge": True}})
    assert core.index.refs() == ()
    assert await in_step(core) is None
    before = list(core.cluster.writes)
    await reconcile(core)
    assert core.cluster.writes == before
    async with core.running():
        core.world.put("app/one", '{"a": "2"}')
        await core.list_aws()
        await asyncio.sleep(1)
    assert core.data() == {"a": b"2"}
    core.world.delete("app/one", force=True)
    await core.list_aws()
    assert (await failure(core)).reason == Reason.SECRET_NOT_FOUND
    assert core.data() == {"a": b"2"}


async def test_an_object_that_uses_too_much_waits_for_the_listing_if_what_it_read_is_not_kept(
    no_room, core, monkeypatch
):
    core.world.create("app", "xxxxx")
    core.cluster.put(synced_secret(whole("a", "app")))
    await core.list_aws()
    monkeypatch.setattr(core.reconciler._contents, "_limits", Limits(fetched=3))
    assert "the limit is 3" in (await failure(core)).message
    before = core.calls.copy()
    assert "the limit is 3" in (await failure(core)).message
    assert core.calls == before
    core.world.put("app", "x")
    await core.list_aws()
    await reconcile(core)
    assert core.data() == {"a": b"x"}


async def uses_too_much(core, monkeypatch, **spec):
    """An object that reads a long value, which no listing shows."""
    core.world.freeze_lists()
    core.world.create("app", "xxxxx")
    monkeypatch.setattr(core.reconciler._contents, "_limits", Limits(fetched=3))
    core.cluster.put(synced_secret(whole("a", "app"), **spec))


async def test_what_no_listing_shows_is_read_again_later_and_less_and_less_often_if_it_is_not_kept(
    no_room, core, monkeypatch
):
    await uses_too_much(core, monkeypatch)

    async def poll(hours):
        for _ in range(int(hours * 30)):
            await core.list_aws()
            await asyncio.sleep(120)

    async with core.running():
        await poll(1)
        assert core.ready()["reason"] == "InvalidSpec"
        assert 3 < core.calls["GetSecretValue"] < 8
        await poll(10)
        assert 12 < core.calls["GetSecretValue"] < 26
        core.world.put("app", "x")
        await poll(2)
        assert core.data() == {"a": b"x"}


@pytest.mark.parametrize("limits", [Limits(reads=0), Limits(fetched=3), Limits(produced=3), Limits(keys=0)])
@pytest.mark.parametrize("also", ["", "missing"])
async def test_an_object_that_exceeds_a_limit_is_rendered_again_later_and_less_and_less_often(
    core, monkeypatch, limits, also
):
    core.world.create("app", '{"k": "xxxxx"}')
    contents, rendered = core.reconciler._contents, []
    render = contents.render

    async def counted(*args, **options):
        rendered.append(args)
        return await render(*args, **options)

    monkeypatch.setattr(contents, "_limits", limits)
    monkeypatch.setattr(contents, "render", counted)
    first = [whole("b", also)] if also else []
    core.cluster.put(synced_secret(*first, whole("a", "app"), dataFrom=all_keys("app")))
    await core.list_aws()
    async with core.running():
        await asyncio.sleep(3600)
        assert "the limit is" in core.ready()["message"]
        assert 3 < len(rendered) < 8
        monkeypatch.setattr(contents, "_limits", Limits())  # as if it had taken less of the processor
        core.world.create("missing", "x")
        await asyncio.sleep(2 * 3600)
    assert core.data().keys() == {"a", "k"} | ({"b"} if also else set())


async def test_after_a_search_that_exceeds_a_limit_nothing_is_read(core, monkeypatch):
    core.world.create("app", "x")
    monkeypatch.setattr(core.reconciler._contents, "_limits", Limits(cpu_seconds=0.0))
    core.cluster.put(synced_secret(whole("a", "app"), dataFrom={"find": {"name": {"regexp": "^app$"}}}))
    await core.list_aws()
    assert "the limit is 0.0 s" in (await failure(core)).message
    assert core.calls == {}


async def test_a_refresh_ends_the_failure_of_an_object_that_uses_too_much(no_room, core, monkeypatch):
    await uses_too_much(core, monkeypatch, refreshInterval="1m")
    assert "the limit is 3" in (await failure(core)).message
    core.world.put("app", "x")
    await asyncio.sleep(50)
    assert "the limit is 3" in (await failure(core)).message
    await asyncio.sleep(10)
    await reconcile(core)
    assert core.data() == {"a": b"x"}


async def test_a_template_that_fails_waits_for_any_change_of_the_listing(templates):
    core = templates
    await core.list_aws()
    core.cluster.put(synced_secret(template("a", '{{ getSecretValue "missing" }}')))
    async with core.running():
        await asyncio.sleep(1)
        assert core.ready()["reason"] == "SecretNotFound"
        core.world.create("missing", "x")
        await core.list_aws()
        await asyncio.sleep(1)
    assert core.data() == {"a": b"x"}


async def test_a_template_depends_on_what_it_read_once_it_works(templates):
    core = templates
    core.world.create("app", "x")
    await sync(core, template("a", '{{ getSecretValue "app" }}'))
    assert [ref.id for ref in core.index.refs()] == ["app"]
    core.world.create("other", "x")
    old = core.aws.catalogue
    new = await core.aws.poll()
    assert core.index.affected(old, new, diff(old, new), set()) == set()
    core.cluster.put(synced_secret(literal("a", "1")))
    await reconcile(core)
    assert core.index.refs() == ()


# Prefetch


@pytest.mark.parametrize("core", [False], ids=["kept"], indirect=True)  # the spec of a stub is not known
async def test_values_are_prefetched_in_full_batches(core):
    for number in range(40):
        core.world.create(f"app-{number}", "x")
        core.cluster.put(synced_secret(whole("a", f"app-{number}"), name=f"demo-{number}", uid=f"uid-{number}"))
    await core.list_aws()
    async with core.running():
        await asyncio.sleep(5)
    assert core.count("changed") == 40
    assert core.calls == {"BatchGetSecretValue": 2}


@pytest.fixture
def _patient(monkeypatch):
    """Objects are prefetched however busy this machine is."""
    monkeypatch.setattr("secretsyncer.sync.reconcile.LONGEST", inf)


async def start(limits, objects):
    """The calls to AWS of a start with these objects (namespace, role), each with a secret of its own."""
    core = Core(**limits)
    for name in dict.fromkeys(name for name, _ in objects):
        core.cluster.put(namespace(name))
    for number, (name, role) in enumerate(objects):
        core.world.role(role)
        core.world.create(f"app-{number}", "x" * 10_000)
        of = {"name": f"demo-{number}", "namespace": name, "uid": f"uid-{number}"}
        core.cluster.put(synced_secret(whole("a", f"app-{number}"), **of, IAMRole=role))
    core.cluster.latency = 0.02
    await core.list_aws()
    async with core.running(8):
        await asyncio.sleep(10)
    assert core.count("changed") == len(objects)
    return core.calls


@pytest.mark.usefixtures("_patient")
@pytest.mark.parametrize("limits", [{"max_bytes": 1_800_000}, {"max_values": 175}], ids=str)
async def test_at_a_start_no_more_values_are_prefetched_than_the_cache_holds(limits):
    """AWS is faster than the API server: what is evicted before a worker takes its object would be read again."""
    assert await start(limits, [("team", "reader")] * 300) == {"BatchGetSecretValue": 15}


@pytest.mark.usefixtures("_patient")
async def test_at_a_start_the_values_of_objects_that_workers_take_first_come_first():
    """Namespaces take turns."""
    objects = [(f"team-{number // 10}", "reader") for number in range(300)]
    assert await start({"max_values": 175}, objects) == {"BatchGetSecretValue": 15}


@pytest.mark.usefixtures("_patient")
async def test_at_a_start_the_batches_of_each_role_are_full_however_far_apart_its_objects_are():
    objects = [("team", f"role-{number % 20}") for number in range(400)]
    assert await start({}, objects) == {"BatchGetSecretValue": 20}


@pytest.mark.usefixtures("_patient")
async def test_at_a_start_the_batches_of_each_role_stay_full_though_the_cache_is_small():
    objects = [(f"team-{number // 40}", f"role-{number // 40}") for number in range(400)]
    assert await start({"max_values": 350}, objects) == {"BatchGetSecretValue": 10 * 2}


@pytest.mark.parametrize("core", [False], ids=["kept"], indirect=True)
async def test_what_nobody_expected_of_one_object_prevents_no_prefetch_of_others(core, monkeypatch):
    authorize = core.reconciler._gate.authorize

    def crash(synced, namespace):
        if synced.key.name == "broken":
            raise KeyError("what nobody expected")
        return authorize(synced, namespace)

    monkeypatch.setattr(core.reconciler._gate, "authorize", crash)
    core.world.create("app", "x")
    core.cluster.put(synced_secret(whole("a", "app"), name="broken", uid="uid-2"))
    core.cluster.put(synced_secret(whole("a", "app")))
    await core.list_aws()
    async with core.running():
        await asyncio.sleep(5)
    assert core.data() == {"a": b"x"}
    assert core.count("bug") > 0


@pytest.mark.parametrize("core", [False], ids=["kept"], indirect=True)
async def test_objects_beyond_the_time_for_prefetching_are_left_to_their_reconciles(core, monkeypatch):
    core.world.create("app", "x")
    core.cluster.put(synced_secret(whole("a", "app")))
    await core.list_aws()
    await shown(core)
    monkeypatch.setattr("secretsyncer.sync.reconcile.LONGEST", 0)
    core.reconciler.prefetch([KEY])
    await asyncio.sleep(1)
    assert not core.calls
    await reconcile(core)
    assert core.data() == {"a": b"x"}


def needs(core: Core) -> float:
    """Renders that ended with a need for more secrets."""
    return core.registry.get_sample_value("secretsyncer_template_renders_total", {"outcome": "needs"})


async def test_what_a_template_read_last_time_is_prefetched(templates):
    core = templates
    for name in "abc":
        core.world.create(name, "x")
    text = '{{ getSecretValue "a" }}{{ getSecretValue "b" }}{{ getSecretValue "c" }}'
    await sync(core, template("t", text))
    for name in "abc":
        core.world.put(name, "y")
    await core.list_aws()
    before = core.calls.copy()
    core.reconciler.prefetch([KEY])
    await asyncio.sleep(1)
    assert core.calls - before == {"BatchGetSecretValue": 1}
    before, rounds = core.calls.copy(), needs(core)
    await reconcile(core)
    assert (core.calls, needs(core)) == (before, rounds)
    assert core.data() == {"t": b"yyy"}


@pytest.mark.parametrize(("count", "calls"), [(20, 1), (21, 2), (100, 5)])
async def test_the_secrets_of_a_filter_are_read_in_full_batches_from_the_first_one_on(templates, count, calls):
    core = templates
    for number in range(count):
        core.world.create(f"app-{number:03}", "x", tags={"team": ""})
    await core.list_aws()
    text = '{{ range $name, $_ := filterByTagKey .Secrets "team" }}{{ getSecretValue $name }}{{ end }}'
    await sync(core, template("t", text))
    assert core.data() == {"t": b"x" * count}
    assert core.calls.total() == calls


@pytest.mark.parametrize(
    "spec",
    [
        {"suspend": True},
        {"IAMRole": "refused"},
        {"AWSAccountID": "123456789012"},
        {"refreshInterval": "soon"},
    ],
    ids=json.dumps,
)
async def test_what_is_not_known_to_be_granted_is_not_prefetched(core, spec):
    core.world.create("app", "x")
    core.world.role("refused")
    core.world.role("secret-syncer")
    core.cluster.put(namespace(roles=["secret-syncer", "reader"], labels={NAMESPACE_TYPE_LABEL: "web"}))
    role = {} if "AWSAccountID" in spec else {"IAMRole": "reader"}
    core.cluster.put(synced_secret(whole("a", "app"), **(role | spec)))
    await core.list_aws()
    await shown(core)
    core.reconciler.prefetch([KEY, Key("team", "gone")])
    await asyncio.sleep(1)
    assert core.calls == {}


async def test_one_key_of_a_secret_is_enough(core):
    core.world.create("app", '{"user": "web", "password": "s1"}')
    await sync(core, key("name", "app", "user"))
    assert core.data() == {"name": b"web"}


# A target that the object does not name any more


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("policy", "stays"), [("Delete", False), ("Retain", True)])
async def test_the_former_target_is_given_up_also_if_the_spec_changed_while_no_operator_ran(
    core, policy, stays, restarted
):
    await sync(core, literal("a", "1"), target={"name": "old"}, deletionPolicy="Delete")
    if restarted:
        core.restart()
    await sync(core, literal("a", "1"), target={"name": "new"}, deletionPolicy=policy)
    assert core.data(Key("team", "new")) == {"a": b"1"}
    old = core.cluster.secret(Key("team", "old"))
    assert bool(old) == stays
    assert not (old and old["metadata"]["ownerReferences"])


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    "between",
    [
        {"target": {"name": "new"}, "refreshInterval": "soon"},
        {"target": {"name": "theirs"}},
        {"target": {"name": "theirs"}, "refreshInterval": "soon"},
    ],
    ids=["invalid", "a target that it may not have", "both"],
)
async def test_a_former_target_is_given_up_also_after_an_edit_that_failed(core, between, restarted):
    other = synced_secret(literal("a", "1"), name="theirs", uid="uid-2")
    other["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    core.cluster.put(other)
    delete = {"deletionPolicy": "Delete"}
    await sync(core, literal("a", "1"), target={"name": "old"}, **delete)
    core.cluster.put(synced_secret(literal("a", "1"), **between, **delete))
    assert isinstance(await failure(core), Rejected)
    if restarted:
        core.restart()
    await sync(core, literal("a", "1"), target={"name": "new"}, **delete)
    assert core.data(Key("team", "new")) == {"a": b"1"}
    assert core.cluster.secret(Key("team", "old")) is None


async def test_all_former_targets_are_given_up(core):
    delete = {"deletionPolicy": "Delete"}
    original, refused = core.cluster.refuse, KubeError(503, "ServiceUnavailable", "not now")
    await sync(core, literal("a", "1"), target={"name": "first"}, **delete)
    core.cluster.refuse = lambda verb, plural, key: refused if verb == "delete" else original(verb, plural, key)
    for name in ("second", "third"):
        core.cluster.put(synced_secret(literal("a", "1"), target={"name": name}, **delete))
        assert isinstance(await failure(core), Unavailable)
    core.cluster.refuse = original
    await reconcile(core)
    assert [secret["metadata"]["name"] for secret in core.cluster.all(SECRETS)] == ["third"]


async def test_a_former_target_of_another_object_stays(core):
    await sync(core, literal("a", "1"), target={"name": "old"}, deletionPolicy="Delete")
    core.restart()
    core.cluster.put(synced_secret(literal("a", "1"), name="other", uid="uid-2", target={"name": "old"}))
    core.owners.note(Key("team", "other"), synced_secret(literal("a", "1"), name="other", target={"name": "old"}))
    await sync(core, literal("a", "1"), target={"name": "new"}, deletionPolicy="Delete")
    assert core.data(Key("team", "old")) == {"a": b"1"}


# What is not kept


async def test_an_object_that_is_gone_when_its_spec_is_read_is_left_to_the_watch():
    core = Core(stubs=True)
    core.cluster.lag = 60
    core.cluster.put(synced_secret(literal("a", "1")))
    await shown(core)
    core.cluster.remove(SYNCED_SECRETS, KEY)
    assert await core.reconciler.reconcile(KEY) == Outcome("gone")
    assert core.cluster.writes == []
