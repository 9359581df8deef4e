"""What tests of templates render."""

from __future__ import annotations

import pytest

from secretsyncer.gotemplate.engine import Rendered, TemplateFailure
from tests.support.engines import built, catalogue

__all__ = ["built", "catalogue"]

VALUES = {
    "all": '{"user":"bob","port":5432,"ratio":1.5,"flag":true,"no":false,"zero":0,"empty":"","none":null,'
    '"list":["a","b",3],"object":{"in":"side","deep":{"er":1}},"html":"<a href=\'x\'>&amp;</a>","uni":"h\u00e9 \u4e16"}',
    "text": "plain text",
    "lines": "one\ntwo\n",
}


@pytest.fixture
def render(engine, catalogue):
    """Render with the values above, or others; the output, which must come."""

    def rendered(template: str, values=VALUES) -> str:
        result = engine.render_sync(template, catalogue, values)
        assert isinstance(result, Rendered), result
        return result.output

    return rendered


@pytest.fixture
def failure(engine, catalogue):
    """Render what must fail; the failure's text."""

    def failed(template: str, values=VALUES) -> str:
        with pytest.raises(TemplateFailure) as raised:
            engine.render_sync(template, catalogue, values)
        return str(raised.value)

    return failed
