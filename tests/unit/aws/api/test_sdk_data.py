"""What is kept of the SDK's data files is all that its clients need."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import botocore
import pytest
from botocore.loaders import JSONFileLoader
from botocore.session import Session

from secretsyncer.aws.api.sdk_data import SERVICES, SlimFiles

PARTITIONS = ("us-east-1", "cn-north-1", "us-gov-west-1")


def session(files):
    made = Session()
    made.get_component("data_loader").file_loader = files
    made.set_credentials("key", "secret")
    return made


@pytest.mark.parametrize("service", sorted(SERVICES))
@pytest.mark.parametrize("region", PARTITIONS)
def test_a_client_has_the_same_endpoint_and_operations(service, region):
    slim, whole = (session(files).create_client(service, region) for files in (SlimFiles(), JSONFileLoader()))
    assert slim.meta.endpoint_url == whole.meta.endpoint_url
    assert slim.meta.service_model.operation_names == whole.meta.service_model.operation_names
    assert slim.meta.service_model.signing_name == whole.meta.service_model.signing_name


def test_a_member_that_is_called_documentation_stays(tmp_path):
    model = {"documentation": "<p>", "shapes": {"S": {"members": {"documentation": {"shape": "T"}}}}}
    (tmp_path / "service-2.json").write_text(json.dumps(model))
    kept = SlimFiles().load_file(str(tmp_path / "service-2"))
    assert kept == {"shapes": {"S": {"members": {"documentation": {"shape": "T"}}}}}


def test_of_the_endpoints_only_the_services_are_left_out():
    path = str(Path(botocore.__file__).parent / "data/endpoints")
    whole = JSONFileLoader().load_file(path)
    for partition in whole["partitions"]:
        partition["services"] = {name: it for name, it in partition["services"].items() if name in SERVICES}
    assert SlimFiles().load_file(path) == whole


@pytest.mark.parametrize("separators", [(",", ":"), (" ,\n", "\t: ")])
@pytest.mark.parametrize("indent", [None, 2])
def test_endpoints_are_read_in_every_form_of_json(tmp_path, separators, indent):
    services = {"a{": {"b": '}"services"'}, "sqs": {"c": [{}]}, "d": {}}
    endpoints = {"partitions": [{"services": services, "partition": "aws"}, {"services": {}}], "version": 3}
    text = json.dumps(endpoints, separators=separators, indent=indent)
    (tmp_path / "endpoints.json").write_text(text)
    endpoints["partitions"][0]["services"] = {"sqs": {"c": [{}]}}
    assert SlimFiles().load_file(str(tmp_path / "endpoints")) == endpoints


def test_endpoints_that_end_anywhere_are_no_json(tmp_path):
    text = '{"partitions": [{"services": {"sqs": {"a": 1}, "b": {}}}]}'
    for end in range(len(text)):
        (tmp_path / "endpoints.json").write_text(text[:end])
        with pytest.raises(json.JSONDecodeError):
            SlimFiles().load_file(str(tmp_path / "endpoints"))


def test_a_compressed_file_is_read_and_a_missing_one_is_none(tmp_path):
    (tmp_path / "partitions.json.gz").write_bytes(gzip.compress(b"[1]"))
    assert SlimFiles().load_file(str(tmp_path / "partitions")) == [1]
    assert SlimFiles().load_file(str(tmp_path / "other")) is None
