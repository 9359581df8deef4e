"""Whatever happens in AWS, and in whatever order: no value crosses identities, none is older than allowed."""

import asyncio

import looptime
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.aws.state import OPERATOR_ACCOUNT, Refused
from secretsyncer.aws.arn import role_account
from secretsyncer.aws.identity import Identity
from secretsyncer.errors import SyncFailure
from tests.support.cache_rig import Rig

FOREIGN = "999999999999"
NAMES = ("a", "b", "c-AbCdEf")
ROLES = ("reader", "other", "stranger")
PLACES = (OPERATOR_ACCOUNT, FOREIGN)

name, place, role = st.sampled_from(NAMES), st.sampled_from(PLACES), st.sampled_from(ROLES)
steps = st.one_of(
    st.tuples(st.sampled_from(["create", "put", "roll_back", "delete", "restore", "force", "lag"]), name, place),
    st.tuples(st.sampled_from(["allow", "forbid"]), role, name),
    st.tuples(st.just("trust"), role, st.booleans()),
    st.tuples(st.just("share"), name, place, role),
    st.tuples(st.just("break"), role, st.sampled_from(["", "ThrottlingException", "InternalServiceError"])),
    st.tuples(st.sampled_from(["poll", "fail", "freeze", "thaw", "recheck"])),
    st.tuples(st.just("wait"), st.sampled_from([0.005, 3, 61])),
    st.tuples(st.just("refresh"), name),
    st.tuples(
        st.just("get"),
        st.lists(
            st.tuples(role, name, place, st.sampled_from(["name", "partial", "full"])), min_size=1, max_size=25
        ),
    ),
)


class Run:
    """Applies steps to a rig and checks each answer."""

    def __init__(self):
        self.rig = Rig(max_values=4)
        self.world = self.rig.world
        self.identities = {
            "reader": self.rig.reader,
            "other": Identity(self.world.role("other", read=[])),
            "stranger": Identity(self.world.role("stranger", account=FOREIGN)),
        }
        self.arns = {}
        self.given_in = {}
        self.texts = {}
        self.broken = {}
        self.rig.api.broken = lambda operation, identity: self.broken.get(identity, "")
        give = self.rig.api._give

        def record(identity, raw):
            value = give(identity, raw)
            self.given_in[identity, value.arn, value.version_id] = self.rig.catalogue.round
            return value

        self.rig.api._give = record

    async def apply(self, step):
        what, *details = step
        try:
            await getattr(self, f"do_{what}")(*details)
        except (KeyError, Refused):
            return  # the step makes no sense in this world

    async def do_create(self, name, place):
        secret = self.world.create(name, f"{place} {name} {len(self.texts)}", account=place)
        self.arns[name, place] = secret.arn
        self.remember(secret)

    async def do_put(self, name, place):
        self.world.put(name, f"{place} {name} {len(self.texts)}", account=place)
        self.remember(self.world.secret(name, account=place))

    def remember(self, secret):
        self.texts |= {(secret.arn, version): value for version, value in secret.versions.items()}

    async def do_roll_back(self, name, place):
        if self.world.secret(name, account=place).staged("AWSPREVIOUS"):
            self.world.roll_back(name, account=place)

    async def do_lag(self, name, place):
        secret = self.world.secret(name, account=place)
        secret.reads_lag_at = "" if secret.reads_lag_at else secret.staged("AWSPREVIOUS")

    async def do_delete(self, name, place):
        self.world.delete(name, account=place)

    async def do_restore(self, name, place):
        self.world.restore(name, account=place)

    async def do_force(self, name, place):
        self.world.delete(name, force=True, account=place)

    async def do_allow(self, role, name):
        rules = self.world.roles[self.identities[role].role]
        rules.read = [*(rules.read or []), f"*{name}*"]

    async def do_forbid(self, role, name):
        self.world.roles[self.identities[role].role].read = [other for other in NAMES if other != name]

    async def do_trust(self, role, trusted):
        self.world.roles[self.identities[role].role].trusted = trusted

    async def do_share(self, name, place, role):
        self.world.secret(name, account=place).shared_with.add(self.identities[role].role)

    async def do_break(self, role, code):
        self.broken[self.identities[role]] = code

    async def do_poll(self):
        await self.rig.poll()

    async def do_fail(self):
        await self.rig.poll(fails=True)

    async def do_freeze(self):
        self.world.freeze_lists()

    async def do_thaw(self):
        self.world.thaw_lists()

    async def do_recheck(self):
        refs = [self.ref(role, name, place, form) for role in ROLES for name in NAMES for place in PLACES
                for form in ("name", "full")]  # fmt: skip
        await self.rig.cache.recheck(refs, self.rig.catalogue)

    async def do_wait(self, seconds):
        await asyncio.sleep(seconds)

    async def do_refresh(self, name):
        self.rig.cache.invalidate([name])

    def ref(self, role, name, place, form):
        arn = self.arns.get((name, place), f"arn:aws:secretsmanager:eu-west-1:{place}:secret:{name}-ZZZZZZ")
        text = {"name": name, "partial": arn[:-7], "full": arn}[form]
        return self.rig.ref(text, self.identities[role])

    async def do_get(self, wanted):
        refs = list(dict.fromkeys(self.ref(*one) for one in wanted))
        catalogue = self.rig.catalogue
        known = {ref: self.rig.cache.known(ref, catalogue) for ref in refs}
        got = await self.rig.cache.get_many(refs, catalogue)
        assert set(got) == set(refs)
        good = [ref for ref in refs if not isinstance(got[ref], SyncFailure)]
        for ref in good:
            self.check(ref, got[ref], known[ref])
        calls = self.rig.api.calls.total()
        fresh = good[-2:]
        again = await self.rig.cache.get_many(fresh, catalogue)
        if len({ref.id for ref in good}) <= 2:
            assert self.rig.api.calls.total() == calls
            assert again == {ref: got[ref] for ref in fresh}

    def check(self, ref, value, known):
        self.check_version(ref, value.name, value.arn, value.version_id)
        if known:  # what was dropped to save memory is known by its version; fetching may show a newer one
            self.check_version(ref, value.name, *known)
        assert value.text == self.texts[value.arn, value.version_id]
        if ref.id.startswith("arn:"):
            assert ref.id in {value.arn, value.arn[:-7]}
        else:
            assert value.name == ref.id
            assert value.arn.split(":")[4] == role_account(ref.identity.role).id

    def check_version(self, ref, name, arn, version_id):
        proof = (ref.identity, arn, version_id)
        assert proof in self.given_in, "AWS never gave this version to this identity"
        listed = self.rig.catalogue.entries.get(name)
        is_listed = listed is not None and (listed.arn, listed.version_id) == (arn, version_id)
        assert is_listed or self.given_in[proof] == self.rig.catalogue.round, "neither listed nor of this round"


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, min_size=5, max_size=60))
def test_every_value_was_given_to_that_identity_and_is_the_listed_or_this_rounds_version(script):
    async def run():
        made = Run()
        for name in NAMES:
            await made.do_create(name, OPERATOR_ACCOUNT)
            await made.do_create(name, FOREIGN)
        await made.do_poll()
        for step in script:
            await made.apply(step)
        await made.rig.cache.aclose()

    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
