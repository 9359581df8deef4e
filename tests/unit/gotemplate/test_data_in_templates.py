"""`.Data`: the texts of the object's other keys."""

import pytest

from secretsyncer.gotemplate.engine import EngineCatalogue, Needs, Rendered, TemplateFailure

DATA = {
    "user": b"web",
    "port": b"5432",
    "debug": b"false",
    "empty": b"",
    "opts": b'{"z":1}',
    "tls.crt": b"CERT",
    "bytes": b"\x00\x01\xff",
}
NOTHING = EngineCatalogue({})


@pytest.fixture
def render(engine):
    def rendered(template, data=DATA, values=None):
        result = engine.render_sync(template, NOTHING, values or {}, data)
        assert isinstance(result, Rendered)
        assert not result.whole_catalogue
        return result.output

    return rendered


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{{ .Data.user }}:{{ .Data.port }}", "web:5432"),
        ("{{ if .Data.debug }}on{{ else }}off{{ end }}", "on"),
        ('{{ if eq .Data.port "5432" }}pg{{ end }}', "pg"),
        ("{{ print .Data.port .Data.debug }}", "5432false"),
        ("{{ .Data.port | toJson }}", '"5432"'),
        ("{{ len .Data.port }}", "4"),
        ("{{ .Data.opts }} {{ (.Data.opts | fromJson).z }}", '{"z":1} 1'),
        ('{{ index .Data "tls.crt" }}{{ get .Data "none" }}{{ hasKey .Data "user" }}', "CERTtrue"),
        ('{{ .Data.empty | default "x" }}', "x"),
        ("{{ .Data.bytes | b64enc }}", "AAH/"),
        ('{{ define "t" }}{{ .user }}{{ $.port }}{{ end }}{{ template "t" .Data }}', "web5432"),
        ("{{ range $k, $v := .Data }}{{ if ne $k `bytes` }}{{ $k }},{{ end }}{{ end }}", "debug,empty,opts,port,tls.crt,user,"),
        ("{{ range .Secrets }}{{ end }}{{ with .Data }}{{ .user }}{{ end }}", "web"),
    ],
)  # fmt: skip
def test_the_keys_are_text(engine, template, output):
    result = engine.render_sync(template, NOTHING, {}, DATA)
    assert isinstance(result, Rendered)
    assert result.output == output


def test_the_data_of_a_render_is_its_own(render):
    assert render("{{ .Data.user }}") == "web"
    assert render("{{ .Data.user }}", {"user": b"other"}) == "other"
    assert render('{{ get .Data "user" }}', {}) == ""


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ .Data.none }}", '.Data has no key "none"'),
        ("{{ .Data.bytes }}", "the output is not valid UTF-8"),
        ("{{ .Data }}", "an object has no text of its own"),
    ],
)
def test_what_cannot_be_written_is_an_error(engine, template, said):
    with pytest.raises(TemplateFailure, match=said):
        engine.render_sync(template, NOTHING, {}, DATA)


def test_a_name_made_of_the_data_is_never_shown(engine):
    needs = engine.render_sync("{{ getSecretValue .Data.user }}", NOTHING, {}, DATA)
    assert isinstance(needs, Needs)
    assert (needs.required, needs.public) == (("web",), False)
    needs = engine.render_sync('{{ getSecretValue "web" }}', NOTHING, {}, DATA)
    assert isinstance(needs, Needs)
    assert needs.public


def test_values_and_data_travel_together(render):
    template = '{{ getSecretValue "a" }}{{ .Data.user }}'
    assert render(template, values={"a": "value ", "binary": b"\xff"}) == "value web"
