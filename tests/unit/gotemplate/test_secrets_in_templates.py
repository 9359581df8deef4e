"""Values, the catalogue and its filters in templates; what a template requests and depends on."""

# ruff: noqa: E501 - a template stays on its line

from __future__ import annotations

import json

import pytest

from secretsyncer.gotemplate.engine import EngineCatalogue, Filter, Needs, Rendered, TemplateFailure
from tests.support.specs import PGBOUNCER


def database(number: int) -> str:
    return json.dumps({"host": f"h{number}", "user": "u", "password": f"p{number}", "port": 5432})


def names(*ids: str) -> EngineCatalogue:
    return EngineCatalogue(
        {i: {"Tags": {"tag1": "", "kind": i[0]}, "CurrentVersionID": "v", "UpdatedAt": None} for i in ids}
    )


def test_pgbouncer_template_asks_for_all_its_secrets_at_once_and_lists_them_in_order(engine):
    ids = [f"db/{number:03}" for number in range(100)]
    catalogue = names(*reversed(ids), "zz")
    catalogue_without_tag = EngineCatalogue({"other": {"Tags": {}, "CurrentVersionID": "v", "UpdatedAt": None}})
    asked = engine.render_sync(PGBOUNCER, catalogue, {})
    assert isinstance(asked, Needs)
    assert {*asked.required, *asked.hints} == {*ids, "zz"}
    values = {i: database(number) for number, i in enumerate([*ids, "zz"])}
    got = engine.render_sync(PGBOUNCER, catalogue, values)
    assert isinstance(got, Rendered)
    assert got.output == "".join(f"host=h{n} user=u password=p{n}\n" for n in range(101))
    assert got.reads == {*ids, "zz"}
    assert got.filters == (Filter("tagKey", ("tag1",)),)
    assert not got.whole_catalogue
    assert engine.render_sync(PGBOUNCER, catalogue_without_tag, {}).output == ""


def test_a_hint_that_was_not_granted_becomes_required_when_the_template_insists(engine):
    asked = engine.render_sync(PGBOUNCER, names("a", "b"), {"a": database(1)})
    assert (asked.required, asked.hints) == (("b",), ())


def test_ids_that_stand_in_the_template_are_asked_for_together(engine, catalogue):
    template = (
        '{{ getSecretValue "x" }}{{ if true }}{{ (getSecretValueMap "y").z }}{{ end }}{{ getSecretValue "here" }}'
    )
    asked = engine.render_sync(template, catalogue, {"here": "1"})
    assert (asked.required, asked.hints) == (("x",), ("y",))


def test_two_loops_over_filters_ask_once(engine):
    template = (
        '{{ range $i, $_ := filterByTag .Secrets "kind" "a" }}{{ getSecretValue $i }}{{ end }}'
        '{{ range $i, $_ := filterByName $.Secrets "^b" }}{{ getSecretValue $i }}{{ end }}'
        '{{ range $i, $_ := filterByTagKey .Secrets "kind" }}{{ $i }}{{ end }}'
    )
    asked = engine.render_sync(template, names("a1", "a2", "b1", "b2", "c1"), {})
    assert (asked.required, asked.hints) == (("a1",), ("a2", "b1", "b2"))


def test_only_the_selection_that_is_walked_through_is_hinted(engine):
    template = (
        '{{ $all := filterByTagKey .Secrets "tag1" }}{{ len $all }}'
        '{{ $some := filterByTag $all "kind" "b" }}{{ range $i, $_ := $some }}{{ getSecretValue $i }}{{ end }}'
    )
    asked = engine.render_sync(template, names("a1", "a2", "b1", "b2"), {})
    assert (asked.required, asked.hints) == (("b1",), ("b2",))


