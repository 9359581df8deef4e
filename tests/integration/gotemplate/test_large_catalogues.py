"""Whoever may tag secrets decides how large the listing is, and must not decide whether templates work."""

# ruff: noqa: E501 - a template stays on its line

from __future__ import annotations

import json

import pytest

from secretsyncer.gotemplate.contract import CATALOGUE_LIMIT, View
from secretsyncer.gotemplate.engine import EngineCatalogue, TemplateEngine, TemplateFailure

KEY, VALUE, TAGS = 128, 256, 50
"""What AWS allows: the length of a tag's key and value, and how many tags a secret has."""


def tag_of(number: int, character: str) -> str:
    return f"long {number:02}".ljust(KEY, character)


def tagged(count: int, character: str = "x") -> EngineCatalogue:
    """So many secrets with as many tags of the greatest length as AWS allows, every other one with one that is used."""

    def tags(number: int) -> dict[str, str]:
        own = {"team": f"t{number % 4}", "a/b": "slash"} if number % 2 else {}
        long = {tag_of(n, character): f"{number} {n}".ljust(VALUE, character) for n in range(TAGS - len(own))}
        return own | long

    return EngineCatalogue(
        {
            f"app/{number:04}": {"Tags": tags(number), "CurrentVersionID": f"v{number}", "UpdatedAt": None}
            for number in range(count)
        }
    )


@pytest.fixture(scope="module")
def huge():
    return tagged(1000, "\u4e16")


@pytest.fixture
def output(engine, huge):
    return lambda template: engine.render_sync(template, huge, {}).output


ODD = '(filterByTagKey .Secrets "team")'
SOME = '(filterByName .Secrets "app/001[0-3]")'


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ len .Secrets }}", "1000"),
        ('{{ len (filterByTagKey .Secrets "team") }}', "500"),
        ('{{ len (filterByTag .Secrets "team" "t3") }}', "250"),
        ('{{ len (filterByName .Secrets "app/00") }}', "100"),
        ('{{ $k := print "te" "am" }}{{ len (filterByTagKey .Secrets $k) }}', "500"),
        ('{{ $n := 0 }}{{ range .Secrets }}{{ if eq .Tags.team "t1" }}{{ $n = print $n "1" }}{{ end }}{{ end }}{{ len $n }}', "251"),
        (f"{{{{ range $n, $s := {SOME} }}}}{{{{ $n }}}}={{{{ $s.Tags.team }}}} {{{{ end }}}}", "app/0010= app/0011=t3 app/0012= app/0013=t1 "),
        (f'{{{{ range {SOME} }}}}{{{{ index .Tags "a/b" }}}},{{{{ end }}}}', ",slash,,slash,"),
        (f'{{{{ range {SOME} }}}}{{{{ hasKey .Tags "a/b" }}}},{{{{ end }}}}', "false,true,false,true,"),
        (f'{{{{ range {SOME} }}}}{{{{ get .Tags "team" }}}},{{{{ end }}}}', ",t3,,t1,"),
        (f"{{{{ range {SOME} }}}}{{{{ len .Tags }}}},{{{{ end }}}}", "50,50,50,50,"),
        (f"{{{{ range {SOME} }}}}{{{{ with .Tags }}}}{{{{ .team }}}},{{{{ end }}}}{{{{ end }}}}", ",t3,,t1,"),
        (f'{{{{ range {SOME} }}}}{{{{ $k := "team" }}}}{{{{ index .Tags $k }}}},{{{{ end }}}}', ",t3,,t1,"),
        ('{{ range $k, $v := (index .Secrets "app/0001").Tags }}{{ if eq (len $v) 2 }}{{ $k }}={{ $v }}{{ end }}{{ end }}', "team=t1"),
        ('{{ $v := index .Secrets "app/0007" }}{{ $v.CurrentVersionID }}', "v7"),
    ],
)  # fmt: skip
def test_templates_that_look_at_some_tags_get_them(output, template, expected):
    assert output(template) == expected
    assert output(template) == expected


