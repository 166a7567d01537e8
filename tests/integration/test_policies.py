"""Every command runs under exactly the rights that `rrbackup policy` prints for it, and each of these rights is needed.

moto judges the policies as Amazon's IAM does, down to actions and resources. Where it is laxer, `as_amazon_does` adds
what Amazon asks for besides: conditions, rights to each key of a bulk deletion, to the current version for If-Match,
and to the bucket for learning that an object is not there.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4
from xml.etree import ElementTree

import boto3
import pytest
from attrs import evolve, field, frozen
from botocore.exceptions import ClientError

from rrbackup import CryptoSettings, PipelineRule, S3Settings, Word
from rrbackup.cli import main
from rrbackup.effects.applying import apply_life_cycle, apply_policy, place_of
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import list_exact
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD
from rrbackup.errors import AccessDenied, ObjectMissing
from rrbackup.events import Event, FileDone
from rrbackup.pure.policies import Place, PolicyMode, life_cycle, policy
from tests.integration.conftest import Bench
from tests.integration.trees import look, write
from tests.servers import S3Server

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PREFIX = "machines/this one"
PASSWORD, NEW_PASSWORD = "correct horse", "battery staple"
CRYPTO = CryptoSettings(crypt_password=PASSWORD, kdf_passes=4, kdf_memory=32 << 20)
TREE = {"a": b"1", "d/b": b"2", "secret": b"3", "large": b"4" * (MULTIPART_THRESHOLD + 1)}

MakeBench = Callable[..., Bench]
Json = dict[str, Any]


# --- moto, made as strict as Amazon ------------------------------------------------------------------------


@frozen
class Demand:
    """A right that a request needs. `prefix` is that of a listing, where Amazon tells it to conditions."""

    action: str
    resource: str
    prefix: str | None = None


def demands(request: Any, resource: str) -> Iterator[Demand]:
    query = parse_qs(urlsplit(request._path).query, keep_blank_values=True)
    bucket, _, key = resource.partition("/")
    if is_bulk_deletion(request):
        yield from bulk_demands(request._body, bucket)
        return
    listing = request._action in ("s3:ListBucket", "s3:ListBucketVersions")
    yield Demand(request._action, resource, query.get("prefix", [None])[0] if listing else None)
    if "If-Match" in request._headers:
        yield Demand("s3:GetObject", resource)
    if request._action == "s3:GetObject" and not exists(request, bucket.removeprefix("arn:aws:s3:::"), key):
        yield Demand("s3:ListBucket", bucket)


def is_bulk_deletion(request: Any) -> bool:
    return request._method == "POST" and "delete" in urlsplit(request._path).query.split("&")


def bulk_demands(body: bytes, bucket: str) -> Iterator[Demand]:
    for item in ElementTree.fromstring(body).iterfind("{*}Object"):
        version, key = item.findtext("{*}VersionId"), item.findtext("{*}Key")
        yield Demand("s3:DeleteObjectVersion" if version else "s3:DeleteObject", f"{bucket}/{key}")


def exists(request: Any, bucket: str, key: str) -> bool:
    from moto.s3.models import s3_backends

    return s3_backends[request.account_id]["aws"].get_object(bucket, key) is not None


def is_granted(demand: Demand, statements: list[Json]) -> bool:
    return any(
        any(matches(action, demand.action) for action in listed(statement["Action"]))
        and any(matches(pattern, demand.resource) for pattern in listed(statement["Resource"]))
        and all(holds(operator, keys, demand.prefix) for operator, keys in statement.get("Condition", {}).items())
        for statement in statements
    )


def holds(operator: str, expected: Json, prefix: str | None) -> bool:
    assert set(expected) == {"s3:prefix"}
    if prefix is None:
        return operator == "StringLikeIfExists"
    assert operator in ("StringLike", "StringLikeIfExists")
    return matches(expected["s3:prefix"], prefix)


def matches(pattern: str, text: str) -> bool:
    assert not set(pattern).intersection("?$"), "not needed here"
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def as_amazon_does(moto_check: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    def check(request: Any, resource: str) -> None:
        if not is_bulk_deletion(request):  # moto would ask for s3:DeleteObject on the bucket
            moto_check(request, resource)
        documents = [json.loads(found["policy_document"]) for found in request._access_key.collect_policies()]
        statements = [statement for document in documents for statement in document["Statement"]]
        if not all(is_granted(demand, statements) for demand in demands(request, resource)):
            request._raise_access_denied()

    return check


@contextmanager
def judged() -> Iterator[None]:
    """For as long as it lasts, it is checked who asks for what."""
    from moto.core.authorization import enable_iam_authentication  # here: without moto these tests are skipped
    from moto.iam.access_control import S3IAMRequest

    strict = as_amazon_does(S3IAMRequest.check_action_permitted)
    with enable_iam_authentication(), patch.object(S3IAMRequest, "check_action_permitted", strict):
        yield


# --- an administrator and a user of the same repository ----------------------------------------------------


@frozen
class World:
    """`user` is an IAM user without rights at first; both back up the same tree, with local files of their own.

    `server` has the keys of the administrator, `own` those of the user.
    """

    server: S3Server
    own: S3Server
    bucket: str
    name: str
    admin: Bench
    user: Bench
    out: Path
    iam: Any = field(repr=False)

    @property
    def place(self) -> Place:
        return place_of(self.user.config)

    def give(self, statements: list[Json]) -> None:
        document = {"Version": "2012-10-17", "Statement": statements}
        self.iam.put_user_policy(UserName=self.name, PolicyName="given", PolicyDocument=json.dumps(document))

    def apply(self, mode: PolicyMode) -> None:
        apply_policy(self.admin.config, mode, self.name)

    def leave_an_upload(self, key: str) -> None:
        """One that somebody began and never ended."""
        client = self.server.client()
        client.create_multipart_upload(Bucket=self.bucket, Key=self.place.key(key))
        client.close()


MakeWorld = Callable[..., World]


@pytest.fixture(scope="module")
def iam(moto_server: S3Server) -> Iterator[Any]:
    """Amazon's service for users and rights, for the administrator."""
    client = boto3.client(
        "iam",
        endpoint_url=moto_server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=moto_server.access_key,
        aws_secret_access_key=moto_server.secret_key,
    )
    yield client
    client.close()


