"""Contents on their way: what those get who wait for another thread's upload."""

from collections.abc import Callable
from threading import Thread

import pytest

from rrbackup.effects.contents import Contents
from rrbackup.errors import SourceError, StoreUnavailable
from rrbackup.pure.dedup import DedupKey, dedup_key
from rrbackup.pure.model import ObjectRef, VersionId

KEY = dedup_key("0" * 64, ())
REF = ObjectRef("files/a", VersionId("v"), 1, "e")


def uploading(contents: Contents, upload: Callable[[], None]) -> None:
    with contents.reserved(KEY) as found:
        assert found is None
        upload()


def fails(error: Exception) -> Callable[[], None]:
    def upload() -> None:
        raise error

    return upload


def test_what_one_has_uploaded_the_others_get() -> None:
    contents = Contents({})
    uploading(contents, lambda: contents.add(KEY, REF))
    with contents.reserved(KEY) as found:
        assert found == REF


def test_where_the_store_failed_one_it_fails_all_who_want_the_same() -> None:
    contents, failed = Contents({}), list[Exception]()

    def waiting() -> None:
        try:
            contents.reserve(KEY)
        except StoreUnavailable as error:
            failed.append(error)

    twins = [Thread(target=waiting) for _ in range(3)]

    def upload() -> None:
        for twin in twins:
            twin.start()
        raise StoreUnavailable("no answer")

    with pytest.raises(StoreUnavailable):
        uploading(contents, upload)
    for twin in twins:
        twin.join()
    assert [str(error) for error in failed] == ["no answer"] * 3


def test_where_one_file_could_not_be_read_the_next_one_is_uploaded() -> None:
    contents = Contents({})
    with pytest.raises(SourceError):
        uploading(contents, fails(SourceError("gone")))
    uploading(contents, lambda: contents.add(KEY, REF))
    other: DedupKey = dedup_key("1" * 64, ())
    assert contents.find(other) is None
