"""Encryption as a whole, seen from outside: who may do what with which password, two clients that begin at once, a
salt object that somebody forged, and what a password must never show up in.

The keys are derived at the least cost that is allowed; where a test opens very many repositories, at hardly any.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any, cast

import pytest
from argon2.low_level import hash_secret_raw
from attrs import evolve

import rrbackup
from rrbackup import Word
from rrbackup.effects.store import Store, list_exact
from rrbackup.testing import Fault, FaultKind, MemoryStore, SimulatedCrash
from tests import raw_objects
from tests.integration.machines import (
    EVERYTHING,
    FIRST,
    MANIFEST,
    META,
    PLAIN,
    SALT,
    SECOND,
    Machine,
    crypto,
    encrypting,
    make_cheap,
    salts,
    stored,
)
from tests.integration.trees import look


@pytest.fixture
def one(tmp_path: Path) -> Machine:
    return encrypting(tmp_path / "one").holds(a=b"1", b=b"22")


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of hardly any cost, for tests that derive hundreds."""
    make_cheap(monkeypatch)


def assert_one_repository(machine: Machine) -> None:
    """That there is one salt object, and that every encrypted object and every diff bears its repository id."""
    (salt,) = salts(machine.store)
    keys = raw_objects.open_salt(salt, FIRST)
    for (key, _), body in stored(machine.store).items():
        header = raw_objects.split(body)[0]
        assert header["repository"] == keys.repository
        if key == MANIFEST:
            assert raw_objects.open_record(body, "diff", MANIFEST, keys)["repository"] == keys.repository


# --- two clients at once -------------------------------------------------------------------------------------------


class _Watched:
    def __init__(self, store: Store, before: Callable[[str], None]) -> None:
        self._store = store
        self._before = before

    def __getattr__(self, name: str) -> object:
        method = getattr(self._store, name)

        def told(*arguments: Any, **options: Any) -> object:
            self._before(f"{name} {arguments[0]}" if arguments else name)
            return method(*arguments, **options)

        return told


def watched(store: Store, before: Callable[[str], None]) -> Store:
    """A client of the store that says what it is about to ask for."""
    return cast("Store", _Watched(store, before))


def backed_up(machine: Machine, before: Callable[[str], None]) -> rrbackup.RRBackupError | None:
    """What a backup ended with."""
    try:
        machine.open(watched(machine.store, before)).backup()
    except rrbackup.RRBackupError as error:
        return error
    return None


def ignored(request: str) -> None:
    """For those who do not want to know."""


def interrupting(at: int, action: Callable[[], object]) -> Callable[[str], None]:
    """Does something before the request number `at`."""
    asked: list[str] = []

    def before(request: str) -> None:
        asked.append(request)
        if len(asked) == at:
            action()

    return before


def requests_of_a_first_backup(folder: Path) -> list[str]:
    asked: list[str] = []
    assert backed_up(encrypting(folder).holds(a=b"1", b=b"22"), asked.append) is None
    assert f"put {SALT}" in asked
    assert len(asked) > 10
    return asked


@pytest.mark.usefixtures("cheap")
def test_two_first_backups_end_with_one_set_of_keys_wherever_they_meet(tmp_path: Path) -> None:
    """The whole backup of the other client, before each request of ours in turn."""
    total = len(requests_of_a_first_backup(tmp_path / "alone"))
    ended_well = 0
    for at in range(1, total + 1):
        ours = encrypting(tmp_path / str(at)).holds(a=b"1", b=b"22")
        theirs = ours.elsewhere().holds(a=b"other", c=b"333")
        outcomes: list[rrbackup.RRBackupError | None] = []
        outcomes.append(backed_up(ours, interrupting(at, partial(meanwhile, theirs, outcomes))))
        assert None in outcomes, "one of the two gets through"
        assert not any(isinstance(error, rrbackup.WrongPassword) for error in outcomes)
        assert_one_repository(ours)
        ours.open().backup()
        assert ours.restored() == ours.tree()
        assert theirs.restored() == ours.tree()
        ended_well += outcomes == [None, None]
    assert ended_well > 1