@pytest.fixture
def make_world(make_bench: MakeBench, moto_server: S3Server, iam: Any, tmp_path: Path) -> MakeWorld:
    def make(mode: PolicyMode, prefix: str = "") -> World:
        bucket, name = moto_server.new_bucket(versioned=mode is not PolicyMode.SETUP), f"user-{uuid4().hex}"
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        own = evolve(moto_server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
        base = make_bench(S3Store(moto_server.options(bucket, prefix)), crypto=CRYPTO, file_pipeline=PIPELINE)
        admin = evolve(base, config=with_keys(base, moto_server, bucket, prefix))
        user = admin.other_client(tmp_path / "user")
        config = evolve(with_keys(user, own, bucket, prefix), **settings_of(mode))
        user = evolve(user, store=S3Store(own.options(bucket, prefix)), config=config)
        write(admin.base, TREE)
        if mode is not PolicyMode.SETUP:
            admin.open().prepare()
        return World(moto_server, own, bucket, name, admin, user, tmp_path / "out", iam)

    return make


PIPELINE = (PipelineRule("/secret*", (Word.ENCRYPT,)), PipelineRule("*"))


def with_keys(bench: Bench, server: S3Server, bucket: str, prefix: str) -> Any:
    s3 = S3Settings(
        bucket=bucket,
        prefix=prefix,
        endpoint=server.endpoint,
        region="us-east-1",
        access_key=server.access_key,
        secret_key=server.secret_key,
    )
    return evolve(bench.config, directory=None, s3=s3)


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
    with judged():
        assert world.user.open().versions() == ()
    world.admin.backup()
    write(world.admin.base, {"a": b"changed"})
    world.admin.backup()
    with judged():
        reader = world.user.open()
        assert len(reader.versions()) == 2
        assert [change.entry.path for change in reader.changes()] == ["/a"]
        assert len(list(reader.files("latest~1"))) == len(TREE)
        assert reader.plan_backup().planned == ()
        assert reader.download("latest", world.out).problems == ()
        assert [version.opens for version in reader.salt_versions()] == [True]
    assert look(world.out) == look(world.admin.base)


def back_up(world: World) -> None:
    """A backup after an interrupted one that left versions and an unfinished upload behind; then a second one."""
    with judged():
        interrupted_backup(world.user)
    world.leave_an_upload("files/large")
    with judged():
        assert world.user.backup().counts.new == len(TREE)
        write(world.user.base, {"a": b"changed"})
        assert world.user.backup().counts.changed == 1
        assert len(world.user.open().versions()) == 2
    assert list(world.admin.store.list_uploads("files/")) == []
    assert world.admin.open().download("latest", world.out / "backed up").problems == ()
    assert look(world.out / "backed up") == look(world.user.base)


def do_everything(world: World) -> None:
    with judged():
        assert world.user.open().versions() == ()
    leave_garbage(world)
    with judged():
        assert len(world.user.open().clean_garbage_list().deleted) > 0
    write(world.user.base, {"a": b"newer", "d/b": b"newer too"})
    with judged():
        interrupted_backup(world.user)
    world.leave_an_upload("files/a")
    with judged():
        worker = world.user.open()
        assert worker.backup().counts.changed == 2
        assert worker.download("latest~1", world.out).problems == ()
        assert worker.download("latest", world.out).problems == ()
        assert [version.opens for version in worker.salt_versions()] == [True]
        assert worker.collect_garbage().deleted == ()
    assert look(world.out) == look(world.user.base)
    assert world.admin.open().clean_garbage_list().deleted == ()


def leave_garbage(world: World) -> None:
    """As a client does that may only write."""
    writer = evolve(world.admin, config=evolve(world.admin.config, write_only=True))
    interrupted_backup(writer)
    writer.backup()


def set_up(world: World) -> None:
    """From a bucket without versions on; keys come into a repository that has commits already."""
    without_keys = {"crypto": None, "file_pipeline": (PipelineRule("*"),)}
    with judged():
        world.user.open(**without_keys).prepare()
    for content in (b"1", b"2"):
        write(world.admin.base, {"a": content})
        world.admin.open(**without_keys).backup()
    with judged():
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


@pytest.mark.parametrize("prefix", [pytest.param("", marks=pytest.mark.deep), PREFIX])
@pytest.mark.parametrize("mode", PolicyMode)
def test_the_policy_of_a_mode_is_enough_for_all_that_it_is_for(
    mode: PolicyMode, prefix: str, make_world: MakeWorld
) -> None:
    world = make_world(mode, prefix)
    world.apply(mode)
    WORK[mode](world)


# --- every right is needed ---------------------------------------------------------------------------------


def rights(mode: PolicyMode, place: Place) -> list[Json]:
    """The policy as statements of one action and one resource each."""
    statements: Any = policy(mode, place)["Statement"]
    return [
        {**statement, "Action": action, "Resource": resource}
        for statement in statements
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]


def every_right() -> Iterator[Any]:
    for mode in PolicyMode:
        for number, right in enumerate(rights(mode, Place("bucket"))):
            name = f"{mode} {right['Action'][3:]} on {right['Resource'].removeprefix('arn:aws:s3:::')}"
            yield pytest.param(mode, (right["Action"], right["Resource"]), id=f"{name} ({number})")


@pytest.mark.deep
@pytest.mark.parametrize(("mode", "right"), list(every_right()))
def test_something_is_denied_without_one_of_the_rights(
    mode: PolicyMode, right: tuple[str, str], make_world: MakeWorld
) -> None:
    world = make_world(mode, PREFIX)
    action, resource = right[0], right[1].replace("bucket/", f"{world.bucket}/{PREFIX}/")
    resource = resource if "/" in resource else world.place.arn
    left = [given for given in rights(mode, world.place) if (given["Action"], given["Resource"]) != (action, resource)]
    assert len(left) == len(rights(mode, world.place)) - 1
    world.give(left)
    with pytest.raises(AccessDenied) as denied:
        WORK[mode](world)
    # nobody can tell an object that is not there from one that may not be read
    assert (action if action != "s3:ListBucket" else "s3:GetObject") in denied.value.hint


# --- what is denied ----------------------------------------------------------------------------------------


@pytest.fixture
def written(make_world: MakeWorld) -> World:
    """A repository with a commit, and a user who may only write."""
    world = make_world(PolicyMode.WRITE_ONLY, PREFIX)
    leave_garbage(world)
    world.apply(PolicyMode.WRITE_ONLY)
    return world


OURS = ("files/a", "manifest_diffs", "gc_log", "garbage_objects", "salt_file")


def test_a_write_only_client_cannot_delete_a_version(written: World) -> None:
    for key in OURS:
        version = next(list_exact(written.admin.store, key)).ref
        with judged(), pytest.raises(AccessDenied) as denied:
            written.user.store.delete_versions([version])
        assert "s3:DeleteObjectVersion" in denied.value.hint
        assert next(list_exact(written.admin.store, key)).ref == version


def test_a_write_only_client_cannot_put_a_delete_marker_on_anything(written: World) -> None:
    client = written.own.client()
    for key in OURS:
        with judged(), pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=written.bucket, Key=written.place.key(key))
        assert not next(list_exact(written.admin.store, key)).marker
    client.close()


