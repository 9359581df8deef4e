"""No form of reference bypasses the check of the role: all namespaces, roles, forms, secrets and parameters.

The decision, the cache and the template engine are the operator's; AWS is a world with a policy for each role. What
may be read is told by two tables that know nothing of the code: who the gate lets through as whom, and what each
role reads.
"""

from __future__ import annotations

import json

import pytest

from sandbox.aws.state import OPERATOR_ACCOUNT
from secretsyncer.aws.arn import Account
from secretsyncer.aws.identity import Identity
from secretsyncer.errors import Reason, Rejected, SyncFailure
from secretsyncer.sync.authorize import Grant, Rules, authorize
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.synced_secret import ParameterReference, Parameters, parse
from secretsyncer.synced_secret.spec import (
    DataFrom,
    DataItem,
    Find,
    FindName,
    Keys,
    SecretKeyReference,
    SecretReference,
    ValueFrom,
    ValueReference,
)
from tests.support.builders import ANNOTATION, namespace, synced_secret
from tests.support.cache_rig import Rig

pytestmark = pytest.mark.looptime

HOME = Account("aws", OPERATOR_ACCOUNT)
LABEL = {"k8s.contentful.com/namespace-type": "prod"}
TAG = "k8s.contentful.com/namespace_type/prod"

# Who is let through as whom: namespace -> role that the object names -> the role it reads as; the rest is refused.

NAMESPACES = {
    "open": None,
    "for red": ["red"],
    "for blue": [f"arn:aws:iam::{OPERATOR_ACCOUNT}:role/blue"],
    "for both": ["red", "blue"],
    "for nobody": [],
    "for accounts": ["secret-syncer"],
    "misspelt": "red",
}
ROLES = {
    "none": {},
    "red": {"IAMRole": "red"},
    "blue": {"IAMRole": f"arn:aws:iam::{OPERATOR_ACCOUNT}:role/blue"},
    "account": {"AWSAccountID": OPERATOR_ACCOUNT},
}
LET_THROUGH = {
    "open": {"none", "red", "blue", "account"},
    "for red": {"red"},
    "for blue": {"blue"},
    "for both": {"red", "blue"},
    "for nobody": set(),
    "for accounts": {"account"},
    "misspelt": set(),
}

# What each reads. The operator's own identity reads all that no policy of this test narrows: only red's.

SECRETS = {
    "red/one": {"kind": "red"},
    "blue/one": {"kind": "blue", TAG: "0"},
    "tagged/one": {"kind": "tagged", TAG: "1"},
}
READS = {
    "none": {"red/one"},
    "red": {"red/one"},
    "blue": {"blue/one"},
    "account": {"tagged/one"},
}


PARAMETERS = {f"/{name}": tags for name, tags in SECRETS.items()}
"""Each has a parameter beside it, which the same roles may read."""


def content(name, version="now"):
    return json.dumps({"a": f"value of {name} {version}", "deep": [{"b": f"value of {name} {version}"}]})


def whole(**options):
    return lambda s: {"data": [{"name": "x", "valueFrom": {"secretRef": {"name": s.name, **options}}}]}


def one_key(**options):
    return lambda s: {"data": [{"name": "x", "valueFrom": {"secretKeyRef": {"name": s.name, **options}}}]}


def everything(**options):
    return lambda s: {"dataFrom": {"secretRef": {"name": s.name, **options}}}


def find(**options):
    def spec(secret):
        filled = json.loads(json.dumps(options).replace("KIND", secret.tags["kind"]).replace("NAME", secret.name))
        return {"dataFrom": {"find": filled, "invalidKeys": "Replace"}}

    return spec


def template(text):
    def spec(secret):
        filled = text.replace("KIND", secret.tags["kind"]).replace("NAME", secret.name).replace("ARN", secret.arn)
        return {"data": [{"name": "x", "valueFrom": {"template": filled}}]}

    return spec


def parameter(**options):
    return lambda p: {"data": [{"name": "x", "valueFrom": {"parameterRef": {"name": p.name, **options}}}]}