@pytest.mark.parametrize(
    ("template", "public"),
    [
        ('{{ getSecretValue "gone" }}', True),
        ('{{ getSecretValue "here" }}{{ getSecretValue "gone" }}', True),
        ('{{ getSecretValue (printf "go%s" "ne") }}', True),
        ('{{ getSecretValue "here" }}{{ getSecretValue (printf "go%s" "ne") }}', False),
        ('{{ getSecretValue (getSecretValue "here") }}', False),
        (
            '{{ getSecretValue "here" }}{{ range $i, $_ := filterByName .Secrets "red" }}{{ getSecretValue $i }}{{ end }}',
            True,
        ),
    ],
)
def test_an_id_that_may_come_from_a_value_is_not_public(engine, catalogue, template, public):
    asked = engine.render_sync(template, catalogue, {"here": "value"})
    assert asked.public is public


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ('{{ range $i, $_ := filterByTag .Secrets "team" "a" }}{{ $i }} {{ end }}', "db/blue web/red "),
        ('{{ range $i, $_ := filterByName .Secrets "b.*ue" }}{{ $i }} {{ end }}', "db/blue "),
        ('{{ range $i, $_ := filterByName .Secrets "^(db|web)/" }}{{ $i }} {{ end }}', "db/blue db/green web/red "),
        (
            '{{ range $i, $m := filterByTagKey .Secrets "tag1" }}{{ $i }}={{ $m.CurrentVersionID }} {{ end }}',
            "db/blue=v1 db/green=v2 ",
        ),
        ("{{ range $i, $m := .Secrets }}{{ $m.Tags.team }}{{ end }}", "aba"),
        (
            "{{ range $i, $m := .Secrets }}{{ $i }}={{ $m.Tags.tag1 }}{{ $m.Tags.nowhere }} {{ end }}",
            "db/blue= db/green= web/red= ",
        ),
        (
            '{{ with index .Secrets "web/red" }}{{ with .Tags }}[{{ .nowhere }}{{ .team | upper }}{{ .gone | quote }}]{{ end }}{{ end }}',
            '[A""]',
        ),
        ('{{ range .Secrets }}{{ printf "%s," .Tags.nowhere }}{{ end }}', ",,,"),
        ('{{ (index .Secrets "db/blue").UpdatedAt.Format "15:04 MST" }}', "10:20 UTC"),
        ('{{ (index .Secrets "web/red").UpdatedAt.Format "15:04 MST" }}', "10:20 UTC"),
        ('{{ (index .Secrets "db/green").UpdatedAt.IsZero }}', "true"),
        ('{{ keys (filterByTagKey .Secrets "team") | join "," }}', "db/blue,db/green,web/red"),
        (
            '{{ hasKey .Secrets "db/blue" }} {{ len (filterByTag (filterByName .Secrets "db") "team" "b") }}',
            "true 1",
        ),
    ],
)
def test_catalogue_and_filters_give(render, template, output):
    assert render(template) == output


def filters_of(engine, catalogue, template):
    result = engine.render_sync(template, catalogue, {"a": "1"})
    return result.filters, result.whole_catalogue


TAG = Filter("tagKey", ("tag1",))


@pytest.mark.parametrize(
    ("template", "filters", "whole"),
    [
        ("no secrets {{ 1 }}", (), False),
        ('{{ getSecretValue "a" }}', (), False),
        ('{{ range filterByTagKey .Secrets "tag1" }}{{ .CurrentVersionID }}{{ end }}', (TAG,), False),
        ('{{ range filterByTagKey $.Secrets "tag1" }}{{ $.Secrets | len }}{{ end }}', (TAG,), True),
        ('{{ range 3 }}{{ len (filterByTagKey $.Secrets "tag1") }}{{ end }}', (TAG,), False),
        ('{{ with filterByTag .Secrets "a" "b" }}{{ . }}{{ end }}', (Filter("tag", ("a", "b")),), False),
        ('{{ len (filterByName (filterByTagKey .Secrets "tag1") "x|y") }}', (TAG, Filter("name", ("x|y",))), False),
        ('{{ if false }}{{ filterByTagKey .Secrets "tag1" }}{{ end }}', (), False),
        ("{{ if false }}{{ .Secrets }}{{ end }}", (), True),
        ("{{ range .Secrets }}{{ end }}", (), True),
        ("{{ $s := .Secrets }}", (), True),
        ("{{ $s := . }}", (), True),
        ("{{ with $ }}{{ end }}", (), True),
        ("{{ with . }}{{ .Secrets | len }}{{ end }}", (), True),
        ("{{ (.).Secrets | len }}", (), True),
        ("{{ ($).Secrets | len }}", (), True),
        ("{{ range list 1 2 }}{{ . }}{{ end }}", (), False),
        ("{{ with 1 }}{{ . }}{{ $x := . }}{{ $x }}{{ end }}", (), False),
        ('{{ (index .Secrets "db/blue").CurrentVersionID }}', (), True),
        ("{{ .Secrets | len }}", (), True),
        ('{{ define "t" }}{{ . }}{{ end }}{{ template "t" 1 }}', (), False),
        ('{{ define "t" }}{{ .Secrets | len }}{{ end }}{{ template "t" . }}', (), True),
        ('{{ define "t" }}{{ len (filterByTagKey .Secrets "tag1") }}{{ end }}{{ template "t" . }}', (TAG,), False),
        (
            '{{ define "t" }}{{ template "u" $ }}{{ end }}{{ define "u" }}{{ with 1 }}{{ len $.Secrets }}{{ end }}{{ end }}{{ template "t" . }}',
            (),
            True,
        ),
        ('{{ define "t" }}{{ len .Secrets }}{{ end }}{{ if false }}{{ template "t" . }}{{ end }}', (), True),
        ('{{ block "t" . }}{{ range filterByTagKey .Secrets "tag1" }}{{ end }}{{ end }}', (TAG,), False),
    ],
)
def test_dependencies_on_the_catalogue_are_found(engine, catalogue, template, filters, whole):
    assert filters_of(engine, catalogue, template) == (filters, whole)


def test_each_different_filter_call_is_reported_once(engine, catalogue):
    template = '{{ range $i := 5 }}{{ len (filterByTag $.Secrets "team" (index (list "a" "b") (int (eq $i 0)))) }}{{ end }}'
    assert filters_of(engine, catalogue, template) == (
        (Filter("tag", ("team", "b")), Filter("tag", ("team", "a"))),
        False,
    )