def test_a_write_only_client_cannot_read_files_nor_replace_the_keys(written: World) -> None:
    version = next(list_exact(written.admin.store, "files/a")).ref.version_id
    store = written.user.store
    refused: dict[str, Callable[[], object]] = {
        "s3:GetObject.": lambda: store.get("files/a"),
        "s3:GetObjectVersion.": lambda: store.get("files/a", version),
        "s3:PutObject.": lambda: store.put("salt_file", b"forged"),
    }
    for action, request in refused.items():
        with judged(), pytest.raises(AccessDenied) as denied:
            request()
        assert denied.value.hint.endswith(action)


def test_a_read_only_client_cannot_write(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.READ_ONLY)
    world.apply(PolicyMode.READ_ONLY)
    for key in OURS:
        with judged(), pytest.raises(AccessDenied, match="write"):
            world.user.store.put(key, b"2")


@pytest.mark.deep
@pytest.mark.parametrize("mode", PolicyMode)
def test_nothing_beside_the_prefix_can_be_reached(mode: PolicyMode, make_world: MakeWorld) -> None:
    world = make_world(mode, PREFIX)
    world.apply(mode)
    for other in ("", f"{PREFIX} too"):
        store = S3Store(world.own.options(world.bucket, other))
        with judged():
            for key in (*OURS, "RECOVER/x"):
                with pytest.raises(AccessDenied):
                    store.get(key)
                with pytest.raises(AccessDenied):
                    store.put(key, b"forged")
            with pytest.raises(AccessDenied):
                list(store.list_versions("files/"))