def parameters(**options):
    return lambda p: {"dataFrom": {"parameters": [filled(options, p)], "invalidKeys": "Replace"}}


def template_of_parameter(text):
    return lambda p: {"data": [{"name": "x", "valueFrom": {"template": filled(text, p)}}]}


def filled(what, parameter):
    """The text, or the fields, for this parameter."""
    words = {"KIND": parameter.tags["kind"], "NAME": parameter.name, "ARN": parameter.arn}
    text = json.dumps(what)
    for word, stands_for in words.items():
        text = text.replace(word, stands_for)
    return json.loads(text)


FORMS = {
    "everything": everything(),
    "everything of an ARN": lambda s: {"dataFrom": {"secretRef": {"name": s.arn}}},
    "everything of a partial ARN": lambda s: {"dataFrom": {"secretRef": {"name": s.arn[:-7]}}},
    "everything before": everything(versionStage="AWSPREVIOUS"),
    "everything pinned": lambda s: everything(versionId=s.staged("AWSPREVIOUS"))(s),
    "everything where it is": everything(region="eu-west-1"),
    "everything optional": everything(optional=True),
    "several": lambda s: {"dataFrom": {"secretRefs": [{"name": s.name}, {"name": s.arn}]}},
    "rewritten": lambda s: {
        "dataFrom": {"secretRef": {"name": s.name}, "rewrite": [{"source": "^", "target": "x_"}]}
    },
    "found by a tag's key": find(tagKey="KIND"),
    "found by a tag": find(tags={"kind": "KIND"}),
    "found by a prefix": find(name={"prefix": "KIND/"}),
    "found by a pattern": find(name={"regexp": "^NAME$"}),
    "found and merged": find(name={"prefix": "KIND/"}, merge=True),
    "whole": whole(),
    "whole of an ARN": lambda s: {"data": [{"name": "x", "valueFrom": {"secretRef": {"name": s.arn}}}]},
    "whole before": whole(versionStage="AWSPREVIOUS"),
    "whole pinned": lambda s: whole(versionId=s.staged("AWSPREVIOUS"))(s),
    "whole, optional": whole(optional=True),
    "whole, with a default": whole(default="none"),
    "key": one_key(key="a"),
    "key before": one_key(key="a", versionStage="AWSPREVIOUS"),
    "key, optional": one_key(key="a", optional=True),
    "path": one_key(jmesPath="deep[0].b"),
    "path over all": one_key(jmesPath="@"),
    "dotted path": one_key(path="deep.0.b"),
    "an entry": lambda s: {"dataFrom": {"entries": [{"secretRef": {"name": s.name}}]}},
    "an entry that finds": lambda s: {
        "dataFrom": {"entries": [{"find": {"tagKey": s.tags["kind"]}, "invalidKeys": "Replace"}]}
    },
    "only for a template": lambda s: {
        "dataFrom": {"secretRef": {"name": s.name}, "templateOnly": True},
        "data": [{"name": "x", "valueFrom": {"template": "{{ .Data.a }}"}}],
    },
    "template": template('{{ getSecretValue "NAME" }}'),
    "template by ARN": template('{{ getSecretValue "ARN" }}'),
    "template of a map": template('{{ (getSecretValueMap "NAME").a }}'),
    "template of a key": template('{{ getSecretKey "NAME" "a" }}'),
    "template with a name made up": template('{{ $n := printf "%s/one" "KIND" }}{{ getSecretValue $n }}'),
    "template over a tag's key": template(
        '{{ range $n, $_ := filterByTagKey .Secrets "KIND" }}{{ getSecretValue $n }}{{ end }}'
    ),
    "template over a tag": template(
        '{{ range $n, $_ := filterByTag .Secrets "kind" "KIND" }}{{ getSecretValue $n }}{{ end }}'
    ),
    "template over names": template(
        '{{ range $n, $_ := filterByName .Secrets "^KIND" }}{{ getSecretValue $n }}{{ end }}'
    ),
    "template over all": template("{{ range $n, $_ := .Secrets }}{{ getSecretValue $n }}{{ end }}"),
    "template beside others": lambda s: {
        "data": [*template('{{ getSecretValue "NAME" }}')(s)["data"], {"name": "y", "value": "plain"}]
    },
}
PARAMETER_FORMS = {
    "parameter": parameter(),
    "parameter of an ARN": lambda p: {"data": [{"name": "x", "valueFrom": {"parameterRef": {"name": p.arn}}}]},
    "parameter pinned": parameter(version=1),
    "parameter with a label": parameter(label="before"),
    "parameter where it is": parameter(region="eu-west-1"),
    "parameter, optional": parameter(optional=True),
    "parameter, with a default": parameter(default="none"),
    "parameter's key": parameter(key="a"),
    "parameter's path": parameter(jmesPath="deep[0].b"),
    "parameter's keys": parameters(name="NAME"),
    "parameter's keys by ARN": parameters(name="ARN"),
    "parameter's keys pinned": parameters(name="NAME", version=1),
    "parameter's keys with a label": parameters(name="NAME", label="before"),
    "parameter's keys where it is": parameters(name="NAME", region="eu-west-1"),
    "parameter's keys, optional": parameters(name="NAME", optional=True),
    "parameters below a path": parameters(path="/KIND/"),
    "parameters directly below a path": parameters(path="/KIND", recursive=False),
    "parameters below a path, merged": parameters(path="/KIND/", merge=True),
    "parameters of an entry": lambda p: {"dataFrom": {"entries": [parameters(path="/KIND/")(p)["dataFrom"]]}},
    "template of a parameter": template_of_parameter('{{ getParameter "NAME" }}'),
    "template of a parameter by ARN": template_of_parameter('{{ getParameter "ARN" }}'),
    "template of a parameter with a name made up": template_of_parameter(
        '{{ $n := printf "/%s/one" "KIND" }}{{ getParameter $n }}'
    ),
    "template of a path": template_of_parameter(
        '{{ range $n, $v := getParameters "/KIND/" }}{{ $n }}={{ $v }}{{ end }}'
    ),
    "template of a path made up": template_of_parameter(
        '{{ $p := printf "/%s/" "KIND" }}{{ range $n, $v := getParameters $p }}{{ $n }}={{ $v }}{{ end }}'
    ),
}
ABOUT_FORM_ONLY = {"decode", "name", "value", "valueFrom", "invalidKeys"}
"""Fields that change what is made of a value or where it goes, not which value is read."""


