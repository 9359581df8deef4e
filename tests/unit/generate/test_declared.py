"""The tree that everything is generated from: names, types, limits, descriptions and rules of a model."""

from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from generate.declared import sentences, tree
from secretsyncer.synced_secret.fields import Fields, at_least_one_of, at_most_one_of, exactly_one_of
from secretsyncer.synced_secret.formats import Format


class Port(Fields):
    """A port of
    the container."""

    number: int = Field(ge=1, le=65535)
    """Number of the port."""


class NamedPort(Port):
    """A port with a name."""

    rules: ClassVar = (at_most_one_of("appProtocol", "protocol"),)

    name: Annotated[str, Format("[a-z]+", "must be lowercase")] | None = None
    """Name of the port."""

    app_protocol: str | None = Field(None, max_length=20)
    """Protocol of
    the application."""

    protocol: Literal["TCP"] | None = None
    """Protocol of the transport."""


class Container(Fields):
    """A container."""

    rules: ClassVar = (exactly_one_of("mainPort", "ports"), at_least_one_of("labels", "mainPort.name"))

    main_port: NamedPort | None = None
    """The port for everything."""

    ports: tuple[NamedPort, ...] | None = Field(None, max_length=3)
    """All ports."""

    labels: dict[str, Annotated[str, Field(description="Value of a label.")]] | None = None
    """Labels of the container."""


def test_names_types_limits_and_descriptions_are_those_of_the_model():
    assert tree(Port) == {
        "type": "object",
        "description": "A port of the container.",
        "properties": {
            "number": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Number of the port."},
        },
        "required": ["number"],
        "additionalProperties": False,
        "rules": [],
    }


def test_inherited_fields_come_first_and_absent_is_not_null():
    fields = tree(NamedPort)["properties"]
    assert [*fields] == ["number", "name", "appProtocol", "protocol"]
    assert fields["appProtocol"] == {
        "type": "string", "maxLength": 20, "description": "Protocol of the application."
    }  # fmt: skip
    assert fields["protocol"]["enum"] == ["TCP"]
    assert fields["name"]["pattern"] == "^[a-z]+$"


def test_the_text_under_a_field_describes_it_and_the_docstring_of_its_class_describes_an_item():
    fields = tree(Container)["properties"]
    assert fields["mainPort"]["description"] == "The port for everything."
    assert fields["ports"]["items"]["description"] == "A port with a name."
    assert fields["ports"]["items"]["properties"] == fields["mainPort"]["properties"]
    assert fields["ports"]["maxItems"] == 3
    assert fields["labels"]["additionalProperties"] == {"type": "string", "description": "Value of a label."}


def test_formats_and_rules_become_sentences():
    assert sentences(tree(NamedPort)["properties"]["name"]) == "Name of the port. Must be lowercase."
    assert sentences(tree(Container)) == (
        "A container. Exactly one of mainPort and ports must be set. At least one of labels and mainPort.name must be set."
    )


def test_a_field_without_a_description_is_an_error():
    class Undescribed(Fields):
        """An object."""

        name: str

    with pytest.raises(LookupError, match=r"Undescribed\.name has no description"):
        tree(Undescribed)


VALID = {"mainPort": {"number": 1, "name": "http"}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one of mainPort and ports must be set"),
        ({**VALID, "ports": []}, "exactly one of mainPort and ports must be set"),
        ({"mainPort": {"number": 1}}, "at least one of labels and mainPort.name must be set"),
        ({"ports": [], "labels": {}}, "at least one of labels and mainPort.name must be set"),
        ({"mainPort": {"number": 1, "name": "HTTP"}}, "must be lowercase"),
        ({"mainPort": {**VALID["mainPort"], "protocol": "TCP", "appProtocol": "h2"}}, "are mutually exclusive"),
    ],
)
def test_rules_and_formats_are_checked(given, message):
    with pytest.raises(ValueError, match=message):
        Container.model_validate(given)


@pytest.mark.parametrize(
    "given",
    [
        VALID,
        {"ports": [], "labels": {"a": ""}},
        {"mainPort": {"number": 1, "protocol": "TCP", "appProtocol": "", "name": "a"}},
    ],
)
def test_what_satisfies_the_rules_is_accepted(given):
    Container.model_validate(given)
