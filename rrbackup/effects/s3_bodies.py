"""The bodies of file objects, to and from S3: whole writes without condition, and streamed reads of one version.

These are the requests that a backup makes by the thousand, and obstore makes them with a tenth of the processor time
that boto3 takes (docs/decisions.md). Everything else goes through boto3.
"""

from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from rrbackup.effects.back_off import ATTEMPTS, BackOff
from rrbackup.effects.obstore_client import AsBoto3
from rrbackup.effects.s3_answers import check_version, version_of
from rrbackup.effects.s3_errors import Asked
from rrbackup.effects.store import Stored
from rrbackup.effects.store_rules import MIB
from rrbackup.pure.model import VersionId

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, PutResult
    from obstore.store import S3Store

T = TypeVar("T")

_BEHIND_THE_END = 416


class Bodies:
    """Moves bodies at the pace of `back_off`. Safe to use from several threads. Its methods raise what boto3 raises.

    `connect` is called when the first body is moved, `ready` before each request: it raises where none can be signed.
    """

    def __init__(self, connect: "Callable[[], S3Store]", back_off: BackOff, ready: Callable[[], None]) -> None:
        self._connect = connect
        self._back_off = back_off
        self._ready = ready
        self._connected: S3Store | None = None
        self._lock = Lock()

    def put(
        self, key: str, data: bytes, metadata: Mapping[str, str], storage_class: str | None, asked: Asked
    ) -> Stored:
        """Write `data` under the full key. Raises NotVersioned."""
        import obstore

        store = self._store()
        attributes = {**metadata, **({"Storage-Class": storage_class} if storage_class else {})}

        def send() -> "PutResult":
            return obstore.put(store, key, data, use_multipart=False, attributes=attributes)

        answer, attempts = self._repeated("PutObject", asked, send)
        version_id = version_of({"VersionId": answer["version"]}, asked.place)
        return Stored(version_id, answer["e_tag"] or "", len(data), attempts)

    def open(
        self, key: str, version_id: VersionId, start: int, end: int | None, asked: Asked
    ) -> Iterator[bytes] | None:
        """The bytes of one version from `start` to before `end`; None where that lies behind its end.

        Raises ObjectMissing. A body that is cut off raises while it is read.
        """
        import obstore
        from botocore.exceptions import ClientError

        store, options = self._store(), _options(version_id, start, end)

        def send() -> "GetResult":
            return obstore.get(store, key, options=options)

        try:
            answer, _ = self._repeated("GetObject", asked, send)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == _BEHIND_THE_END:
                return None
            raise
        check_version({"VersionId": answer.meta["version"]}, version_id, asked.place)
        return _chunks(answer, asked)

    def _store(self) -> "S3Store":
        if self._connected is None:
            with self._lock:
                if self._connected is None:
                    self._connected = self._connect()
        return self._connected

    def _repeated(self, operation: str, asked: Asked, send: Callable[[], T]) -> tuple[T, int]:
        def once() -> T:
            self._ready()
            with AsBoto3(operation, asked.place):
                return send()

        return self._back_off.repeated(ATTEMPTS, once)


def _options(version_id: VersionId, start: int, end: int | None) -> "GetOptions":
    if end is not None:
        return {"version": version_id, "range": (start, end)}
    return {"version": version_id, "range": {"offset": start}} if start else {"version": version_id}


def _chunks(answer: "GetResult", asked: Asked) -> Iterator[bytes]:
    """A small body in one call: threads that ask for each chunk wait for one another."""
    start, end = answer.range
    if end - start <= MIB:
        with AsBoto3("GetObject", asked.place):
            yield answer.bytes().to_bytes()
        return
    stream = iter(answer.stream(min_chunk_size=MIB // 2))
    while True:
        with AsBoto3("GetObject", asked.place):
            chunk = next(stream, None)
        if chunk is None:
            return
        yield from (chunk[at : at + MIB] for at in range(0, len(chunk), MIB))