class Place:
    """A world with three teams' secrets, and one cache that has given every value to whoever may have it."""

    def __init__(self, engine, metrics):
        self.rig = Rig(latency=0)  # the cache is filled before the test begins, and with it virtual time
        self.world = self.rig.world
        self.world.operator.read = ["red/*", "/red/*"]
        self.world.role("red", read=["red/*", "/red/*"])
        self.world.role("blue", read=["blue/*", "/blue/*"])
        self.world.role("secret-syncer")
        for name, tags in SECRETS.items():
            self.world.create(name, content(name, "before"), tags={**tags, tags["kind"]: "yes"})
            self.world.put(name, content(name))
        for name, tags in PARAMETERS.items():
            made = self.world.parameters.put(name, content(name, "before"), tags={**tags, tags["kind"]: "yes"})
            made.labels["before"] = 1
            self.world.parameters.put(name, content(name))
        self.contents = ContentRenderer(self.rig.sources, engine, metrics)

    async def fill_the_cache(self):
        await self.rig.poll()
        await self.rig.poll_parameters()
        for role in ("", *self.world.roles):
            grant = Grant(Identity(role))
            for made in self.world.parameters.all():
                for options in ({}, {"stage": "before"}, {"version_id": "1"}):
                    for name in (made.name, made.arn):
                        ref = grant.ref(name, service="ParameterStore", **options)
                        await self.rig.sources.get_many([ref], self.rig.listings)
        for secret in self.world.by_arn.values():
            for role in ("", *self.world.roles):
                for options in ({}, {"stage": "AWSPREVIOUS"}, {"version_id": secret.staged("AWSPREVIOUS")}):
                    for name in (secret.name, secret.arn):
                        await self.rig.get(name, identity=Identity(role), **options)

    async def read(self, where, who, spec):
        """What the object's Secret would hold, or the failure."""
        checked = parse(synced_secret(**ROLES[who], **spec)).spec
        place = namespace(roles=NAMESPACES[where], labels=LABEL)
        try:
            grant = authorize(checked, place, HOME, Rules(ANNOTATION, require_annotation=False))
            made = await self.contents.render(grant, checked, self.rig.listings)
        except SyncFailure as failure:
            return failure
        return made.data