def meanwhile(machine: Machine, outcomes: list[rrbackup.RRBackupError | None]) -> None:
    outcomes.append(backed_up(machine, ignored))


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("password", [FIRST, SECOND])
def test_whoever_writes_the_salt_object_second_takes_the_keys_of_the_first(tmp_path: Path, password: str) -> None:
    """Between the look at nothing and the write."""
    at = requests_of_a_first_backup(tmp_path / "alone").index(f"put {SALT}") + 1
    ours = encrypting(tmp_path / "ours", crypto=crypto(password)).holds(a=b"1")
    theirs = encrypting(tmp_path / "theirs", ours.store).holds(b=b"2")
    error = backed_up(ours, interrupting(at, lambda: theirs.open().backup()))
    assert_one_repository(theirs)
    if password == FIRST:
        assert error is None
        assert theirs.restored("latest~1") == {b"b": b"2"}
        assert theirs.restored() == {b"a": b"1"}
    else:
        assert isinstance(error, rrbackup.WrongPassword)
        assert SALT in error.message
        assert theirs.restored() == {b"b": b"2"}
        assert all(key != "files/a" for key, _ in stored(ours.store))


@pytest.mark.usefixtures("cheap")
def test_clients_that_begin_in_the_same_moment_end_with_one_set_of_keys(tmp_path: Path) -> None:
    for turn in range(5):
        first = encrypting(tmp_path / f"{turn}").holds(a=b"1")
        machines = [first, *(first.elsewhere().holds(**{f"b{number}": b"2"}) for number in range(3))]
        start = Barrier(len(machines))
        with ThreadPoolExecutor(len(machines)) as pool:
            errors = list(pool.map(partial(prepared, start), machines))
        assert not any(isinstance(error, rrbackup.WrongPassword) for error in errors)
        assert len(salts(first.store)) == 1
        for machine in machines:
            machine.open().backup()
        assert_one_repository(first)
        assert first.restored() == {b"b2": b"2"}


def prepared(start: Barrier, machine: Machine) -> rrbackup.RRBackupError | None:
    """What it ended with; the trial of the store takes offence at others who try it at the same time."""
    with machine.open() as repository:
        start.wait()
        try:
            repository.prepare()
        except rrbackup.RRBackupError as error:
            return error
    return None


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_first_backup_struck_anywhere_is_made_good_with_the_same_keys(tmp_path: Path, kind: FaultKind) -> None:
    at, struck = 0, True
    while struck:
        at += 1
        machine = encrypting(tmp_path / f"{at}").holds(a=b"1", b=b"22")
        client = machine.store.client(faults=[Fault(at, kind)])
        with suppress(SimulatedCrash, rrbackup.RRBackupError):
            machine.open(client).backup()
        struck = len(client.calls) >= at
        before = salts(machine.store)
        machine.open().backup()
        assert before in ([], salts(machine.store))
        assert_one_repository(machine)
        assert machine.restored() == machine.tree()
        assert machine.open().backup().version_id is None
    assert at > 12


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_change_of_password_struck_anywhere_leaves_one_that_is_valid(tmp_path: Path, kind: FaultKind) -> None:
    at, struck = 0, True
    while struck:
        at += 1
        machine = encrypting(tmp_path / f"{at}").holds(a=b"1")
        machine.open().backup()
        client = machine.store.client(faults=[Fault(at, kind)])
        done = False
        with suppress(SimulatedCrash, rrbackup.RRBackupError):
            machine.open(client).change_password(SECOND)
            done = True
        struck = len(client.calls) >= at
        valid = [password for password in (FIRST, SECOND) if opens(machine.with_password(password))]
        assert len(valid) == 1
        assert valid == [SECOND] or not done
        assert machine.with_password(valid[0]).restored() == {b"a": b"1"}
    assert at > 3


def opens(machine: Machine) -> bool:
    try:
        machine.open().list_versions()
    except rrbackup.WrongPassword:
        return False
    return True


@pytest.mark.usefixtures("cheap")
def test_of_two_changes_of_the_password_one_counts_and_the_other_is_told(one: Machine) -> None:
    one.open().backup()
    other = one.elsewhere().holds()

    def overtaken(request: str) -> None:
        if request == f"put {SALT}":
            other.open().change_password("theirs")

    with pytest.raises(rrbackup.TransactionLost, match=SALT):
        one.open(watched(one.store, overtaken)).change_password(SECOND)
    assert [opens(one.with_password(password)) for password in (FIRST, SECOND, "theirs")] == [False, False, True]


# --- who may do what -----------------------------------------------------------------------------------------------

Operation = Callable[[rrbackup.Repository, Path], object]

