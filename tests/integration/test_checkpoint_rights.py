"""Checkpoints under the rights that `rrbackup policy` prints, and under rights that do not know them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rrbackup.pure.checkpoint import TRIED_EVERY
from rrbackup.pure.policies import PolicyMode
from tests.checkpointed import CHECKPOINT
from tests.integration.checkpoint_work import back_up, notices, stored
from tests.integration.restricted_work import World as RestrictedWorld
from tests.integration.restricted_work import new_world as new_restricted
from tests.integration.restricted_work import quicker, statements
from tests.integration.rights import MotoAccounts, iam_client
from tests.integration.test_checkpoints import MakeBench, eager
from tests.integration.trees import look, write
from tests.servers import S3Server

__all__ = ["eager"]


@pytest.fixture
def accounts(moto_server: S3Server) -> Iterator[MotoAccounts]:
    iam = iam_client(moto_server)
    yield MotoAccounts(moto_server, iam)
    iam.close()


def restricted(
    mode: PolicyMode, make_bench: MakeBench, accounts: MotoAccounts, folder: Path, patch: pytest.MonkeyPatch
) -> RestrictedWorld:
    quicker(patch)
    world = new_restricted(make_bench, accounts, folder, mode, "laptop")
    back_up(world.admin, range(4))
    assert len(stored(world.admin.store, CHECKPOINT)) == 1
    return world


@pytest.mark.usefixtures("eager")
def test_a_reader_may_read_checkpoints_and_does_without_if_not(
    make_bench: MakeBench, accounts: MotoAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = restricted(PolicyMode.READ_ONLY, make_bench, accounts, tmp_path, monkeypatch)
    world.apply(PolicyMode.READ_ONLY)
    with world.judged():
        assert world.user.open().download("latest", tmp_path / "1", on_event=world.user.events.append).problems == ()
    assert "of no use" not in notices(world.user.events)
    world.give(without_checkpoints(world, PolicyMode.READ_ONLY))
    with world.judged():
        assert world.user.open().download("latest", tmp_path / "2", on_event=world.user.events.append).problems == ()
    assert "of no use" in notices(world.user.events)
    assert look(tmp_path / "1") == look(tmp_path / "2") == look(world.admin.base)


def without_checkpoints(world: RestrictedWorld, mode: PolicyMode) -> list[Any]:
    """The rights that are printed, and none of those to the checkpoint object."""
    kept = []
    for statement in statements(mode, world.place):
        resources = statement["Resource"]
        listed = [resources] if isinstance(resources, str) else resources
        left = [resource for resource in listed if not resource.endswith(CHECKPOINT)]
        if left:
            kept.append({**statement, "Resource": left})
    return kept


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("mode", [PolicyMode.WRITE_ONLY, pytest.param(PolicyMode.READ_WRITE, marks=pytest.mark.deep)])
def test_a_writer_may_write_checkpoints_and_leaves_them_out_if_not(
    mode: PolicyMode,
    make_bench: MakeBench,
    accounts: MotoAccounts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = restricted(mode, make_bench, accounts, tmp_path, monkeypatch)
    world.give(without_checkpoints(world, mode))
    with world.judged():
        back_up(world.user, range(4, 3 + 2 * TRIED_EVERY))
    assert len(stored(world.admin.store, CHECKPOINT)) == 1
    assert notices(world.user.events).count("no checkpoint was written") == 1
    world.apply(mode)
    with world.judged():
        back_up(world.user, range(3 + 2 * TRIED_EVERY, 4 + 2 * TRIED_EVERY))
    assert len(stored(world.admin.store, CHECKPOINT)) == 2
    assert world.admin.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(world.user.base)


@pytest.mark.deep
@pytest.mark.usefixtures("eager")
def test_the_rights_of_a_client_that_may_delete_let_it_take_a_checkpoint_back(
    make_bench: MakeBench, accounts: MotoAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = restricted(PolicyMode.READ_WRITE, make_bench, accounts, tmp_path, monkeypatch)
    world.apply(PolicyMode.READ_WRITE)
    with world.judged():
        back_up(world.user, range(4, 6))
        write(world.user.base, {"short-lived": b"1"})
        plan = world.user.open().plan_backup()
        (world.user.base / "short-lived").unlink()
        assert world.user.open().backup(plan).version_id is None
    assert len(stored(world.admin.store, CHECKPOINT)) == 1
