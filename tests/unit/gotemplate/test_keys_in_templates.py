"""`getSecretKey`: the text that `secretKeyRef` writes, for any JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secretsyncer.errors import Rejected
from secretsyncer.gotemplate.engine import EngineCatalogue, Needs, Rendered, TemplateFailure
from secretsyncer.sync.budget import Budget
from secretsyncer.sync.json_value import Documents
from tests.support.builders import value

NOTHING = EngineCatalogue({})
TEMPLATE = '{{ getSecretKey "app" "k" }}'


def written(source):
    """What secretKeyRef writes."""
    return Documents(Budget()).key_text(value("app", source), "app", "k").decode()


@pytest.mark.parametrize(
    "source",
    [
        '"text"', '""', "5432", "1.50", "1e6", "-0", "12345678901234567890", "true", "false", "[]", "{}",
        '{"z": 1, "a": {"b": "x"}, "z": 1.50}', '[ "a" , null, [1.0] ]', r'{"h":"<a&b>","u":"a\/b\u00e9\u2028","q":"\"\\"}',
        r'["\b\f\n\r\t\u0001\u007f"]', r'"\ud83d\ude00 line\n"', '{"": {"k": []}}',
    ],
)  # fmt: skip
def test_it_is_what_a_reference_to_the_key_writes(engine, source):
    source = f'{{"other": 1, "k": {source}}}'
    result = engine.render_sync(TEMPLATE, NOTHING, {"app": source})
    assert isinstance(result, Rendered)
    assert result.output == written(source)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_it_is_what_a_reference_writes_for_any_json(engine, content, ascii_only, indent):
    source = json.dumps({"k": content}, ensure_ascii=ascii_only, indent=indent)
    try:
        expected = written(source)
    except (Rejected, UnicodeError):
        expected = None
    try:
        result = engine.render_sync(TEMPLATE, NOTHING, {"app": source})
        assert isinstance(result, Rendered)
        assert result.output == expected
    except TemplateFailure:
        assert expected is None


@pytest.mark.parametrize(
    ("template", "content", "said"),
    [
        (TEMPLATE, "{}", 'the secret "app" does not have key "k"'),
        (TEMPLATE, '{"k": null}', 'the secret "app" has null at key "k"'),
        (TEMPLATE, "[1]", 'the secret "app" is not a JSON object'),
        (TEMPLATE, "plain", 'the secret "app" is not JSON (line 1, column 1)'),
        ('{{ getSecretKey "app" (getSecretValueMap "app").x }}', '{"x": "c4n4ry"}', "does not have this key"),
        ('{{ getSecretKey "app" (list 1) }}', "{}", "must be a string, but is a list"),
    ],
)
def test_what_has_no_text_is_an_error(engine, template, content, said):
    with pytest.raises(TemplateFailure) as raised:
        engine.render_sync(template, NOTHING, {"app": content})
    assert said in str(raised.value)
    assert "c4n4ry" not in str(raised.value)


def test_the_secret_is_requested_first(engine):
    needs = engine.render_sync(TEMPLATE + '{{ getSecretKey "other" "k" }}', NOTHING, {})
    assert isinstance(needs, Needs)
    assert (needs.required, needs.hints) == (("app",), ("other",))
