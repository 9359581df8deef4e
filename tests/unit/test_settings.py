"""Settings from the environment: defaults, forms, and one line for each error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.errors import SettingsError
from secretsyncer.settings import Settings, load

DEFAULTS = {
    "poll_interval_sec": 300,
    "sync_interval_sec": 120,
    "ns_annotation": "iam.amazonaws.com/allowed-roles",
    "metrics_listen": ":8080",
    "poll_default_search_role": "",
    "require_ns_annotation": False,
    "adopt_existing": True,
    "watch_namespace": (),
    "watch_selector": "",
    "workers": 16,
    "leader_election": False,
    "lease_name": "5a48bfe8.contentful.com",
    "log_level": "info",
    "log_format": "json",
}


def test_without_any_variable_everything_has_its_default():
    settings = load({})
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS


def test_an_empty_variable_means_the_default():
    assert load({name.upper(): "" for name in Settings.model_fields}) == load({})


def test_variables_of_others_are_none_of_our_business():
    assert load({"PATH": "/bin", "AWS_REGION": "eu-west-1", "workers": "3"}) == load({})


def test_every_setting_says_what_it_means():
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("POLL_INTERVAL_SEC", "60", 60),
        ("SYNC_INTERVAL_SEC", "0.5", 0.5),
        ("NS_ANNOTATION", "example.com/roles", "example.com/roles"),
        ("NS_ANNOTATION", "roles", "roles"),
        ("POLL_DEFAULT_SEARCH_ROLE", "reader", "reader"),
        ("REQUIRE_NS_ANNOTATION", "true", True),
        ("REQUIRE_NS_ANNOTATION", "1", True),
        ("ADOPT_EXISTING", "False", False),
        ("WATCH_NAMESPACE", "team", ("team",)),
        ("WATCH_NAMESPACE", " a, b ,,c-1", ("a", "b", "c-1")),
        ("WATCH_NAMESPACE", "a,b,a", ("a", "b")),
        ("EXTRA_REGIONS", "eu-new-1, us-new-2", ("eu-new-1", "us-new-2")),
        ("WATCH_SELECTOR", "shard=a", "shard=a"),
        ("WATCH_SELECTOR", "example.com/team in (a, b),!paused", "example.com/team in (a, b),!paused"),
        ("LEASE_NAME", "5a48bfe8.contentful.com-a", "5a48bfe8.contentful.com-a"),
        ("WORKERS", "256", 256),
        ("LEADER_ELECTION", "yes", True),
        ("LOG_LEVEL", "DEBUG", "debug"),
        ("LOG_LEVEL", "warn", "warning"),
        ("LOG_FORMAT", "text", "text"),
        ("POD_NAMESPACE", "operators", "operators"),
    ],
)
def test_a_variable_sets_its_setting(variable, text, value):
    assert getattr(load({variable: text}), variable.lower()) == value


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":8080", None, 8080),
        ("8080", None, 8080),
        (":0", None, 0),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
        ("localhost:80", "localhost", 80),
        ("[::1]:8080", "::1", 8080),
    ],
)
def test_metrics_are_served_where_the_variable_says(text, host, port):
    assert load({"METRICS_LISTEN": text}).listen == (host, port)


WRONG = [
    ("POLL_INTERVAL_SEC", "0"),
    ("POLL_INTERVAL_SEC", "-1"),
    ("POLL_INTERVAL_SEC", "5m"),
    ("POLL_INTERVAL_SEC", "nan"),
    ("POLL_INTERVAL_SEC", "inf"),
    ("SYNC_INTERVAL_SEC", "86401"),
    ("NS_ANNOTATION", "two words"),
    ("NS_ANNOTATION", "/roles"),
    ("METRICS_LISTEN", "localhost"),
    ("METRICS_LISTEN", ":"),
    ("METRICS_LISTEN", ":http"),
    ("METRICS_LISTEN", ":65536"),
    ("METRICS_LISTEN", ":-1"),
    ("METRICS_LISTEN", ":\u0661"),
    ("METRICS_LISTEN", "::1:8080"),
    ("REQUIRE_NS_ANNOTATION", "maybe"),
    ("ADOPT_EXISTING", "2"),
    ("EXTRA_REGIONS", "eu-west-1,evil.com/"),
    ("WATCH_NAMESPACE", "Team"),
    ("WATCH_NAMESPACE", "a,../secrets"),
    ("WATCH_NAMESPACE", "a b"),
    ("WATCH_NAMESPACE", "n" * 64),
    ("WATCH_SELECTOR", "a b"),
    ("WATCH_SELECTOR", "a in b"),
    ("WATCH_SELECTOR", "a,,b"),
    ("LEASE_NAME", "Lease"),
    ("LEASE_NAME", "a..b"),
    ("POD_NAMESPACE", "kube/system"),
    ("ROLE_SESSION_NAME", "two words"),
    ("ROLE_SESSION_NAME", "r\u00e9ader"),
    ("WORKERS", "0"),
    ("WORKERS", "257"),
    ("WORKERS", "1.5"),
    ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
    ("LOG_FORMAT", "json\n"),
]


@pytest.mark.parametrize(("variable", "text"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_variable_and_shows_what_it_must_be(variable, text):
    with pytest.raises(SettingsError) as raised:
        load({variable: text})
    message = str(raised.value)
    assert message.startswith(f"{variable}=")
    assert ": must " in message or "brackets" in message
    assert len(message.splitlines()) == 1


def test_all_wrong_values_are_reported_at_once():
    with pytest.raises(SettingsError) as raised:
        load({"WORKERS": "0", "LOG_LEVEL": "loud", "METRICS_LISTEN": "x"})
    assert all(name in str(raised.value) for name in ("WORKERS", "LOG_LEVEL", "METRICS_LISTEN"))


def test_the_message_shows_the_bounds():
    with pytest.raises(SettingsError, match="WORKERS='0': must be greater than or equal to 1"):
        load({"WORKERS": "0"})
    with pytest.raises(SettingsError, match="LOG_LEVEL='loud': must be 'debug', 'info', 'warning' or 'error'"):
        load({"LOG_LEVEL": "loud"})


def test_settings_do_not_change_while_the_process_runs():
    settings = load({})
    with pytest.raises(ValueError, match="frozen"):
        settings.workers = 3


@given(st.dictionaries(st.sampled_from([name.upper() for name in Settings.model_fields]), st.text()))
def test_any_environment_gives_settings_or_one_line(environment):
    try:
        settings = load(environment)
    except SettingsError as exc:
        assert len(str(exc).splitlines()) == 1  # noqa: PT017 - either is right
    else:
        assert 0 <= settings.listen[1] <= 65_535
        assert settings.poll_interval_sec > 0
