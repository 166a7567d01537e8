"""How to reach a bucket: the options, and the clients made from them.

There are two of boto3 because of repetitions. A conditional write must be sent once only: if one whose answer was lost
is repeated, the store refuses the repetition and a success looks like a failure. Everything else is repeated up to
ten times. A third, of obstore, moves the bodies of files. All keep one pace (`back_off`); none repeats by itself.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, cast

from attrs import field, frozen

from rrbackup.effects import obstore_client
from rrbackup.effects.back_off import ATTEMPTS, BackOff
from rrbackup.effects.credentials import Provider
from rrbackup.effects.s3_bodies import Bodies
from rrbackup.effects.spare import AT_ONCE, Spare

if TYPE_CHECKING:
    from botocore.config import Config
    from botocore.session import Session
    from mypy_boto3_s3.client import S3Client
    from obstore.store import S3Store

_TIMEOUT_S = 60
_RACERS = 4


@frozen
class S3Options:
    """Where the bucket is. Without keys, boto3's usual chain applies: environment, profile, role.

    `endpoint` is the URL of a store other than Amazon's; `threads` how many requests may be under way at once;
    `credentials` takes the place of all other keys; `wait` is what pauses between requests; `deletes` says whether a
    request may delete anything at all.
    """

    bucket: str
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    prefix: str = ""
    threads: int = 10
    credentials: Provider | None = field(default=None, repr=False)
    wait: Callable[[float], None] = time.sleep
    deletes: bool = True


class Clients:
    """`once` sends each request a single time; the others repeat what failed for passing reasons."""

    def __init__(self, options: S3Options) -> None:
        """Nothing is sent yet. Raises what botocore raises for a profile or URL that makes no sense."""
        self._options = options
        self.deletes = options.deletes
        self._session = session_of(options)
        self._lock = Lock()
        self._once: S3Client | None = None
        self.back_off = BackOff(wait=options.wait)
        self.spare = Spare()
        self.patient = self._client(ATTEMPTS)
        self.bodies = Bodies(self._connect, self.back_off, self._look_for_credentials)

    @property
    def once(self) -> "S3Client":
        """Made when it is needed first: whoever only reads does without, and it takes long."""
        with self._lock:
            if self._once is None:
                self._once = self._client(1)
            return self._once

    def _client(self, attempts: int) -> "S3Client":
        made = self._session.create_client(
            "s3",
            region_name=self._options.region,
            endpoint_url=self._options.endpoint,
            config=_config(self._options),
        )
        client = cast("S3Client", made)
        self.back_off.attach(client, attempts)
        return client

    def _connect(self) -> "S3Store":
        amazon = self._options.endpoint is None
        return obstore_client.connect(self._session, self.patient, self._options.bucket, amazon=amazon)

    def _look_for_credentials(self) -> None:
        """Raises what boto3 raises where they are not to be had: obstore would only tell that something went wrong."""
        found = self._session.get_credentials()
        if found is not None:
            found.get_frozen_credentials()


def session_of(options: S3Options) -> "Session":
    """Raises what botocore raises for a profile that makes no sense."""
    from botocore.session import Session  # not boto3's, which loads for as long again what is not needed here

    from rrbackup.effects.botocore_loading import load_quickly

    session = Session(profile=options.profile)
    load_quickly(session)
    if options.credentials is not None:
        from rrbackup.effects.renewed_credentials import RenewedCredentials, hand_in

        hand_in(session, RenewedCredentials(options.credentials))
    elif options.access_key or options.secret_key:
        session.set_credentials(options.access_key or "", options.secret_key or "")
    return session


def _config(options: S3Options) -> "Config":
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=max(options.threads, _RACERS) + AT_ONCE,
        connect_timeout=_TIMEOUT_S,
        read_timeout=_TIMEOUT_S,
        user_agent_extra="rrbackup",
    )
    return config if options.endpoint is None else config.merge(_plain_checksums())


def _plain_checksums() -> "Config":
    """Many stores fail on, or store as content, the checksum trailers that boto3 adds by default."""
    from botocore.config import Config

    return Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")
