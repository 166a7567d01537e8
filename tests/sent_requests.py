"""Counting the requests that really leave for an S3 server, whichever client library sends them."""

from urllib.parse import urlsplit

import botocore.httpsession
import obstore
import pytest
from botocore.awsrequest import AWSPreparedRequest


def sent_requests(patch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Method and path of every request from now on; of those that obstore sends, the key stands for the path."""
    sent: list[tuple[str, str]] = []
    by_boto3 = botocore.httpsession.URLLib3Session.send
    put, get = obstore.put, obstore.get

    def boto3_sends(self: botocore.httpsession.URLLib3Session, request: AWSPreparedRequest) -> object:
        sent.append((str(request.method), urlsplit(str(request.url)).path))
        return by_boto3(self, request)

    def obstore_puts(store: object, key: str, *arguments: object, **options: object) -> object:
        sent.append(("PUT", f"/{key}"))
        return put(store, key, *arguments, **options)  # type: ignore[arg-type]

    def obstore_gets(store: object, key: str, **options: object) -> object:
        sent.append(("GET", f"/{key}"))
        return get(store, key, **options)  # type: ignore[arg-type]

    patch.setattr(botocore.httpsession.URLLib3Session, "send", boto3_sends)
    patch.setattr(obstore, "put", obstore_puts)
    patch.setattr(obstore, "get", obstore_gets)
    return sent
