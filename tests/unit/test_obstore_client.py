"""The client for bodies is made like boto3's, and fails in boto3's words. Nothing here is sent."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from botocore import exceptions as boto
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects import obstore_client
from rrbackup.effects.obstore_client import AsBoto3, takes
from rrbackup.pure.names import object_key, path_text


def session_with_keys() -> Session:
    session = Session()
    session.set_credentials("key", "secret", "token")
    return session


def client(endpoint: str | None, region: str = "eu-west-1") -> Any:
    return session_with_keys().create_client("s3", region_name=region, endpoint_url=endpoint)


@given(
    st.lists(st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name), min_size=1)
)
def test_every_key_that_rrbackup_writes_is_taken(names: list[bytes]) -> None:
    if {b".", b".."}.isdisjoint(names):
        assert takes(object_key("files", path_text(b"/".join(names)), 0))


@pytest.mark.parametrize(
    "key", ["files//a", "files/a/", "/files", "files/./a", "files/../a", "files/a\nb", "a\x7f", ""]
)
def test_what_would_be_refused_or_changed_is_not_taken(key: str) -> None:
    assert not takes(key)


@pytest.mark.parametrize(
    ("endpoint", "bucket", "address"),
    [
        ("http://127.0.0.1:8333", "bucket", ("http://127.0.0.1:8333", False)),
        ("https://s3.example.com/below", "bucket", ("https://s3.example.com/below", False)),
        (None, "bucket", ("https://bucket.s3.amazonaws.com", True)),
        (None, "with.dots", ("https://s3.eu-west-1.amazonaws.com", False)),
    ],
)
def test_the_address_is_that_of_boto3(endpoint: str | None, bucket: str, address: tuple[str, bool]) -> None:
    assert obstore_client._address(client(endpoint), bucket) == address


def test_credentials_are_asked_for_again_before_they_expire() -> None:
    current = obstore_client._credentials(session_with_keys())()
    assert (current["access_key_id"], current["secret_access_key"], current.get("token")) == ("key", "secret", "token")
    expires = current["expires_at"]
    assert expires is not None
    assert expires - datetime.now(UTC) < timedelta(minutes=10)


def test_without_credentials_the_error_is_that_of_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    monkeypatch.setattr(session, "get_credentials", lambda: None)
    with pytest.raises(boto.NoCredentialsError):
        obstore_client._credentials(session)


def test_the_authorities_of_boto3_are_trusted(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"certificates")
    session = session_with_keys()
    session.set_config_variable("ca_bundle", str(bundle))
    options = obstore_client._client_options(session, "https://x")
    assert options.get("root_certificate") == b"certificates"
    assert options.get("allow_http") is False
    assert obstore_client._client_options(session, "http://x").get("allow_http") is True


def test_the_region_of_an_amazon_bucket_is_where_it_is() -> None:
    class Elsewhere:
        def head_bucket(self, Bucket: str) -> dict[str, Any]:  # noqa: N803 (boto3's spelling)
            return {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": f"region-of-{Bucket}"}}}

    assert obstore_client._region(cast("Any", Elsewhere()), "b") == "region-of-b"


SAID = "Generic S3 error: Error performing PUT http://x/b/k in 1ms - "
REFUSED = SAID + "Server returned non-2xx status code: 503 Service Unavailable: "


@pytest.mark.parametrize(
    ("text", "kind", "code", "status"),
    [
        (
            REFUSED + "<Error><Code>SlowDown</Code><Message>a &amp; b</Message></Error>",
            boto.ClientError,
            "SlowDown",
            503,
        ),
        (REFUSED, boto.ClientError, "503", 503),
        (
            SAID + "HTTP error: error sending request\n\nDebug source:\nkind: Connect,",
            boto.EndpointConnectionError,
            "",
            0,
        ),
        (SAID + "HTTP error: error sending request\n\nDebug source:\nkind: Timeout,", boto.ReadTimeoutError, "", 0),
        (
            SAID + "HTTP error: error sending request\n\nDebug source:\nkind: Request,",
            boto.ConnectionClosedError,
            "",
            0,
        ),
        ("Generic S3 error: HTTP error: request or response body error", boto.ResponseStreamingError, "", 0),
        ("Generic S3 error: something new", boto.HTTPClientError, "", 0),
    ],
)
def test_errors_are_told_in_the_words_of_boto3(text: str, kind: type[Exception], code: str, status: int) -> None:
    from obstore.exceptions import GenericError

    with pytest.raises(kind) as caught, AsBoto3("PutObject", "http://x"):
        raise GenericError(text)
    if isinstance(caught.value, boto.ClientError):
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