@pytest.fixture
async def place(engine, metrics):
    made = Place(engine, metrics)
    await made.fill_the_cache()
    yield made
    await made.rig.sources.aclose()


def values_in(answer):
    """The secrets whose values are in there, in whatever form."""
    text = answer.message if isinstance(answer, SyncFailure) else b" ".join(answer.values()).decode()
    return {name for name in (*SECRETS, *PARAMETERS) if f"value of {name} " in text}


@pytest.mark.parametrize("form", PARAMETER_FORMS)
async def test_a_parameter_is_read_only_if_the_rules_and_the_role_allow_it(place, form):
    for where in NAMESPACES:
        for who in ROLES:
            for made in place.world.parameters.all():
                answer = await place.read(where, who, PARAMETER_FORMS[form](made))
                case = f"{where}, {who}, {made.name}: {answer}"
                if who not in LET_THROUGH[where]:
                    assert isinstance(answer, Rejected), case
                    assert answer.reason is Reason.ROLE_NOT_ALLOWED, case
                expected = {made.name} if who in LET_THROUGH[where] and made.name[1:] in READS[who] else set()
                assert values_in(answer) == expected, case


@pytest.mark.parametrize("form", FORMS)
async def test_a_value_is_read_only_if_the_rules_and_the_role_allow_it(place, form):
    for where in NAMESPACES:
        for who in ROLES:
            for secret in list(place.world.by_arn.values()):
                answer = await place.read(where, who, FORMS[form](secret))
                case = f"{where}, {who}, {secret.name}: {answer}"
                if who not in LET_THROUGH[where]:
                    assert isinstance(answer, Rejected), case
                    assert answer.reason is Reason.ROLE_NOT_ALLOWED, case
                    assert values_in(answer) == set(), case
                elif form == "template over all":  # which insists on each: one that is denied fails all
                    assert isinstance(answer, Rejected), case
                    assert values_in(answer) == set(), case
                elif secret.name in READS[who]:
                    assert values_in(answer) == {secret.name}, case
                else:
                    assert values_in(answer) == set(), case


async def test_a_denied_reference_does_not_reach_aws(place):
    place.rig.cache.invalidate(SECRETS)
    place.rig.parameters.invalidate(PARAMETERS)
    await place.rig.poll()
    await place.rig.poll_parameters()
    before = place.rig.api.calls.total()
    for where in NAMESPACES:
        for who in set(ROLES) - LET_THROUGH[where]:
            for form in FORMS.values():
                for secret in list(place.world.by_arn.values()):
                    await place.read(where, who, form(secret))
            for form in PARAMETER_FORMS.values():
                for made in place.world.parameters.all():
                    await place.read(where, who, form(made))
    assert place.rig.api.calls.total() == before


def test_the_forms_above_are_all_that_there_are():
    world = Rig().world
    secret = world.create("red/one", "x", tags={"kind": "red"})
    world.put("red/one", "y")
    made = world.parameters.put("/red/one", "x", tags={"kind": "red"})
    forms = [*(form(secret) for form in FORMS.values()), *(form(made) for form in PARAMETER_FORMS.values())]
    written = json.dumps(forms)
    models = (
        DataFrom,
        DataItem,
        Find,
        FindName,
        Keys,
        ParameterReference,
        Parameters,
        SecretKeyReference,
        SecretReference,
        ValueFrom,
        ValueReference,
    )
    fields = {info.alias or name for model in models for name, info in model.model_fields.items()}
    assert {field for field in fields - ABOUT_FORM_ONLY if f'"{field}":' not in written} == set()
