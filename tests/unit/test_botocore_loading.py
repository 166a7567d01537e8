"""botocore's descriptions, loaded quickly, say what they say otherwise, and come from the same folders."""

import json
from pathlib import Path

import pytest
from botocore.exceptions import UnknownServiceError
from botocore.session import Session

from rrbackup.effects.botocore_loading import load_quickly
from tests import quicker


@pytest.fixture(autouse=True)
def read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    quicker.descriptions_anew(monkeypatch)


def quick_session() -> Session:
    session = Session()
    load_quickly(session)
    return session


@pytest.mark.parametrize("service", ["s3", "iam", "sts"])
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "paginators-1"])
def test_descriptions_are_the_same(service: str, kind: str) -> None:
    usual, quick = Session().get_component("data_loader"), quick_session().get_component("data_loader")
    assert quick.load_service_model(service, kind) == usual.load_service_model(service, kind)


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_other_files_are_the_same(name: str) -> None:
    usual, quick = Session().get_component("data_loader"), quick_session().get_component("data_loader")
    assert quick.load_data(name) == usual.load_data(name)


def test_a_service_that_does_not_exist_is_told() -> None:
    with pytest.raises(UnknownServiceError):
        quick_session().get_service_model("nonsense")


def test_folders_that_the_user_has_named_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "mine" / "2020-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps({"metadata": {"serviceId": "mine"}}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_DATA_PATH", "~/models")
    assert quick_session().get_component("data_loader").load_service_model("mine", "service-2")["metadata"]