def test_each_filter_reports_whether_it_selected_a_secret(engine, catalogue):
    template = (
        '{{ len (filterByTagKey .Secrets "tag1") }}{{ len (filterByTagKey .Secrets "gone") }}'
        '{{ len (filterByName (filterByTagKey .Secrets "gone") "db") }}{{ len (filterByName .Secrets "none") }}'
        '{{ len (filterByName .Secrets "none") }}{{ len (filterByTag .Secrets "team" "b") }}'
    )
    result = engine.render_sync(template, catalogue, {})
    assert result.matched == {TAG, Filter("tag", ("team", "b"))}
    assert len(result.filters) == 5


def test_a_template_may_filter_in_a_thousand_ways(engine, catalogue):
    template = "{{ range $i := %d }}{{ $_ := filterByTagKey $.Secrets (print $i) }}{{ end }}"
    assert len(engine.render_sync(template % 1000, catalogue, {}).filters) == 1000
    with pytest.raises(TemplateFailure, match="filters in more than 1000 different ways"):
        engine.render_sync(template % 1001, catalogue, {})


def test_json_that_aws_holds_as_bytes_may_begin_with_a_byte_order_mark(render):
    assert render('{{ (getSecretValueMap "a").k }}', {"a": b'\xef\xbb\xbf{"k": "v"}'}) == "v"


def test_a_failure_has_the_dependencies_of_the_template(engine, catalogue):
    template = '{{ len (filterByTagKey .Secrets "tag1") }}{{ (getSecretValueMap "a").gone }}'
    with pytest.raises(TemplateFailure) as raised:
        engine.render_sync(template, catalogue, {"a": "{}", "b": "{}"})
    assert (raised.value.reads, raised.value.filters, raised.value.whole_catalogue) == ({"a"}, (TAG,), False)


def test_only_secrets_that_were_read_are_reported(engine, catalogue):
    template = '{{ if eq (getSecretValue "a") "1" }}{{ else }}{{ getSecretValue "b" }}{{ end }}'
    assert engine.render_sync(template, catalogue, {"a": "1", "b": "2", "c": "3"}).reads == {"a"}


def test_text_of_a_secret_is_copied_unchanged_with_any_content(render):
    hostile = "%!d(string=x) <no value> <nil> {{ .Secrets }} %s\\ \" ' & < > \x00 \x7f é 世 \U0001f600 \u2028\r\n"
    values = {"a": hostile, "m": json.dumps({"k": hostile})}
    assert render('{{ getSecretValue "a" }}', values) == hostile
    assert (
        render('{{ printf "%s|%v" (getSecretValue "a") (getSecretValueMap "m").k }}', values)
        == f"{hostile}|{hostile}"
    )
    assert render('{{ print (getSecretValue "a") | trimSuffix "z" }}', values) == hostile


def test_bytes_that_are_text_are_text(render):
    assert render('{{ getSecretValue "a" }}', {"a": "é".encode()}) == "é"


def test_bytes_that_are_no_text_point_to_secret_ref(failure):
    message = failure('{{ getSecretValue "a" }}', {"a": b"\xff\xfe"})
    assert '"a" is binary' in message
    assert "secretRef" in message


def test_a_catalogue_with_hostile_names_and_tags_is_data_like_any(engine):
    hostile = '{{ "%s" }}\x00\u2028</script>\'\\\ud800'
    catalogue = EngineCatalogue(
        {
            f"{hostile}{n}": {"Tags": {hostile: hostile, "": ""}, "CurrentVersionID": hostile, "UpdatedAt": None}
            for n in range(3)
        }
    )
    shown = hostile.replace("\ud800", "\ufffd")
    result = engine.render_sync(
        '{{ range $i, $m := filterByTagKey .Secrets "" }}{{ $i }}{{ $m.CurrentVersionID }}{{ end }}', catalogue, {}
    )
    assert result.output == "".join(f"{shown}{n}{shown}" for n in range(3))


def test_a_new_catalogue_replaces_the_old_one(engine):
    template = "{{ range $i, $_ := .Secrets }}{{ $i }} {{ end }}"
    first, second = names("a"), names("b", "c")
    outputs = [engine.render_sync(template, catalogue, {}).output for catalogue in (first, second, first, second)]
    assert outputs == ["a ", "b c ", "a ", "b c "]


def test_listing_of_ten_thousand_secrets_is_handed_over_once(engine):
    catalogue = EngineCatalogue(
        {
            f"team/app/{n:05}": {"Tags": {"team": f"t{n % 50}"}, "CurrentVersionID": f"v{n}", "UpdatedAt": None}
            for n in range(10_000)
        }
    )
    for _ in range(3):
        result = engine.render_sync(
            '{{ len (filterByTag .Secrets "team" "t3") }} {{ len .Secrets }}', catalogue, {}
        )
        assert result.output == "200 10000"