READING: dict[str, Operation] = {
    "versions": lambda repository, out: repository.list_versions(),
    "files": lambda repository, out: repository.list_files(),
    "changes": lambda repository, out: repository.list_changes(),
    "download": lambda repository, out: repository.download("latest", out),
}
WRITING: dict[str, Operation] = {
    "plan_backup": lambda repository, out: repository.plan_backup(),
    "backup": lambda repository, out: repository.backup(),
    "garbage_collect": lambda repository, out: repository.garbage_collect(),
}
KEYS: dict[str, Operation] = {
    "prepare": lambda repository, out: repository.prepare(),
    "clean_gc_log": lambda repository, out: repository.clean_gc_log(),
    "change_password": lambda repository, out: repository.change_password("third"),
}
ALL = {**READING, **WRITING, **KEYS}


def assert_all_refused(
    machine: Machine, operations: dict[str, Operation], error: type[rrbackup.RRBackupError], match: str = "password"
) -> None:
    """Each by itself, with nothing written anywhere."""
    before, out = stored(machine.store), machine.folder / "refused"
    for name, operation in operations.items():
        with machine.open() as repository, pytest.raises(error, match=match) as caught:
            operation(repository, out)
        assert type(caught.value) is error, name
        assert stored(machine.store) == before, name
        assert not out.exists(), name


@pytest.fixture
def two(one: Machine) -> Machine:
    """The same with a commit in the store, and something new to back up."""
    one.open().backup()
    return one.holds(a=b"1", b=b"changed")


def without_password(machine: Machine, **settings: Any) -> Machine:
    plain = {"meta_pipeline": [], "file_pipeline": PLAIN}
    other = evolve(machine.elsewhere(), settings={**plain, **settings})
    return other.holds(a=b"new", z=b"z")


def test_without_the_password_nothing_is_done_to_an_encrypted_repository(two: Machine) -> None:
    assert_all_refused(without_password(two), ALL, rrbackup.PasswordMissing, "needs the password")


@pytest.mark.usefixtures("cheap")
def test_with_a_wrong_password_nothing_is_done_to_an_encrypted_repository(two: Machine) -> None:
    assert_all_refused(two.with_password("guess"), ALL, rrbackup.WrongPassword, SALT)
    plain = without_password(two, crypto=crypto("guess"))
    assert_all_refused(plain, ALL, rrbackup.WrongPassword, SALT)


@pytest.mark.usefixtures("cheap")
def test_with_the_password_but_open_diffs_one_reads_and_does_not_write(two: Machine) -> None:
    opening = evolve(two, settings={**two.settings, "meta_pipeline": []})
    assert_all_refused(opening, WRITING, rrbackup.ConfigError, "meta_pipeline")
    for operation in READING.values():
        operation(opening.open(), two.folder / "out")
    assert {path: seen.content for path, seen in look(two.folder / "out").items()} == {b"a": b"1", b"b": b"22"}


def test_where_only_files_are_encrypted_their_names_are_read_and_others_added_without_the_password(
    tmp_path: Path,
) -> None:
    """The documents say that names lie open then, and the configuration is warned of."""
    owner = encrypting(tmp_path / "owner", meta_pipeline=[]).holds(a=b"secret")
    assert [warning for warning in owner.config.warnings() if "lie open" in warning]
    owner.open().backup()
    other = without_password(owner)
    assert [entry.path for entry in other.open().list_files()] == ["/a"]
    with pytest.raises(rrbackup.PasswordMissing):
        other.open().download("latest", other.folder / "out")
    assert not (other.folder / "out").exists()
    other.holds(a=b"secret", z=b"z").open().backup()
    assert owner.restored() == {b"a": b"secret", b"z": b"z"}
    assert set(repositories(owner.store)) == {raw_objects.split(salts(owner.store)[0])[0]["repository"]}


def repositories(store: Store) -> Iterator[str]:
    """Those that unencrypted diffs name."""
    for row in list_exact(store, MANIFEST):
        yield raw_objects.json_payload(store.get(MANIFEST, row.version_id).body)["repository"]


def test_a_client_without_password_hashes_no_names_in_a_repository_that_has_keys(two: Machine) -> None:
    """A name hashed without a key is less than the others ask for, and would be found in another place."""
    owner = encrypting(two.folder.with_name("names"), meta_pipeline=[], file_pipeline=[("*", [Word.HASH_NAMES])])
    owner.holds(a=b"1").open().backup()
    guest = without_password(owner, file_pipeline=[("*", [Word.HASH_NAMES])])
    assert_all_refused(guest, {**WRITING, "prepare": KEYS["prepare"]}, rrbackup.PasswordMissing)


