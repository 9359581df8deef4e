"""Which parameter of a response is for which reference, where one parameter is asked for in several ways."""

from __future__ import annotations

import pytest

from sandbox.aws.state import REGION
from secretsyncer.aws.api.parameterstore import batch_of, selected
from secretsyncer.aws.identity import OPERATOR, SecretRef

ARN = f"arn:aws:ssm:{REGION}:123456789012:parameter/app"


def ref(name="/app", **more):
    return SecretRef(OPERATOR, name, REGION, service="ParameterStore", **more)


def raw(version, selector=None):
    given = {"Name": "/app", "ARN": ARN, "Value": f"value of {version}", "Version": version, "Type": "String"}
    return given if selector is None else {**given, "Selector": selector}


NEWEST, FIRST, LABELLED, BY_ARN = ref(), ref(version_id="1"), ref(stage="live"), ref(ARN)
FIRST_BY_ARN = ref(ARN, version_id="1")


@pytest.mark.parametrize(
    ("refs", "answers", "values"),
    [
        ([NEWEST], [raw(2)], {NEWEST: 2}),
        ([FIRST], [raw(1, ":1")], {FIRST: 1}),
        ([FIRST], [raw(1)], {FIRST: 1}),
        ([NEWEST, BY_ARN], [raw(2), raw(2)], {NEWEST: 2, BY_ARN: 2}),
        ([NEWEST, FIRST, LABELLED], [raw(2), raw(1, ":1"), raw(1, ":live")], {NEWEST: 2, FIRST: 1, LABELLED: 1}),
        ([NEWEST, FIRST_BY_ARN], [raw(1, ":1"), raw(2)], {NEWEST: 2, FIRST_BY_ARN: 1}),
        # Without selectors, it is not known which is which. Each is read alone.
        ([NEWEST, FIRST], [raw(2), raw(1)], {}),
        ([FIRST, NEWEST], [raw(1), raw(2)], {}),
        ([NEWEST, FIRST, LABELLED], [raw(2), raw(1), raw(1)], {}),
        ([NEWEST, FIRST_BY_ARN], [raw(2), raw(1)], {}),
        ([NEWEST], [raw(1, ":1")], {}),
        ([FIRST], [raw(2, ":2")], {}),
    ],
)
def test_a_value_is_for_those_who_asked_for_it(refs, answers, values):
    batch = batch_of({selected(each): each for each in refs}, {"Parameters": answers})
    assert {each: int(value.version_id.partition("@")[0]) for each, value in batch.values.items()} == values
    assert batch.failures == {}
