"""Which AWS secrets `find` selects, and how their keys are renamed."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from secretsyncer.expressions import regexp
from secretsyncer.synced_secret.fields import Fields, Rule, at_least_one_of
from secretsyncer.synced_secret.formats import EXPRESSION_LIMIT, RegularExpression, TagKey, TagValue


class FindName(Fields):
    """Criteria for the name of an AWS secret."""

    regexp: RegularExpression | None = None
    """Regular expression (RE2 syntax) that matches a part of the name. Use ^ and $ to match the whole name."""

    prefix: str | None = Field(None, max_length=512)
    """Text that the name begins with."""


class Find(Fields):
    """Criteria for AWS secrets. A secret must meet all of them."""

    rules: ClassVar[tuple[Rule, ...]] = (at_least_one_of("tagKey", "tags", "name.regexp", "name.prefix"),)

    tag_key: TagKey | None = Field(None, min_length=1)
    """Selects secrets that have this tag, whatever its value."""

    tags: dict[TagKey, TagValue] | None = Field(None, max_length=50)
    """Selects secrets that have all of these tags, with these values."""

    name: FindName | None = None
    """Selects secrets by name."""

    merge: bool = False
    """If true, each secret must hold a JSON object, and its keys are copied to the Secret. The secrets are taken in
    the order of their names, and a later one takes precedence. Defaults to false."""

    decode: Literal["base64", "base64url", "auto"] | None = None
    """Decoding of the values before they are stored in the Secret."""

    optional: bool = False
    """If true, there may be no such AWS secret. If it is false, and find selects none, the sync fails. Defaults to
    false."""


_BY_CASE = {"required": ["case"], "not": {"anyOf": [{"required": ["source"]}, {"required": ["target"]}]}}
_EITHER = {"anyOf": [{"required": ["source", "target"], "not": {"required": ["case"]}}, _BY_CASE]}
_RULES = Rule(
    "either source and target, or case must be set",
    lambda rule: (rule.source is None) == (rule.target is None) != (rule.case is None),
    _EITHER,
    _EITHER,
)


class Rewrite(Fields):
    """A rule that changes keys."""

    rules: ClassVar[tuple[Rule, ...]] = (_RULES,)

    source: RegularExpression | None = None
    """Regular expression (RE2 syntax). Every match in the key is replaced."""

    target: str | None = Field(None, max_length=EXPRESSION_LIMIT)
    """Replacement. $1 or ${1} stands for the text of the first group, and $$ for a dollar sign."""

    case: Literal["Upper", "Lower"] | None = None
    """Makes all letters of the key upper or lower case, in place of source and target."""

    @model_validator(mode="after")
    def _groups_exist(self) -> Self:
        if self.source is not None and self.target is not None:
            regexp.replacement(regexp.compile(self.source), self.target)
        return self

    @property
    def change(self) -> regexp.Change:
        """The rule for `regexp.rewrite`."""
        if self.source is not None and self.target is not None:
            return self.source, self.target
        return regexp.upper if self.case == "Upper" else regexp.lower
