"""What long histories have found, each as the shortest story that shows it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rrbackup import Mode
from rrbackup.effects.memory_faults import Fault, FaultKind
from rrbackup.errors import (
    Busy,
    ModeError,
    PasswordMissing,
)
from tests.property.long_history_forecast import Call
from tests.property.long_history_machine import cheap_world
from tests.property.long_history_play import Play

Begin = Callable[[str], Play]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    with cheap_world():
        yield lambda beginning: Play(tmp_path, beginning)


def test_a_write_only_client_that_upgrades_reads_no_file(begin: Begin) -> None:
    """Invariant 5: rather it says that another client has to begin."""
    client = begin("plain").actor("ann", Mode.WRITE_ONLY, files="secret").opened()
    with pytest.raises(ModeError):
        client.repository.backup(upgrade=True, allow_empty=True)
    assert [call for call in client.client.calls if call.key.startswith("files/") and call.method == "read"] == []


def test_two_clients_that_try_the_store_at_once_both_come_to_an_end(begin: Begin) -> None:
    """The one that is disturbed begins anew, and finds what the other wrote down."""
    play = begin("empty")
    first, second = play.actor("ann").opened(), play.actor("bob").opened()
    first.client.begin((), 5, second.repository.prepare)
    first.repository.prepare()
    assert [call.method for call in first.client.calls if call.key == "gc_log"][-1] == "get"


def test_a_trial_of_the_store_bears_a_request_that_is_applied_twice(begin: Begin) -> None:
    """The store answers the second sending: refused. Nobody else was there."""
    client = begin("empty").actor("ann").opened()
    client.client.begin([Fault(12, FaultKind.TWICE)], 0, None)
    client.repository.prepare()


def test_keys_continued_by_another_client_are_found_by_a_repository_that_was_open_before(begin: Begin) -> None:
    play = begin("both encrypted")
    first = play.actor("ann", files="secret", meta="both").opened(continued=True)
    second = play.actor("bob", files="secret", meta="both")
    first.repository.list_versions()
    second.opened().repository.backup(upgrade=True, allow_empty=True)
    first.repository.backup(allow_empty=True)


def test_a_repository_that_stays_open_finds_the_keys_that_it_has_continued(begin: Begin) -> None:
    repository = begin("both encrypted").actor("ann", files="secret", meta="both").opened().repository
    for _ in range(2):
        repository.backup(upgrade=True, allow_empty=True)


def test_a_first_encrypted_diff_beside_a_reader_is_no_attack(begin: Begin) -> None:
    """It is published between two requests of a client that has seen the diff before it as the newest one.

    The hint advises to delete what lies above: good commits.
    """
    play = begin("empty")
    first, second, reader = play.actor("cid", files="secret"), play.actor("bob", meta="both"), play.actor("ann")
    first.edit("write", "a")
    second.edit("write", "b.x")
    play.call(first, Call("backup"))
    session = reader.opened()
    session.client.begin([], 3, lambda: play.call(second, Call("backup")))
    assert len(session.repository.list_versions()) == 1


def test_a_garbled_head_in_the_local_manifest_keeps_nobody_from_reading(begin: Begin) -> None:
    """What a reader remembers is held against the store; a damaged memory must not count as one."""
    play = begin("empty")
    actor = play.actor("ann")
    actor.edit("write")
    play.call(actor, Call("backup"))
    data = actor.manifest.read_bytes()
    actor.manifest.write_bytes(data.replace(b'"version_id":"v0', b'"version_id":"x0', 1))
    assert len(actor.opened().repository.list_versions()) == 1


def test_a_garbled_receipt_in_the_journal_stops_no_backup(begin: Begin) -> None:
    play = begin("empty")
    actor, other = play.actor("ann"), play.actor("bob")
    for one in (actor, other):
        one.edit("write")
    play.call(actor, Call("backup"), faults=[Fault(15, FaultKind.BEFORE)])
    play.call(other, Call("backup", take_over=True))
    assert b'"files/' in actor.journal.read_bytes()
    actor.journal.write_bytes(actor.journal.read_bytes().replace(b'"files/', b'"filet/'))
    assert play.call(actor, Call("backup")) is not None


def test_what_rrbackup_1_0_stored_unencrypted_is_restored_without_a_password(begin: Begin) -> None:
    """Also once somebody else has made keys; listing and restoring what is plain need none."""
    play = begin("plain")
    reader = play.actor("ann", Mode.READ_ONLY, None)
    version = list(play.commits)[-1]
    assert play.call(reader, play.reading("download", version)) is not None
    writer = play.actor("cid", files="secret")
    writer.edit("write", "b.x")
    play.call(writer, Call("backup", upgrade=True))
    assert reader.opened().repository.download(version, reader.target()).problems == ()


def test_what_rrbackup_1_0_encrypted_needs_the_password_before_anything_is_restored(begin: Begin) -> None:
    """Also once its key lies beside newer ones."""
    play = begin("files encrypted")
    version = list(play.commits)[-1]
    play.call(play.actor("cid", files="secret"), Call("backup", upgrade=True, allow_empty=True))
    reader = play.actor("ann", Mode.READ_ONLY, None)
    with pytest.raises(PasswordMissing):
        reader.opened().repository.download(version, reader.target())
    assert not (reader.folder / "restored").exists()


def test_who_is_overtaken_while_a_file_is_sent_in_parts_tells_that_somebody_else_is_at_work(begin: Begin) -> None:
    """Whoever takes over gives the upload up, and its next part has no place to go."""
    play = begin("empty")
    first, second = play.actor("ann"), play.actor("bob")
    first.edit("write", "a", content="parts")
    second.edit("write", "b.x")
    session = first.opened()
    session.client.begin([], 15, lambda: second.opened().repository.backup(take_over=True))
    with pytest.raises(Busy):
        session.repository.backup()
