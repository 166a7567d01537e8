"""The least rights that each kind of client needs in a bucket, and the life-cycle rules that a bucket may have.

The rule decided here: which request needs which action on which object, and so who is granted what.

| request | action | on |
| --- | --- | --- |
| GetObject, HeadObject of the current version | s3:GetObject | the object |
| the same where there may be none | also s3:ListBucket, else Amazon says "denied" instead of "not there" | the bucket |
| GetObject of a version | s3:GetObjectVersion | the object |
| PutObject, and every part of a multipart upload | s3:PutObject | the object |
| the same with If-Match | also s3:GetObject | the object |
| AbortMultipartUpload | s3:AbortMultipartUpload | the object |
| DeleteObject of a version, DeleteObjects | s3:DeleteObjectVersion | the object |
| ListObjectVersions | s3:ListBucketVersions | the bucket |
| ListMultipartUploads | s3:ListBucketMultipartUploads | the bucket |
| Get-, PutBucketVersioning | s3:GetBucketVersioning, s3:PutBucketVersioning | the bucket |
| Get-, PutBucketLifecycleConfiguration | s3:GetLifecycleConfiguration, s3:PutLifecycleConfiguration | the bucket |

Who sends what:

- Readers follow the chain of diffs (current, then by version) down to a checkpoint, fetch that and files by version,
  and read the salt object and, to list them for `repair`, its versions. A listing finds the versions of the diffs, and
  for `verify` those of the files.
- Writers read and write diffs, checkpoints and claim (a recovery reads an earlier version of the claim), append to the
  garbage list, read the salt object, upload files, and look for orphans and unfinished uploads. They read no file.
- Whoever does both may delete versions of files, too, and of checkpoints that no diff names, and of nothing else.
- Setup switches versioning on, tries conditional writes on the claim, makes and changes the keys, reads the diffs
  before it makes some, stores the recovery kit, and writes life-cycle rules.

Nobody is granted s3:DeleteObject, which makes delete markers. With a prefix, listing is restricted to it as far as the
store tells the prefix. It does not where an object is asked for that is not there, which is judged as a listing without
prefix; and for listings of uploads Amazon does not, but SeaweedFS does. So whoever has the rights sees the names of
current objects and unfinished uploads in the whole bucket. (StringLikeIfExists would say both at once, but SeaweedFS
does not know it.)

Days of the life-cycle rules: both are long, because cutting short does harm and waiting costs little. An old claim
lists the keys of a transaction that may have been open for weeks; once it has expired, recovery looks through all
files. An old garbage list is what is left of one that somebody emptied. An unfinished upload may be a large file on a
slow line, still under way; those that are left over are given up by the next backup or collection, long before.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, StrEnum

from attrs import asdict, frozen

from rrbackup.errors import UsageError

Document = dict[str, object]
"""JSON as Amazon takes it."""

KIT = "RECOVER"
"""The folder of the recovery kit."""

_KEEP_DAYS = 30
_ABORT_DAYS = 30
_MAX_ID = 255


@frozen
class Place:
    """A repository in a bucket: the names of its objects as configured, relative to the prefix.

    `partition` is the part of Amazon's world that the bucket is in. Raises UsageError for an access point, whose
    rights are written another way.
    """

    bucket: str
    prefix: str = ""
    manifest: str = "manifest_diffs"
    claim: str = "gc_log"
    garbage: str = "garbage_objects"
    salt: str = "salt_file"
    files: str = "files"
    partition: str = "aws"
    checkpoint: str = "manifest_checkpoint"

    def __attrs_post_init__(self) -> None:
        if self.bucket.startswith("arn:"):
            raise UsageError(f"{self.bucket} is not the name of a bucket", hint="write its policy by hand")

    def key(self, name: str) -> str:
        """The full key of an object."""
        return f"{self.prefix}/{name}" if self.prefix else name

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:s3:::{self.bucket}"


# --- who needs what ----------------------------------------------------------------------------------------


class PolicyMode(StrEnum):
    """What a client is for."""

    READ_ONLY = "read-only"
    WRITE_ONLY = "write-only"
    READ_WRITE = "read-write"
    SETUP = "setup"

    @property
    def policy_name(self) -> str:
        """What the policy of a user is called."""
        return f"rrbackup-{self.value}"


def mode_named(name: str) -> PolicyMode:
    """Raises UsageError where there is no such kind of client."""
    try:
        return PolicyMode(name)
    except ValueError:
        modes = ", ".join(PolicyMode)
        raise UsageError(f"{name!r} is no kind of client", hint=f"there are {modes}") from None


class _On(Enum):
    """What a right is about, in the order in which policies name it."""

    BUCKET = "bucket"
    FILES = "files"
    MANIFEST = "manifest"
    CHECKPOINT = "checkpoint"
    CLAIM = "claim"
    GARBAGE = "garbage"
    SALT = "salt"
    KIT = "kit"


_Needs = Mapping[_On, tuple[str, ...]]

_GET, _GET_VERSION, _PUT = "GetObject", "GetObjectVersion", "PutObject"
_FIND, _LIST, _LIST_UPLOADS = "ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"
_PREFIX_TOLD = (_LIST, _LIST_UPLOADS)
_PREFIX_UNTOLD = (_FIND, _LIST_UPLOADS)

_READING: _Needs = {
    _On.BUCKET: (_FIND, _LIST),
    _On.FILES: (_GET_VERSION,),
    _On.MANIFEST: (_GET, _GET_VERSION),
    _On.CHECKPOINT: (_GET_VERSION,),
    _On.SALT: (_GET, _GET_VERSION),
}
_WRITING: _Needs = {
    _On.BUCKET: (_FIND, _LIST, _LIST_UPLOADS),
    _On.FILES: (_PUT, "AbortMultipartUpload"),
    _On.MANIFEST: (_GET, _GET_VERSION, _PUT),
    _On.CHECKPOINT: (_GET_VERSION, _PUT),
    _On.CLAIM: (_GET, _GET_VERSION, _PUT),
    _On.GARBAGE: (_GET, _PUT),
    _On.SALT: (_GET,),
}
_DELETING: _Needs = {_On.FILES: ("DeleteObjectVersion",), _On.CHECKPOINT: ("DeleteObjectVersion",)}
_SETTING_UP: _Needs = {
    _On.BUCKET: (
        *(_FIND, _LIST, "GetBucketVersioning", "PutBucketVersioning"),
        *("GetLifecycleConfiguration", "PutLifecycleConfiguration"),
    ),
    _On.MANIFEST: (_GET, _GET_VERSION),
    _On.CLAIM: (_GET, _PUT),
    _On.SALT: (_GET, _GET_VERSION, _PUT),
    _On.KIT: (_GET, _PUT),
}


def _needs(mode: PolicyMode) -> _Needs:
    match mode:
        case PolicyMode.READ_ONLY:
            return _READING
        case PolicyMode.WRITE_ONLY:
            return _WRITING
        case PolicyMode.READ_WRITE:
            return _together(_READING, _WRITING, _DELETING)
        case PolicyMode.SETUP:
            return _SETTING_UP


def _together(*all_needs: _Needs) -> _Needs:
    """Each right once, in the order in which it was named first."""
    return {on: tuple(dict.fromkeys(action for needs in all_needs for action in needs.get(on, ()))) for on in _On}


# --- policies ----------------------------------------------------------------------------------------------


def policy(mode: PolicyMode, place: Place) -> Document:
    """The IAM policy for clients in `mode`."""
    return {"Version": "2012-10-17", "Statement": list(_statements(_needs(mode), place))}


def _statements(needs: _Needs, place: Place) -> Iterator[Document]:
    yield from _bucket_statements(needs[_On.BUCKET], place)
    objects: dict[tuple[str, ...], list[str]] = {}
    for on in _On:
        if on is not _On.BUCKET and needs.get(on):
            objects.setdefault(needs[on], []).append(f"{place.arn}/{_pattern(on, place)}")
    for actions, resources in objects.items():
        yield _statement(actions, resources[0] if len(resources) == 1 else resources)


def _bucket_statements(actions: tuple[str, ...], place: Place) -> Iterator[Document]:
    if not place.prefix:
        yield _statement(actions, place.arn)
        return
    told, untold = {"StringLike": {"s3:prefix": f"{_literal(place.prefix)}/*"}}, {"Null": {"s3:prefix": "true"}}
    for listings, condition in ((_PREFIX_TOLD, told), (_PREFIX_UNTOLD, untold)):
        yield _statement([action for action in actions if action in listings], place.arn, condition)
    if of_the_whole := [action for action in actions if action not in _PREFIX_TOLD + _PREFIX_UNTOLD]:
        yield _statement(of_the_whole, place.arn)


def _statement(
    actions: Sequence[str], resource: str | list[str], condition: Mapping[str, object] | None = None
) -> Document:
    granted: Document = {"Effect": "Allow", "Action": [f"s3:{action}" for action in actions], "Resource": resource}
    return granted if condition is None else {**granted, "Condition": condition}


def _pattern(on: _On, place: Place) -> str:
    if on is _On.KIT:
        return f"{_literal(place.key(KIT))}/*"
    name = _literal(place.key(str(asdict(place)[on.value])))
    return f"{name}/*" if on is _On.FILES else name


def _literal(name: str) -> str:
    """A name as policies write it: what stands for something else there is written as a variable."""
    return "".join(f"${{{char}}}" if char in "*?$" else char for char in name)


# --- life-cycle rules --------------------------------------------------------------------------------------


def life_cycle(place: Place) -> Document:
    """The rules that let go what nothing refers to: old claims and garbage lists, and unfinished uploads.

    Raises UsageError where they would catch something else: a rule applies to all keys that begin as it says.
    """
    _check_told_apart(place)
    passing = {"NoncurrentVersionExpiration": {"NoncurrentDays": _KEEP_DAYS}}
    return {
        "Rules": [
            _rule("old versions", place.key(place.claim), passing),
            _rule("old versions", place.key(place.garbage), passing),
            _rule("unfinished uploads", place.key(place.manifest), {}),
            _rule("unfinished uploads", place.key(place.checkpoint), {}),
            _rule("unfinished uploads", place.key(f"{place.files}/"), {}),
        ]
    }


def _rule(what: str, prefix: str, more: Mapping[str, object]) -> Document:
    return {
        "ID": _id(f"rrbackup {what} of {prefix}"),
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        **more,
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _ABORT_DAYS},
    }


def _id(text: str) -> str:
    """Names one rule of one repository, so that several can share a bucket."""
    return text if len(text) <= _MAX_ID else f"rrbackup {hashlib.sha256(text.encode()).hexdigest()}"


def _check_told_apart(place: Place) -> None:
    lasting = (place.manifest, place.checkpoint, place.salt, f"{place.files}/", f"{KIT}/")
    for name in (place.claim, place.garbage):
        caught = next((other for other in lasting if other.startswith(name)), None)
        if caught is not None:
            raise UsageError(
                f'a life-cycle rule for "{name}" would also let old versions of "{caught}" expire: it begins the same',
                hint="no rule can be made for these names; leave the old versions where they are",
            )


def merged(
    existing: Iterable[Mapping[str, object]], ours: Iterable[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    """The rules of a bucket with ours among them: what bears the ID of one of ours gives way, the rest stays."""
    new = {rule["ID"]: rule for rule in ours}
    kept = [new.pop(rule.get("ID"), rule) for rule in existing]
    return [*kept, *new.values()]
