"""How to reach a bucket: the options, and the clients made from them.

There are two of boto3 because of repetitions. A conditional write must be sent once only: if one whose answer was lost
is repeated, the store refuses the repetition and a success looks like a failure. Everything else is repeated up to
ten times. A third, of obstore, moves the bodies of files. All keep one pace (`back_off`); none repeats by itself.
"""

from typing import TYPE_CHECKING

from attrs import field, frozen

from rrbackup.effects import obstore_client
from rrbackup.effects.back_off import ATTEMPTS, BackOff
from rrbackup.effects.s3_bodies import Bodies

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_s3.client import S3Client

_TIMEOUT_S = 60
_RACERS = 4


@frozen
class S3Options:
    """Where the bucket is. Without keys, boto3's usual chain applies: environment, profile, role.

    `endpoint` is the URL of a store other than Amazon's; `threads` how many requests may be under way at once.
    """

    bucket: str
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    prefix: str = ""
    threads: int = 10


@frozen
class Clients:
    """`once` sends each request a single time; the others repeat what failed for passing reasons."""

    patient: "S3Client" = field(repr=False)
    once: "S3Client" = field(repr=False)
    bodies: Bodies = field(repr=False)
    back_off: BackOff = field(repr=False)


def connect(options: S3Options) -> Clients:
    """Make the clients; nothing is sent yet. Raises what boto3 raises for a profile or URL that makes no sense."""
    import boto3  # here, because it takes long to load and most uses of the package do without

    session = boto3.session.Session(
        aws_access_key_id=options.access_key,
        aws_secret_access_key=options.secret_key,
        region_name=options.region,
        profile_name=options.profile,
    )

    back_off = BackOff()

    def client(attempts: int) -> "S3Client":
        made = session.client("s3", endpoint_url=options.endpoint, config=_config(options))
        back_off.attach(made, attempts)
        return made

    patient = client(ATTEMPTS)
    amazon = options.endpoint is None
    bodies = Bodies(lambda: obstore_client.connect(session, patient, options.bucket, amazon=amazon), back_off)
    return Clients(patient, client(1), bodies, back_off)


def _config(options: S3Options) -> "Config":
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=max(options.threads, _RACERS),
        connect_timeout=_TIMEOUT_S,
        read_timeout=_TIMEOUT_S,
        user_agent_extra="rrbackup",
    )
    return config if options.endpoint is None else config.merge(_plain_checksums())


def _plain_checksums() -> "Config":
    """Many stores fail on, or store as content, the checksum trailers that boto3 adds by default."""
    from botocore.config import Config

    return Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")
