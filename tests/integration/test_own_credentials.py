"""A program's own credentials reach every request, of boto3 and of obstore, and are the newest in each."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rrbackup import AccessDenied, Config, Credentials, S3Settings, Verdict, open_repository
from rrbackup.effects import obstore_client
from rrbackup.effects.s3 import S3Options, S3Store
from rrbackup.effects.s3_client import session_of
from rrbackup.pure.model import VersionId
from tests import scripted_s3
from tests.integration.rights import iam_client, new_user
from tests.integration.trees import look, write
from tests.scripted_s3 import STORED, Script
from tests.servers import S3Server


@pytest.fixture(autouse=True)
def _nothing_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_s3.running() as script:
        yield script


def short_lived() -> Callable[[], Credentials]:
    """Each time others, which are about to expire."""
    numbers = iter(range(1, 1000))

    def provider() -> Credentials:
        number = next(numbers)
        return Credentials(f"KEY{number}", "hidden", f"token-{number}", datetime.now(UTC) + timedelta(seconds=50))

    return provider


def scripted(script: Script, provider: Callable[[], Credentials]) -> S3Store:
    script.answers[:] = [STORED]
    return S3Store(S3Options("bucket", endpoint=script.endpoint, region="us-east-1", credentials=provider))


def test_each_request_of_either_client_is_signed_with_what_was_handed_in(script: Script) -> None:
    store = scripted(script, short_lived())
    store.put("files/a", b"through obstore")
    store.head("files/a")
    with store.read("files/a", VersionId("v")) as chunks:
        list(chunks)
    tokens = [int(seen.headers["x-amz-security-token"].removeprefix("token-")) for seen in script.seen]
    keys = [re.findall(r"Credential=KEY(\d+)/", seen.headers["authorization"]) for seen in script.seen]
    assert len(set(tokens)) > 1
    assert keys == [[str(token)] for token in tokens]


def test_obstore_and_boto3_ask_for_the_same_credentials() -> None:
    session = session_of(S3Options("bucket", credentials=short_lived()))
    asked_by_obstore = obstore_client._credentials(session)
    of_boto3 = session.get_credentials()
    assert of_boto3 is not None
    tokens = asked_by_obstore()["token"], of_boto3.get_frozen_credentials().token, asked_by_obstore()["token"]
    assert tokens == ("token-1", "token-2", "token-3")


REQUESTS: dict[str, Callable[[S3Store], object]] = {
    "obstore": lambda store: store.put("files/a", b"x"),
    "boto3": lambda store: store.head("files/a"),
}


@pytest.mark.parametrize("good", [0, 1, 10])
@pytest.mark.parametrize("client", REQUESTS)
def test_a_provider_that_fails_is_told_of_and_not_asked_ten_times(script: Script, client: str, good: int) -> None:
    """Also after `good` answers of it, which are about to expire."""
    some, asked = short_lived(), []

    def provider() -> Credentials:
        asked.append(1)
        if len(asked) <= good:
            return some()
        raise OSError("the vault is sealed")

    store = scripted(script, provider)

    def ask() -> None:
        for _ in range(20):
            REQUESTS[client](store)

    with pytest.raises(AccessDenied, match="the vault is sealed") as caught:
        ask()
    assert "Whatever gives out the credentials" in caught.value.hint
    # obstore asks by itself once what it was given is a moment old; after its failure the next attempt asks again
    assert good < len(asked) <= good + (2 if client == "obstore" else 1)
    assert len(script.seen) <= good


def config_for(folder: Path, server: S3Server, bucket: str) -> Config:
    """It holds keys that nobody knows: those that are handed in have to take their place."""
    write(folder / "base", {"a": b"1", "d/b": b"2"})
    return Config(
        base_path=folder / "base",
        local_manifest_file=folder / "manifest",
        local_lock_file=folder / "lock",
        s3=S3Settings(
            bucket=bucket, endpoint=server.endpoint, region="us-east-1", access_key="unknown", secret_key="unknown"
        ),
    )


def test_all_that_a_repository_does_goes_with_the_credentials_handed_in(seaweed: S3Server, tmp_path: Path) -> None:
    config = config_for(tmp_path, seaweed, seaweed.new_bucket(versioned=False))
    keys = Credentials(seaweed.access_key, seaweed.secret_key)
    with open_repository(config, credentials=keys, cancelled=lambda: False) as repository:
        repository.init()
        repository.backup()
        repository.download("latest", tmp_path / "out")
        assert repository.apply_lifecycle().changed
        found = {one.subject: one.verdict for one in repository.doctor()}
    assert look(tmp_path / "out") == look(config.base())
    assert found["store"] is found["versioning"] is found["right to read files"] is Verdict.FINE
    with pytest.raises(AccessDenied):
        open_repository(config).list_versions()


def test_a_backup_goes_on_when_its_credentials_change_and_the_old_ones_are_withdrawn(
    seaweed: S3Server, tmp_path: Path
) -> None:
    """The key is deleted while the tree is looked at; the provider has the next one by then."""
    config = config_for(tmp_path, seaweed, seaweed.new_bucket())
    iam = iam_client(seaweed)
    name, user = new_user(iam, seaweed)
    everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=everything)
    current = [user]

    def provider() -> Credentials:
        end = datetime.now(UTC) + timedelta(minutes=2)  # so each request asks
        return Credentials(current[0].access_key, current[0].secret_key, expires_at=end)

    def change(_: object) -> None:
        if current[0] is user:
            current[0] = seaweed
            iam.delete_access_key(UserName=name, AccessKeyId=user.access_key)

    with open_repository(config, credentials=provider, threads=1) as repository:
        assert repository.backup(on_event=change).complete
        assert current == [seaweed]
        assert [entry.path for entry in repository.list_files()] == ["/a", "/d/b"]