def test_what_looks_at_all_tags_of_some_secrets_gets_all_of_them(output):
    shown = json.loads(output('{{ index .Secrets "app/0001" | toJson }}'))
    assert list(shown) == ["Tags", "CurrentVersionID", "UpdatedAt"]
    assert shown["Tags"] == {"team": "t1", "a/b": "slash"} | {
        tag_of(n, "\u4e16"): f"1 {n}".ljust(VALUE, "\u4e16") for n in range(TAGS - 2)
    }


@pytest.mark.parametrize(
    "template",
    [
        "{{ range .Secrets }}{{ range $k, $v := .Tags }}{{ $v }}{{ end }}{{ end }}",
        "{{ range .Secrets }}{{ len .Tags }}{{ end }}",
        "{{ toJson .Secrets | len }}",
        "{{ toJson . | len }}",
    ],
)
def test_what_looks_at_all_tags_of_all_secrets_is_refused_and_harms_nobody(engine, huge, output, template):
    with pytest.raises(TemplateFailure, match=f"may take {CATALOGUE_LIMIT}; filterByTagKey") as raised:
        engine.render_sync(template, huge, {})
    assert raised.value.whole_catalogue
    assert output('{{ len (filterByTagKey .Secrets "team") }}') == "500"


@pytest.mark.parametrize("character", ["x", "\u00e9", "\U0001f600"])
def test_two_hundred_secrets_with_fifty_long_tags_break_no_template(engine, character):
    listing = tagged(200, character)
    assert engine.render_sync("{{ len .Secrets }}", listing, {}).output == "200"
    assert engine.render_sync('{{ len (filterByTag .Secrets "team" "t1") }}', listing, {}).output == "50"


def test_a_catalogue_that_fits_is_handed_over_whole_and_once():
    listing = tagged(20)
    assert listing.view(View(frozenset({"team"})), View()) == View(all=True)


def test_what_templates_look_at_is_handed_over_together_as_long_as_it_fits():
    listing = tagged(40)
    one, other = View(frozenset({"team"})), View(rows=frozenset({"app/0001"}))
    small = EngineCatalogue(listing._entries, limit=60_000)
    assert small.view(one, other) == one | other
    many = View(rows=frozenset(f"app/00{n}" for n in range(10, 11)))
    assert small.view(one, many | other) == View(one.keys, many.rows | other.rows)
    too_many = View(rows=frozenset(f"app/{n:04}" for n in range(2)))
    assert small.view(too_many, View(rows=frozenset({"app/0010", "app/0011", "app/0012"}))) == too_many


def test_templates_with_other_tags_take_turns_without_a_new_instance_each_time(cache_dir, huge):
    with TemplateEngine(cache_dir=cache_dir, deadline=30) as engine:
        templates = [f'{{{{ len (filterByTagKey .Secrets "{key}") }}}}' for key in ("team", "a/b", "none")]
        for _ in range(2):
            assert [engine.render_sync(text, huge, {}).output for text in templates] == ["500", "500", "0"]
        [instance] = engine._idle
        for _ in range(5):
            for text in templates:
                engine.render_sync(text, huge, {})
        assert engine._idle == [instance]
        assert instance.view.keys == {"team", "a/b", "none"}


def test_tags_of_five_thousand_secrets_are_found(engine):
    few = {f"other {n}": "x" for n in range(4)}
    tags = [few, {**few, "team": "t1"}]
    listing = EngineCatalogue(
        {f"app/{n:04}": {"Tags": tags[n % 2], "CurrentVersionID": "", "UpdatedAt": None} for n in range(5000)},
        limit=2 << 20,
    )
    assert engine.render_sync("{{ len .Secrets }}", listing, {}).output == "5000"
    assert engine.render_sync('{{ len (filterByTagKey .Secrets "team") }}', listing, {}).output == "2500"
    with pytest.raises(TemplateFailure, match="may take"):
        engine.render_sync("{{ toJson .Secrets | len }}", listing, {})


def test_names_alone_that_are_too_many_are_refused(engine):
    listing = EngineCatalogue(
        {"n" * 500 + f"{n}": {"Tags": {}, "CurrentVersionID": "", "UpdatedAt": None} for n in range(20_000)}
    )
    with pytest.raises(TemplateFailure, match=f"may take {CATALOGUE_LIMIT}"):
        engine.render_sync("{{ len .Secrets }}", listing, {})
