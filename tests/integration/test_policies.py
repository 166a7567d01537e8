"""Every command runs under exactly the rights that `rrbackup policy` prints for it, and each of these rights is needed.

moto judges them, as strictly as Amazon does (`rights`).
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from botocore.exceptions import ClientError

from rrbackup.cli import main
from rrbackup.effects.applying import apply_life_cycle
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import list_exact
from rrbackup.errors import AccessDenied, ModeError
from rrbackup.pure.policies import Place, PolicyMode, life_cycle, policy
from tests.integration.conftest import Bench
from tests.integration.restricted_work import (
    NEW_PASSWORD,
    PASSWORD,
    PREFIX,
    SMALL,
    WORK,
    MakeBench,
    MakeWorld,
    World,
    changed,
    interrupted_backup,
    leave_garbage,
    new_world,
    quicker,
    statements,
    with_keys,
)
from tests.integration.rights import Json, MotoAccounts, iam_client, judged, listed
from tests.integration.trees import look, write
from tests.servers import S3Server

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def accounts(moto_server: S3Server) -> Iterator[MotoAccounts]:
    iam = iam_client(moto_server)
    yield MotoAccounts(moto_server, iam)
    iam.close()


@pytest.fixture
def make_world(
    make_bench: MakeBench, accounts: MotoAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeWorld:
    quicker(monkeypatch)
    return lambda mode, prefix="": new_world(make_bench, accounts, tmp_path, mode, prefix)


# --- all that each mode is for -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [pytest.param("", marks=pytest.mark.deep), PREFIX])
@pytest.mark.parametrize("mode", PolicyMode)
def test_the_policy_of_a_mode_is_enough_for_all_that_it_is_for(
    mode: PolicyMode, prefix: str, make_world: MakeWorld
) -> None:
    world = make_world(mode, prefix)
    world.apply(mode)
    WORK[mode](world)


def test_the_policies_to_read_and_to_write_together_are_enough_for_a_client_that_deletes_nothing(
    make_world: MakeWorld,
) -> None:
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    world.apply(PolicyMode.READ_ONLY, PolicyMode.WRITE_ONLY)
    keeper = evolve(world.user, config=evolve(world.user.config, allow_delete_versions=False))
    with world.judged():
        interrupted_backup(keeper)
    write(keeper.base, changed(SMALL))
    with world.judged():
        assert keeper.backup().counts.new == len(SMALL)
        assert keeper.open().download("latest", world.out).problems == ()
        with pytest.raises(ModeError):
            keeper.open().clean_gc_log()
        with pytest.raises(AccessDenied) as denied:  # nor would the rights let it
            world.user.open().clean_gc_log()
    assert "s3:DeleteObjectVersion" in denied.value.hint
    assert look(world.out) == look(keeper.base)


# --- every right is needed ---------------------------------------------------------------------------------


def rights(mode: PolicyMode, place: Place) -> list[Json]:
    """The policy as statements of one action and one resource each."""
    return [
        {**statement, "Action": action, "Resource": resource}
        for statement in statements(mode, place)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]


def every_right() -> Iterator[Any]:
    """By number, as the bucket has no name yet."""
    for mode in PolicyMode:
        for number, right in enumerate(rights(mode, Place("bucket", PREFIX))):
            name = f"{mode} {right['Action'][3:]} on {right['Resource'].removeprefix('arn:aws:s3:::')}"
            if not is_for_other_stores(right) and not saves_requests_only(right):
                yield pytest.param(mode, number, id=f"{name} ({number})")


def is_for_other_stores(right: Json) -> bool:
    """Amazon tells no prefix with this request; SeaweedFS does (`test_policies_seaweedfs`)."""
    return right["Action"] == "s3:ListBucketMultipartUploads" and "StringLike" in right.get("Condition", ())


def saves_requests_only(right: Json) -> bool:
    """Without it nothing is denied, it only takes longer (`test_checkpoints`)."""
    return bool(right["Resource"].endswith("/manifest_checkpoint"))


@pytest.mark.deep
@pytest.mark.parametrize(("mode", "number"), list(every_right()))
def test_something_is_denied_without_one_of_the_rights(mode: PolicyMode, number: int, make_world: MakeWorld) -> None:
    world = make_world(mode, PREFIX)
    left = rights(mode, world.place)
    missing = left.pop(number)["Action"]
    world.give(left)
    with pytest.raises(AccessDenied) as denied:
        WORK[mode](world)
    # nobody can tell an object that is not there from one that may not be read
    assert (missing if missing != "s3:ListBucket" else "s3:GetObject") in denied.value.hint


# --- what is denied ----------------------------------------------------------------------------------------


@pytest.fixture
def written(make_world: MakeWorld) -> World:
    """A repository with a commit, and a user who may only write."""
    world = make_world(PolicyMode.WRITE_ONLY, PREFIX)
    leave_garbage(world)
    world.apply(PolicyMode.WRITE_ONLY)
    return world


OURS = ("files/a", "manifest_diffs", "gc_log", "garbage_objects", "salt_file")


def test_what_a_write_only_client_is_denied_is_named(written: World) -> None:
    """All that it is denied is tried in `test_restricted_rights`; here it is the errors of the store that count."""
    version = next(list_exact(written.admin.store, "files/a")).ref
    store = written.user.store
    refused: dict[str, Callable[[], object]] = {
        "s3:GetObject": lambda: store.get("files/a"),
        "s3:GetObjectVersion": lambda: store.get("files/a", version.version_id),
        "s3:PutObject": lambda: store.put("salt_file", b"forged"),
        "s3:DeleteObjectVersion": lambda: store.delete_versions([version]),
    }
    for action, request in refused.items():
        with written.judged(), pytest.raises(AccessDenied) as denied:
            request()
        assert f"not allowed {action} there" in denied.value.hint


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
    assert world.admin.backup().counts.new == len(SMALL)


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
    PolicyMode.READ_ONLY: (*READING, "download latest OUT", "repair", "verify --read-data", "doctor"),
    PolicyMode.WRITE_ONLY: (
        *("backup", *READING, "backup --reprocess", "backup --take-over", "verify", "heal", "doctor"),
    ),
    PolicyMode.READ_WRITE: (
        *("backup", *READING, "download latest OUT", "repair", "verify --read-data 5%", "heal --read-data", "doctor"),
        *("garbage_collect", "clean_gc_log"),
    ),
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


def test_a_user_without_rights_is_told_by_every_command_which_one_is_missing(
    make_world: MakeWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    leave_garbage(world)
    run = command_line(world, world.user, tmp_path)
    (tmp_path / "new").write_text(NEW_PASSWORD)
    places = {"OUT": str(world.out), "NEW": str(tmp_path / "new")}
    commands = {command for mode in COMMANDS.values() for command in mode if not command.startswith("policy")}
    for command in sorted(commands - {"lifecycle", "doctor"}):
        assert run(*(places.get(word, word) for word in command.split()), "--json") == 1, command
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["type"] == "AccessDenied", command
        assert re.search(r"not allowed (s3:\w+)( and s3:\w+)? there", error["hint"]), error
        assert re.search(rf"s3://{world.bucket}", error["message"]), error


def test_a_read_only_configuration_prints_rules_but_puts_none_on_the_bucket(
    make_world: MakeWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(PolicyMode.READ_ONLY)
    reader = evolve(world.admin, config=evolve(world.admin.config, read_only=True))
    run = command_line(world, reader, tmp_path, under=nullcontext)
    assert run("lifecycle") == 0
    capsys.readouterr()
    assert run("lifecycle", "--apply", "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "ModeError"
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        world.server.client().get_bucket_lifecycle_configuration(Bucket=world.bucket)


# --- applying ----------------------------------------------------------------------------------------------


def test_a_policy_is_given_to_a_user_as_it_is_printed(
    make_world: MakeWorld, accounts: MotoAccounts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(PolicyMode.WRITE_ONLY, PREFIX)
    run = command_line(world, world.admin, tmp_path, under=nullcontext)
    assert run("policy", "write-only", "--apply", world.name) == 0
    printed = json.loads(capsys.readouterr().out)
    assert run("policy", "write-only", "--apply", "nobody", "--json") == 1
    given = accounts.iam.get_user_policy(UserName=world.name, PolicyName="rrbackup-write-only")["PolicyDocument"]
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
    for first in (True, False):
        applied = apply_life_cycle(world.admin.config)
        assert (applied.changed, applied.others) == (first, 1)
        found = client.get_bucket_lifecycle_configuration(Bucket=world.bucket)["Rules"]
        assert found == [ours[0], theirs, *ours[1:]]
    client.close()


def test_two_repositories_in_a_bucket_have_life_cycle_rules_of_their_own(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.SETUP, PREFIX)
    other = with_keys(world.admin, world.server, world.bucket, "another")
    assert apply_life_cycle(world.admin.config).others == 0
    ours: Any = life_cycle(world.place)["Rules"]
    assert apply_life_cycle(other).others == len(ours)


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
