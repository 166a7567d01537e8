"""An administrator and a restricted user of one repository, and all that each mode of client is for.

`quicker` keeps boto3's clients from being made twice for the same bucket and keys.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from rrbackup import CryptoSettings, PipelineRule, S3Settings, Word
from rrbackup.effects.applying import apply_life_cycle, place_of
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.s3_client import Clients
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD
from rrbackup.events import Event, FileDone
from rrbackup.pure.policies import Place, PolicyMode, policy
from tests.integration.conftest import Bench
from tests.integration.rights import Accounts, Json
from tests.integration.trees import look, write
from tests.servers import S3Server

PREFIX = "machines/this one"
PASSWORD, NEW_PASSWORD = "correct horse", "battery staple"
CRYPTO = CryptoSettings(crypt_password=PASSWORD, kdf_passes=4, kdf_memory=32 << 20)
PIPELINE = (PipelineRule("/secret*", (Word.ENCRYPT,)), PipelineRule("*"))
SMALL = {"a": b"1", "d/b": b"2", "secret": b"3"}
LARGE = {"large": b"4" * (MULTIPART_THRESHOLD + 1)}

MakeBench = Callable[..., Bench]


def quicker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("rrbackup.effects.s3.Clients", cache(Clients))


@frozen
class World:
    """`user` has no rights at first; both back up the same tree, with local files of their own.

    `server` has the keys of the administrator, `own` those of the user.
    """

    accounts: Accounts
    own: S3Server
    bucket: str
    name: str
    admin: Bench
    user: Bench
    out: Path

    @property
    def server(self) -> S3Server:
        return self.accounts.server

    @property
    def place(self) -> Place:
        return place_of(self.user.config)

    def judged(self) -> AbstractContextManager[None]:
        return self.accounts.judged()

    def give(self, statements: list[Json]) -> None:
        self.accounts.grant(self.name, statements)

    def apply(self, *modes: PolicyMode) -> None:
        """The rights that are printed for these modes."""
        self.give([statement for mode in modes for statement in statements(mode, self.place)])

    def leave_an_upload(self, key: str) -> None:
        """One that somebody began and never ended."""
        client = self.server.client()
        client.create_multipart_upload(Bucket=self.bucket, Key=self.place.key(key))
        client.close()


MakeWorld = Callable[..., World]


def statements(mode: PolicyMode, place: Place) -> list[Json]:
    found: Any = policy(mode, place)["Statement"]
    return list(found)


def new_world(make_bench: MakeBench, accounts: Accounts, folder: Path, mode: PolicyMode, prefix: str = "") -> World:
    server = accounts.server
    bucket = server.new_bucket(versioned=mode is not PolicyMode.SETUP)
    name, own = accounts.new_user()
    base = make_bench(S3Store(server.options(bucket, prefix)), crypto=CRYPTO, file_pipeline=PIPELINE)
    admin = evolve(base, config=with_keys(base, server, bucket, prefix))
    user = admin.other_client(folder / "user")
    config = evolve(with_keys(user, own, bucket, prefix), **settings_of(mode))
    user = evolve(user, store=S3Store(own.options(bucket, prefix)), config=config)
    write(admin.base, SMALL)
    if mode is not PolicyMode.SETUP:
        admin.open().prepare()
    return World(accounts, own, bucket, name, admin, user, folder / "out")


def with_keys(bench: Bench, server: S3Server, bucket: str, prefix: str) -> Any:
    settings = S3Settings(
        bucket=bucket,
        prefix=prefix,
        endpoint=server.endpoint,
        region="us-east-1",
        access_key=server.access_key,
        secret_key=server.secret_key,
    )
    return evolve(bench.config, directory=None, s3=settings)


def settings_of(mode: PolicyMode) -> dict[str, bool]:
    return {"read_only": mode is PolicyMode.READ_ONLY, "write_only": mode is PolicyMode.WRITE_ONLY}


# --- all that each mode is for -----------------------------------------------------------------------------


class Interruption(Exception):
    """Somebody pulls the plug."""


def pull_the_plug(event: Event) -> None:
    if isinstance(event, FileDone) and event.uploaded:
        raise Interruption


def interrupted_backup(bench: Bench) -> None:
    with pytest.raises(Interruption):
        bench.open().backup(on_event=pull_the_plug)


def read(world: World) -> None:
    """From an empty repository on; then two commits of the administrator."""
    with world.judged():
        assert world.user.open().list_versions() == ()
    world.admin.backup()
    write(world.admin.base, {"a": b"changed"})
    world.admin.backup()
    with world.judged():
        reader = world.user.open()
        assert len(reader.list_versions()) == 2
        assert [change.entry.path for change in reader.list_changes()] == ["/a"]
        assert len(list(reader.list_files("latest~1"))) == len(SMALL)
        assert reader.plan_backup().planned == ()
        assert reader.download("latest", world.out).problems == ()
        assert [version.opens for version in reader.salt_versions()] == [True]
        assert reader.verify(read_data=True).sound
    assert look(world.out) == look(world.admin.base)


def back_up(world: World) -> None:
    """A backup after an interrupted one that left versions and an unfinished upload behind; then a second one.

    What was interrupted has changed since, so that its uploads are of no use.
    """
    with world.judged():
        interrupted_backup(world.user)
    world.leave_an_upload("files/a")
    write(world.user.base, {**changed(SMALL), **LARGE})
    with world.judged():
        assert world.user.backup().counts.new == len(SMALL) + len(LARGE)
        write(world.user.base, {"a": b"changed once more"})
        assert world.user.backup().counts.changed == 1
        assert len(world.user.open().list_versions()) == 2
        assert world.user.open().verify().sound
    assert list(world.admin.store.list_uploads("files/")) == []
    assert world.admin.open().clean_gc_log().deleted != ()
    assert world.admin.open().download("latest", world.out / "backed up").problems == ()
    assert look(world.out / "backed up") == look(world.user.base)


def do_everything(world: World) -> None:
    with world.judged():
        assert world.user.open().list_versions() == ()
    leave_garbage(world)
    with world.judged():
        assert len(world.user.open().clean_gc_log().deleted) > 0
    write(world.user.base, {"a": b"newer", "d/b": b"newer too"})
    with world.judged():
        interrupted_backup(world.user)
    world.leave_an_upload("files/a")
    write(world.user.base, {"a": b"newest", "d/b": b"newest too"})
    with world.judged():
        worker = world.user.open()
        assert worker.backup().counts.changed == 2
        assert worker.download("latest~1", world.out).problems == ()
        assert worker.download("latest", world.out).problems == ()
        assert [version.opens for version in worker.salt_versions()] == [True]
        assert worker.garbage_collect().deleted == ()
        assert worker.verify(read_data=True).sound
        assert worker.heal(read_data=True).version_id is None
    assert look(world.out) == look(world.user.base)
    assert world.admin.open().clean_gc_log().deleted == ()


def changed(tree: dict[str, bytes]) -> dict[str, bytes]:
    return {path: content + b" changed" for path, content in tree.items()}


def leave_garbage(world: World) -> None:
    """As clients do that may only write, when one of them died: the other has no use for what the first one sent."""
    writer = evolve(world.admin, config=evolve(world.admin.config, write_only=True))
    interrupted_backup(writer)
    writer.other_client(world.out.with_name("another writer")).backup(take_over=True)


def set_up(world: World) -> None:
    """From a bucket without versions on; keys come into a repository that has commits already."""
    without_keys = {"crypto": None, "file_pipeline": (PipelineRule("*"),)}
    with world.judged():
        world.user.open(**without_keys).prepare()
    for content in (b"1", b"2"):
        write(world.admin.base, {"a": content})
        world.admin.open(**without_keys).backup()
    with world.judged():
        keeper = world.user.open()
        assert len(keeper.prepare()) == 1
        assert len(keeper.store_recovery_kit()) == 3
        (first,) = keeper.salt_versions()
        keeper.change_password(NEW_PASSWORD)
        keeper.repair_salt(first.version_id)
        assert apply_life_cycle(world.user.config).changed
    assert world.admin.open().salt_versions()[0].opens


WORK: dict[PolicyMode, Callable[[World], None]] = {
    PolicyMode.READ_ONLY: read,
    PolicyMode.WRITE_ONLY: back_up,
    PolicyMode.READ_WRITE: do_everything,
    PolicyMode.SETUP: set_up,
}


# --- the policies of rrbackup 1.0 --------------------------------------------------------------------------

_BUCKET, _ALL = "arn:aws:s3:::YOUR-BUCKET", "arn:aws:s3:::YOUR-BUCKET/*"
OLD_POLICIES: dict[PolicyMode, list[Json]] = {
    PolicyMode.READ_ONLY: [
        {
            "Effect": "Allow",
            "Action": [
                *("s3:ListBucket", "s3:GetBucketVersioning", "s3:ListBucketVersions"),
                *("s3:getObject", "s3:GetObjectVersion"),
            ],
            "Resource": [_BUCKET, _ALL],
        }
    ],
    PolicyMode.WRITE_ONLY: [
        {
            "Effect": "Allow",
            "Action": [
                *("s3:ListBucket", "s3:PutObject", "s3:PutObjectAcl", "s3:GetBucketVersioning"),
                *("s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"),
                "s3:ListBucketVersions",
            ],
            "Resource": [_BUCKET, _ALL],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:getObject", "s3:GetObjectVersion"],
            "Resource": [f"{_BUCKET}/{name}" for name in ("salt_file", "manifest_diffs", "gc_log", "garbage_objects")],
        },
        {"Effect": "Allow", "Action": ["s3:deleteObject"], "Resource": [f"{_BUCKET}/gc_log"]},
    ],
}
"""As the README of rrbackup 1.0 gave them, with the comma that it lacked."""


def old_statements(mode: PolicyMode, bucket: str) -> list[Json]:
    """Amazon does not mind the case of actions, but other stores do."""
    text = json.dumps(OLD_POLICIES[mode]).replace("YOUR-BUCKET", bucket)
    found: list[Json] = json.loads(text.replace("s3:getObject", "s3:GetObject").replace("s3:deleteObject", DELETE))
    return found


DELETE = "s3:DeleteObject"