def test_a_set_up_that_meets_an_open_transaction_is_denied_and_harms_nothing(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.READ_WRITE)
    interrupted_backup(world.admin)
    world.apply(PolicyMode.SETUP)
    same_client = evolve(world.admin, store=world.user.store)
    with judged(), pytest.raises(AccessDenied) as denied:
        same_client.open().prepare()
    assert "s3:PutObject" in denied.value.hint
    assert world.admin.backup().counts.new == len(TREE)


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
"""As the README of rrbackup 1.0 gave them, with the commas that it lacked."""


@pytest.mark.parametrize("mode", OLD_POLICIES)
def test_the_policies_of_rrbackup_1_are_enough(mode: PolicyMode, make_world: MakeWorld) -> None:
    world = make_world(mode)
    text = json.dumps(OLD_POLICIES[mode]).replace("YOUR-BUCKET", world.bucket)
    # Amazon does not mind the case of actions; moto does
    world.give(json.loads(text.replace("s3:getObject", "s3:GetObject").replace("s3:deleteObject", "s3:DeleteObject")))
    WORK[mode](world)


def test_under_the_policy_of_rrbackup_1_only_gc_log_can_be_deleted_and_only_by_a_marker(written: World) -> None:
    world = written
    text = json.dumps(OLD_POLICIES[PolicyMode.WRITE_ONLY]).replace("YOUR-BUCKET/", f"{world.bucket}/{PREFIX}/")
    world.iam.delete_user_policy(UserName=world.name, PolicyName=PolicyMode.WRITE_ONLY.policy_name)
    world.give(json.loads(text.replace("s3:deleteObject", "s3:DeleteObject")))
    for key in OURS:
        with judged(), pytest.raises(AccessDenied):
            world.user.store.delete_versions([next(list_exact(world.admin.store, key)).ref])
    client = world.own.client()
    with judged():
        for key in OURS:
            if key != "gc_log":
                with pytest.raises(ClientError, match="AccessDenied"):
                    client.delete_object(Bucket=world.bucket, Key=world.place.key(key))
        client.delete_object(Bucket=world.bucket, Key=world.place.key("gc_log"))
    client.close()
    with pytest.raises(ObjectMissing):
        world.admin.store.get("gc_log")


# --- the commands ------------------------------------------------------------------------------------------


def command_line(
    world: World, bench: Bench, folder: Path, under: Callable[[], AbstractContextManager[None]] = judged
) -> Callable[..., int]:
    """Runs commands with the configuration of `bench`, from a file."""
    config = bench.config
    assert config.s3 is not None
    s3 = {name: getattr(config.s3, name) for name in ("bucket", "prefix", "endpoint", "region", "access_key")}
    document = {
        "base_path": str(world.user.base),
        "local_manifest_file": config.local_manifest_file,
        "local_lock_file": config.local_lock_file,
        "s3": {**s3, "secret_key": config.s3.secret_key},
        "crypto": {"crypt_password": PASSWORD, "kdf_passes": 4, "kdf_memory": 32 << 20},
        "file_pipeline": [["/secret*", ["encrypt"]], ["*", []]],
        "read_only": config.read_only,
        "write_only": config.write_only,
    }
    file = folder / "configuration.json"
    file.write_text(json.dumps(document))

    def run(*words: str) -> int:
        with under():
            return main(["-c", str(file), "-q", *words])

    return run