@pytest.mark.usefixtures("cheap")
def test_a_repository_that_stays_open_finds_keys_that_another_client_has_made_meanwhile(tmp_path: Path) -> None:
    owner = encrypting(tmp_path / "names", meta_pipeline=[], file_pipeline=[("*", [Word.HASH_NAMES])]).holds(a=b"1")
    guest = without_password(owner, file_pipeline=[("*", [Word.HASH_NAMES])]).open()
    guest.backup()
    owner.open().backup(reprocess=True)
    with pytest.raises(rrbackup.PasswordMissing):
        guest.backup()


def test_what_asks_for_encryption_writes_nothing_without_a_password(tmp_path: Path) -> None:
    for settings in ({"meta_pipeline": META}, {"file_pipeline": EVERYTHING}):
        machine = without_password(encrypting(tmp_path / "x"), **settings)
        assert_all_refused(machine, WRITING, rrbackup.PasswordMissing)
        assert stored(machine.store) == {}


def test_a_plan_makes_no_keys(one: Machine) -> None:
    assert [candidate.path for candidate in one.open().plan_backup().candidates] == ["/a", "/b"]
    assert stored(one.store) == {}


def test_a_repository_that_was_open_goes_on_encrypted_and_not_back(one: Machine) -> None:
    """What was open before stays as it is, and still comes back."""
    opened = without_password(one).holds(a=b"1", o=b"open")
    opened.open().backup()
    one.open().backup()
    assert one.restored() == {b"a": b"1", b"b": b"22"}
    assert one.restored("latest~1") == {b"a": b"1", b"o": b"open"}
    (salt,) = salts(one.store)
    keys = raw_objects.open_salt(salt, FIRST)
    newest, oldest = (one.store.get(MANIFEST, row.version_id).body for row in list_exact(one.store, MANIFEST))
    found = [raw_objects.open_record(newest, "diff", MANIFEST, keys), raw_objects.json_payload(oldest)]
    assert [diff["repository"] for diff in found] == [keys.repository] * 2
    assert_all_refused(opened, ALL, rrbackup.PasswordMissing)


def test_reprocessing_stores_again_what_asks_for_more_now(one: Machine) -> None:
    opened = evolve(one, settings={"crypto": crypto(FIRST), "file_pipeline": PLAIN})
    opened.open().backup()
    stricter = evolve(one, settings={**one.settings, "meta_pipeline": []})
    assert stricter.open().backup().version_id is None
    with stricter.open() as repository:
        assert repository.backup(reprocess=True).uploaded_files == 2
        assert repository.backup(reprocess=True).version_id is None
        refs = [entry.object for entry in repository.list_files() if entry.object is not None]
    (salt,) = salts(one.store)
    keys = raw_objects.open_salt(salt, FIRST)
    contents = {raw_objects.open_file(one.store.get(r.key, r.version_id).body, r.key, r.applied, keys) for r in refs}
    assert contents == {b"1", b"22"}
    assert all({Word.ENCRYPT, Word.HASH_NAMES} <= set(ref.applied) for ref in refs)


# --- modes ---------------------------------------------------------------------------------------------------------


def test_a_write_only_client_encrypts_and_reads_no_content(one: Machine) -> None:
    client = one.store.client()
    one.open(client, write_only=True).backup()
    one.holds(a=b"1", b=b"changed", c=b"1").open(client, write_only=True).backup()
    assert not [call for call in client.calls if call.method in ("read", "get") and call.key.startswith("files/")]
    assert not [call for call in client.calls if call.method == "delete_versions"]
    assert one.restored() == one.tree()


def test_a_read_only_client_makes_no_keys_and_changes_no_password(one: Machine) -> None:
    reader = one.open(read_only=True)
    assert reader.list_versions() == ()
    with pytest.raises(rrbackup.NoSuchVersion):
        reader.download("latest", one.folder / "out")
    assert stored(one.store) == {}
    one.open().backup()
    before = stored(one.store)
    for refused in (lambda: reader.change_password(SECOND), lambda: reader.repair_salt("v000001"), reader.prepare):
        with pytest.raises(rrbackup.RRBackupError, match="read-only"):
            refused()
    assert stored(one.store) == before


