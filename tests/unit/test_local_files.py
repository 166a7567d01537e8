"""Files of one's own: replaced whole, locked against other processes, journals that survive being cut off."""

import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.local_files import Journal, LocalLock, read_journal, write_atomically
from rrbackup.errors import LocalLockHeld, LocalStateError, UsageError


@contextmanager
def full_beyond(size: int) -> Iterator[None]:
    """As if the disk were full: no file can grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# --- write_atomically --------------------------------------------------------------------------------------


def test_a_new_file_holds_all_chunks_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "manifest", [b"one", b"", b"two"])
    assert (tmp_path / "manifest").read_bytes() == b"onetwo"
    assert stat.S_IMODE((tmp_path / "manifest").stat().st_mode) == 0o600


def test_an_old_file_is_replaced_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "manifest"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_atomically(path, [b"new"])
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["manifest"]


def test_chunks_that_fail_leave_the_old_file(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    (tmp_path / "manifest").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "manifest", chunks())
    assert (tmp_path / "manifest").read_bytes() == b"old"
    assert names(tmp_path) == ["manifest"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "manifest").write_bytes(b"old")
    with full_beyond(1000), pytest.raises(LocalStateError, match=r"cannot write .*manifest"):
        write_atomically(tmp_path / "manifest", [b"x" * 5000])
    assert (tmp_path / "manifest").read_bytes() == b"old"
    assert names(tmp_path) == ["manifest"]


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * 255), [b"content"])
    assert names(tmp_path) == ["n" * 255]


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LocalStateError, match="cannot write") as caught:
        write_atomically(tmp_path / "gone" / "manifest", [b""])
    assert str(tmp_path / "gone") in caught.value.hint


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "manifest").mkdir()
    with pytest.raises(LocalStateError, match="manifest"):
        write_atomically(tmp_path / "manifest", [b""])
    assert names(tmp_path) == ["manifest"]


# --- LocalLock ---------------------------------------------------------------------------------------------

HOLD_LOCK = """
import sys
from pathlib import Path
from rrbackup.effects.local_files import LocalLock
with LocalLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holding(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock until it is killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLD_LOCK, str(path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_lock_held_by_another_process_is_refused_with_its_pid_until_that_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with another_process_holding(path) as process:
        with pytest.raises(LocalLockHeld, match=rf"\(pid {process.pid}\) .*lock"), LocalLock(path):
            pass
        process.kill()
        process.wait()
        with LocalLock(path):
            assert path.read_text() == f"{os.getpid()}\n"


def test_a_lock_also_keeps_out_the_same_process(tmp_path: Path) -> None:
    lock = LocalLock(tmp_path / "lock")
    with lock, pytest.raises(LocalLockHeld), LocalLock(tmp_path / "lock"):
        pass
    with lock:
        pass
    assert names(tmp_path) == ["lock"]


def test_a_lock_is_refused_also_where_the_file_holds_no_pid(tmp_path: Path) -> None:
    with LocalLock(tmp_path / "lock"):
        (tmp_path / "lock").write_bytes(b"\xff\xfe")
        with pytest.raises(LocalLockHeld, match="another process holds"), LocalLock(tmp_path / "lock"):
            pass


def test_a_long_left_over_text_in_the_lock_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("9" * 50)
    with LocalLock(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_file_is_private(tmp_path: Path) -> None:
    with LocalLock(tmp_path / "lock"):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_a_lock_does_not_pass_to_programs_that_are_started(tmp_path: Path) -> None:
    with LocalLock(tmp_path / "lock"):
        sleeper = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        with LocalLock(tmp_path / "lock"):
            assert sleeper.poll() is None
    finally:
        sleeper.communicate()


@pytest.mark.parametrize("where", ["gone/lock", "folder"])
def test_a_lock_that_cannot_be_opened_is_an_error_of_the_local_state(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LocalStateError, match="cannot lock"), LocalLock(tmp_path / where):
        pass


def test_a_lock_in_a_missing_folder_says_which_folder_to_make(tmp_path: Path) -> None:
    with pytest.raises(LocalStateError) as caught, LocalLock(tmp_path / "gone" / "lock"):
        pass
    assert str(tmp_path / "gone") in caught.value.hint


def test_a_refused_lock_leaves_no_descriptor_open(tmp_path: Path) -> None:
    with LocalLock(tmp_path / "lock"):
        before = names(Path("/proc/self/fd"))
        with pytest.raises(LocalLockHeld), LocalLock(tmp_path / "lock"):
            pass
        assert names(Path("/proc/self/fd")) == before


# --- Journal -----------------------------------------------------------------------------------------------


def test_a_missing_journal_is_empty(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "journal") == ()


def test_lines_are_read_in_order_and_survive_reopening(tmp_path: Path) -> None:
    for line, sync in ((b"first", True), (b"", False), (b"\xff third", False)):
        journal = Journal.open(tmp_path / "journal")
        journal.append(line, sync=sync)
        journal.close()
    assert read_journal(tmp_path / "journal") == (b"first", b"", b"\xff third")


def test_only_its_owner_may_read_a_journal(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal").close()
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


@given(lines=st.lists(st.binary().map(lambda raw: raw.replace(b"\n", b""))), lost=st.integers(0, 30))
def test_a_journal_cut_off_anywhere_keeps_its_complete_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], lost: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut_journal"
    whole = b"".join(line + b"\n" for line in lines)
    cut = whole[: max(0, len(whole) - lost)]
    path.write_bytes(cut)
    kept = tuple(lines[: cut.count(b"\n")])
    assert read_journal(path) == kept
    journal = Journal.open(path)
    journal.append(b"next", sync=False)
    journal.close()
    assert read_journal(path) == (*kept, b"next")


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    lines = [[b"%d" % worker * 4000 + b" %d" % turn for turn in range(25)] for worker in range(4)]
    threads = [threading.Thread(target=append_all, args=(journal, mine)) for mine in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert sorted(read_journal(tmp_path / "journal")) == sorted(chain.from_iterable(lines))


def append_all(journal: Journal, lines: list[bytes]) -> None:
    for line in lines:
        journal.append(line, sync=False)


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    journal.append(b"before", sync=False)
    with full_beyond(100), pytest.raises(LocalStateError, match=r"cannot write .*journal"):
        journal.append(b"x" * 500, sync=False)
    journal.append(b"after", sync=False)
    journal.close()
    assert read_journal(tmp_path / "journal") == (b"before", b"after")


def test_a_line_with_a_newline_is_refused(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    with pytest.raises(UsageError):
        journal.append(b"two\nlines", sync=False)
    journal.close()
    assert read_journal(tmp_path / "journal") == ()


def test_a_dropped_journal_is_gone(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    journal.append(b"line", sync=True)
    journal.drop()
    assert names(tmp_path) == []


def test_a_journal_that_somebody_deleted_can_be_dropped(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    (tmp_path / "journal").unlink()
    journal.drop()
    assert names(tmp_path) == []


def test_a_journal_that_cannot_be_opened_or_read_is_an_error_of_the_local_state(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LocalStateError, match="cannot open"):
        Journal.open(tmp_path / "folder")
    with pytest.raises(LocalStateError, match="cannot read"):
        read_journal(tmp_path / "folder")