READING = ("list_versions", "list_files latest", "list_changes latest", "backup --dry-run")
COMMANDS = {
    PolicyMode.READ_ONLY: (*READING, "download latest OUT", "repair"),
    PolicyMode.WRITE_ONLY: ("backup", *READING, "backup --reprocess", "backup --take-over"),
    PolicyMode.READ_WRITE: ("backup", *READING, "download latest OUT", "repair", "garbage_collect", "clean_gc_log"),
    PolicyMode.SETUP: (
        *("init --recovery-kit", "repair", "policy setup", "lifecycle --apply", "lifecycle"),
        "change_password --new-password-file NEW",
    ),
}


@pytest.mark.parametrize("mode", PolicyMode)
def test_every_command_of_a_mode_runs_under_its_policy(mode: PolicyMode, make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(mode, PREFIX)
    world.apply(mode)
    if mode is not PolicyMode.SETUP:
        leave_garbage(world)
    (tmp_path / "new").write_text(NEW_PASSWORD)
    places = {"OUT": str(world.out), "NEW": str(tmp_path / "new")}
    run = command_line(world, world.user, tmp_path)
    for command in COMMANDS[mode]:
        assert run(*(places.get(word, word) for word in command.split())) == 0, command


def test_what_the_rights_forbid_ends_with_an_error_that_names_the_action(
    written: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a configuration that allows more than the rights do
    liar = evolve(written.user, config=evolve(written.user.config, write_only=False))
    run = command_line(written, liar, tmp_path)
    denied = {
        f"download latest {written.out}": "s3:GetObjectVersion",
        "repair": "s3:GetObjectVersion",
        "init": "s3:GetBucketVersioning",
        "lifecycle --apply": "s3:GetLifecycleConfiguration",
        f"policy setup --apply {written.name}": "iam:PutUserPolicy",
    }
    for command, action in denied.items():
        assert run(*command.split(), "--json") == 1
        error = json.loads(capsys.readouterr().out)["error"]
        assert (error["type"], action in error["hint"]) == ("AccessDenied", True), command


# --- applying ----------------------------------------------------------------------------------------------


def test_a_policy_is_given_to_a_user_as_it_is_printed(
    make_world: MakeWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(PolicyMode.WRITE_ONLY, PREFIX)
    run = command_line(world, world.admin, tmp_path, under=nullcontext)
    assert run("policy", "write-only", "--apply", world.name) == 0
    printed = json.loads(capsys.readouterr().out)
    assert run("policy", "write-only", "--apply", "nobody", "--json") == 1
    given = world.iam.get_user_policy(UserName=world.name, PolicyName="rrbackup-write-only")["PolicyDocument"]
    assert given == printed == policy(PolicyMode.WRITE_ONLY, world.place)
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "ObjectMissing"


def test_life_cycle_rules_of_others_stay_and_ours_are_replaced(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.SETUP, PREFIX)
    ours: Any = life_cycle(world.place)["Rules"]
    theirs: Any = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 3},
    }
    client = world.server.client()
    outdated: Any = {**ours[0], "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    client.put_bucket_lifecycle_configuration(Bucket=world.bucket, LifecycleConfiguration={"Rules": [outdated, theirs]})
    for changed in (True, False):
        applied = apply_life_cycle(world.admin.config)
        assert (applied.changed, applied.others) == (changed, 1)
        found = client.get_bucket_lifecycle_configuration(Bucket=world.bucket)["Rules"]
        assert found == [ours[0], theirs, *ours[1:]]
    client.close()


def test_two_repositories_in_a_bucket_have_life_cycle_rules_of_their_own(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.SETUP, PREFIX)
    other = with_keys(world.admin, world.server, world.bucket, "another")
    assert apply_life_cycle(world.admin.config).others == 0
    assert apply_life_cycle(other).others == 4


# --- what README.md shows ----------------------------------------------------------------------------------


def block(name: str) -> Any:
    found = re.search(rf"^```json {name}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize("mode", PolicyMode)
def test_the_policies_of_the_readme_are_those_that_are_printed(mode: PolicyMode) -> None:
    assert block(f"policy={mode}") == policy(mode, Place("YOUR-BUCKET"))


def test_the_life_cycle_rules_of_the_readme_are_those_that_are_printed() -> None:
    assert block("life-cycle") == life_cycle(Place("YOUR-BUCKET"))
