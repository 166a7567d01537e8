"""What is particular to a bucket: its clock, versioning, life-cycle rules, and what the credentials may really do.

The rule decided here: a right is tried with a request that could change nothing even if everything went wrong. Reading
is tried with one byte of a version that is there (not with a HEAD, for which stores ask different rights). Deleting is
tried with a DeleteObject of the version `null` of a key that was drawn at random, in a folder where no file can be: a
version is named, so no delete marker can come of it; `null` is an id that every store takes for well-formed, so the
answer is about the right and not about the id; and nobody has written under that key. It is not tried where versioning
is known to be off. Writing cannot be tried without writing.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from rrbackup.config import Config
from rrbackup.effects.applying import bucket_client, life_cycle_rules, place_of
from rrbackup.effects.s3_answers import date_ns
from rrbackup.effects.s3_errors import Asked, Translated
from rrbackup.effects.store import Store
from rrbackup.errors import AccessDenied, ObjectMissing
from rrbackup.pure import diagnosis
from rrbackup.pure.diagnosis import Diagnosis
from rrbackup.pure.expiry import harmful
from rrbackup.pure.model import ListedVersion

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOBODYS_FOLDER = "%doctor"
"""`%do` is no escape, so no path has a key below it."""

Looks = Iterator[tuple[str, Callable[[], Iterable[Diagnosis]]]]


def look_at_bucket(config: Config, store: Store) -> Looks:
    """What is to be looked at, and how."""
    bucket = _Bucket(config, store)
    yield "clock", bucket.clock
    yield "versioning", bucket.versioning
    yield "life-cycle rules", bucket.life_cycle
    yield "right to read files", bucket.reading
    yield "right to delete versions", bucket.deleting
    yield "right to write", bucket.writing


class _Bucket:
    def __init__(self, config: Config, store: Store) -> None:
        assert config.s3 is not None
        self._mode = config.mode
        self._place = place_of(config)
        self._name = config.s3.bucket
        self._store = store
        self._client: S3Client = bucket_client(config.s3, store)
        self._versioned: bool | None = None

    def clock(self) -> Iterator[Diagnosis]:
        before = time.time_ns()
        with Translated(self._asked("list the versions of", self._place.manifest, "s3:ListBucketVersions")):
            answer = self._client.list_object_versions(
                Bucket=self._name, Prefix=self._place.key(self._place.manifest), MaxKeys=1
            )
        yield diagnosis.of_clock(before, date_ns(answer["ResponseMetadata"]), time.time_ns())

    def versioning(self) -> Iterator[Diagnosis]:
        with Translated(Asked("read the versioning of", f"s3://{self._name}", "s3:GetBucketVersioning")):
            status = self._client.get_bucket_versioning(Bucket=self._name).get("Status", "")
        self._versioned = status == "Enabled"
        yield diagnosis.of_versioning(status)

    def life_cycle(self) -> Iterator[Diagnosis]:
        found = life_cycle_rules(self._client, self._name)
        rules: list[Any] = list(found["Rules"]) if found is not None else []
        yield from diagnosis.of_life_cycle(len(rules), harmful(rules, self._place))

    # --- rights ----------------------------------------------------------------------------------------------------

    def reading(self) -> Iterator[Diagnosis]:
        row = self._some_file()
        if row is None:
            yield diagnosis.unknown("right to read files", "there is no file yet to try it on")
            return
        yield diagnosis.of_reading(self._mode, _granted(partial(self._read_a_byte, row)))

    def _read_a_byte(self, row: ListedVersion) -> None:
        with self._store.read(row.key, row.version_id, 0, 1) as chunks:
            next(chunks, None)

    def _some_file(self) -> ListedVersion | None:
        rows = self._store.list_versions(f"{self._place.files}/")
        return next((row for row in rows if not row.marker), None)

    def deleting(self) -> Iterator[Diagnosis]:
        if self._versioned is False:
            yield diagnosis.unknown("right to delete versions", "not tried while the bucket keeps no versions")
            return
        key = f"{self._place.files}/{NOBODYS_FOLDER}/{secrets.token_hex(16)}"
        yield diagnosis.of_deleting(self._mode, _granted(partial(self._delete_nothing, key)))

    def _delete_nothing(self, key: str) -> None:
        with Translated(self._asked("delete a version that does not exist of", key, "s3:DeleteObjectVersion")):
            self._client.delete_object(Bucket=self._name, Key=self._place.key(key), VersionId="null")

    def writing(self) -> Iterator[Diagnosis]:
        yield diagnosis.unknown("right to write", "it cannot be tried without writing; the next backup shows it")

    def _asked(self, verb: str, key: str, action: str) -> Asked:
        return Asked(verb, f"s3://{self._name}/{self._place.key(key)}", action)


def _granted(request: Callable[[], None]) -> bool:
    try:
        request()
    except AccessDenied:
        return False
    except ObjectMissing:
        pass  # asked for by somebody who may
    return True