# --- passwords -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cheap")
def test_every_source_of_the_password_opens_the_same_repository(two: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    file = two.folder / "password"
    file.write_text(f"{FIRST}\n")
    settings = partial(rrbackup.CryptoSettings, kdf_passes=4, kdf_memory=32 << 20)
    for source in (settings(crypt_password_file=str(file)), settings(crypt_password_command=f"cat {file}")):
        assert len(two.open(crypto=source).list_versions()) == 1
    assert len(rrbackup.open_repository(bare(two), store=two.store, ask=lambda new: FIRST).list_versions()) == 1
    with pytest.raises(rrbackup.PasswordMissing, match="needs the password"):
        rrbackup.open_repository(bare(two), store=two.store).list_versions()
    monkeypatch.setenv("RRBACKUP_PASSWORD", FIRST)
    assert len(rrbackup.open_repository(bare(two), store=two.store).list_versions()) == 1


def bare(machine: Machine) -> rrbackup.Config:
    """The configuration of those who do not write their password down."""
    return evolve(machine.config, crypto=None)


@pytest.mark.usefixtures("cheap")
def test_a_person_is_asked_once_and_told_whether_the_password_is_a_new_one(one: Machine) -> None:
    asked: list[bool] = []

    def ask(new: bool) -> str:
        asked.append(new)
        return FIRST

    for _ in range(2):
        with rrbackup.open_repository(bare(one), store=one.store, ask=ask) as repository:
            repository.backup()
            repository.list_files()
            repository.download("latest", one.folder / "out")
    assert asked == [True, False]


def test_a_repository_that_is_open_derives_its_key_once(two: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def counted(**options: Any) -> bytes:
        made.append(options["memory_cost"])
        return hash_secret_raw(**options)

    monkeypatch.setattr("rrbackup.effects.keys.hash_secret_raw", counted)
    with two.open() as repository:
        repository.backup()
        repository.download("latest", two.folder / "out")
        repository.garbage_collect()
    assert made == [32 << 10]


def test_the_salt_object_says_what_the_configuration_asks_for(tmp_path: Path) -> None:
    settings = rrbackup.CryptoSettings(crypt_password=FIRST, kdf_passes=5, kdf_memory=40 << 20)
    machine = encrypting(tmp_path / "x", crypto=settings).holds(a=b"1")
    machine.open().backup()
    header = raw_objects.split(salts(machine.store)[0])[0]
    assert (header["kdf"]["opslimit"], header["kdf"]["memlimit"]) == (5, 40 << 20)
    machine.open(crypto=crypto(FIRST)).change_password(SECOND)
    headers = [raw_objects.split(body)[0] for body in salts(machine.store)]
    assert [header["kdf"]["opslimit"] for header in headers] == [4, 5]
    assert raw_objects.open_salt(salts(machine.store)[0], SECOND).master


def test_the_usual_cost_is_six_passes_over_128_mib(tmp_path: Path) -> None:
    machine = encrypting(tmp_path / "x", crypto=rrbackup.CryptoSettings(crypt_password=FIRST))
    machine.holds().open().prepare()
    kdf = raw_objects.split(salts(machine.store)[0])[0]["kdf"]
    assert (kdf["algorithm"], kdf["opslimit"], kdf["memlimit"]) == ("argon2i13", 6, 128 << 20)


@pytest.mark.usefixtures("cheap")
def test_changing_the_password_touches_nothing_but_the_salt_object(two: Machine) -> None:
    before = stored(two.store)
    with two.open() as repository:
        changed = repository.change_password(SECOND)
        with pytest.raises(rrbackup.WrongPassword):
            repository.list_versions()  # its configuration has the old one
    after = stored(two.store)
    assert {key for key, _ in after.keys() - before.keys()} == {SALT}
    assert before.items() <= after.items()
    assert [ref.key for ref in changed.replaced] == [SALT]
    new = two.with_password(SECOND)
    assert new.open().backup().uploaded_files == 1
    assert new.restored("latest~1") == {b"a": b"1", b"b": b"22"}
    assert new.restored() == {b"a": b"1", b"b": b"changed"}


@pytest.mark.usefixtures("cheap")
def test_when_the_older_versions_are_deleted_the_old_password_opens_nothing(two: Machine) -> None:
    changed = two.open().change_password(SECOND)
    assert [(v.current, v.opens) for v in two.open().salt_versions()] == [(True, False), (False, True)]
    two.store.delete_versions(changed.replaced)
    assert [(v.current, v.opens) for v in two.open().salt_versions()] == [(True, False)]
    assert two.with_password(SECOND).restored() == {b"a": b"1", b"b": b"22"}


@pytest.mark.usefixtures("cheap")
def test_an_empty_password_and_one_for_nothing_are_refused(two: Machine) -> None:
    with pytest.raises(rrbackup.UsageError, match="empty"):
        two.open().change_password("")
    plain = evolve(without_password(two), store=MemoryStore())
    plain.open().backup()
    with pytest.raises(rrbackup.UsageError, match="no keys"):
        plain.open(crypto=crypto(FIRST)).change_password(SECOND)
    assert not salts(plain.store)
