"""verify, heal and doctor on the command line: what is printed, where, and the exit codes."""

import re
from pathlib import Path

import pytest

from rrbackup.cli import checking
from rrbackup.effects.healing import HealResult
from rrbackup.effects.verifying import DamagedRecord, VerifyResult
from rrbackup.pure.damage import Damage, DamageKind, Touched
from rrbackup.pure.diagnosis import Diagnosis, Verdict
from rrbackup.pure.model import PathText, VersionId, VersionRef
from rrbackup.pure.report import Counts, Version
from rrbackup.pure.soundness import ManifestState, Unsound
from tests.unit.cli_bench import Bench

HOSTILE = "\x1b]0;owned\x07"


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    made = Bench(tmp_path, capsys)
    assert made.run("-q").code == 0
    return made


def lose(bench: Bench, key: str) -> None:
    (file,) = (bench.store / key).glob("%v*")
    file.unlink()


# --- verify --------------------------------------------------------------------------------------------------------


def test_all_is_well(bench: Bench) -> None:
    ran = bench.run("verify", "--json")
    assert ran.code == 0
    head = ran.document["manifest"]["head"]
    assert ran.document == {
        "sound": True,
        "versions": 2,
        "bytes": 15,
        "read": 0,
        "read_bytes": 0,
        "manifest": {"head": head, "unsound": [], "delete_marker": None, "lost": None, "strays": []},
        "records": [],
        "damaged": [],
        "unread": [],
    }
    assert (bench.run("-q", "verify").out, bench.run("-q", "verify").err) == ("", "")


def test_damage_is_printed_even_where_nothing_else_is(bench: Bench) -> None:
    lose(bench, "files/a")
    ran = bench.run("-q", "verify")
    assert (ran.code, ran.err) == (1, "")
    assert re.fullmatch(
        r"damaged: files/a version (\S+): it is not in the store\n    in 1 commit \(\S+, the latest\)  /a\n", ran.out
    )
    (damage,) = bench.run("verify", "--json").document["damaged"]
    (touched,) = damage.pop("touches")
    assert (damage["key"], damage["kind"]) == ("files/a", "missing")
    assert (touched["path"], touched["commits"], touched["latest"]) == ("/a", 1, True)
    assert touched["first"] == touched["last"]


def test_read_data_needs_no_amount(bench: Bench) -> None:
    assert bench.run("verify", "--read-data", "--json").document["read"] == 2
    assert bench.run("verify", "--read-data=1%", "--json").document["read"] == 1
    assert bench.run("verify", "--read-data", "1GB", "--json").document["read"] == 2
    assert bench.run("verify", "latest", "--read-data", "-q").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("verify --read-data latest", 2, "no amount"),
        ("verify --read-data 0%", 2, "no amount"),
        ("verify nonsense", 10, "no commit 'nonsense'"),
        ("verify latest latest", 2, "unexpected"),
        ("heal --read-data 5", 2, "no amount"),
        ("heal latest", 2, "unexpected"),
        ("doctor now", 2, "unexpected"),
    ],
)
def test_what_makes_no_sense_is_said(words: str, code: int, message: str, bench: Bench) -> None:
    ran = bench.run(*words.split())
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


def test_a_time_stands_for_the_commit_that_is_checked(bench: Bench) -> None:
    (bench.source / "a").unlink()
    bench.run("backup", "-q")
    assert bench.run("verify", "--json").document["versions"] == 2
    for words in (["--at", "2999-01-01"], ["@2999-01-01"], ["--read-data", "--at=2999-01-01"]):
        assert bench.run("verify", *words, "--json").document["versions"] == 1, words
    early = bench.run("verify", "--at", "2001-01-01")
    assert (early.code, early.out) == (10, "")
    assert "no commit is from 2001-01-01 or before" in early.err


def test_verbose_names_each_content(bench: Bench) -> None:
    assert "/folder/b: 10 B" in bench.run("-v", "verify", "--read-data").err


# --- heal ----------------------------------------------------------------------------------------------------------


def test_what_is_healed_is_named(bench: Bench) -> None:
    lose(bench, "files/a")
    document = bench.run("heal", "--json").document
    assert (document["healed"], document["problems"]) == (["/a"], [])
    assert [damage["key"] for damage in document["damaged"]] == ["files/a"]
    assert bench.run("verify", "latest").code == 0
    assert bench.run("heal").out == "nothing to heal: what was looked at of the latest commit is not damaged\n"


def test_what_cannot_be_healed_is_named_and_is_exit_code_3(bench: Bench) -> None:
    lose(bench, "files/a")
    (bench.source / "a").unlink()
    ran = bench.run("heal")
    assert ran.code == 3
    assert "problem: cannot open /a" in ran.err
    (problem,) = bench.run("heal", "--json").document["problems"]
    assert (problem["path"], problem["kind"]) == ("/a", "unreadable")


# --- doctor --------------------------------------------------------------------------------------------------------


def test_the_doctor_says_of_each_thing_how_it_is(bench: Bench) -> None:
    bench.store.chmod(0o700)
    ran = bench.run("doctor")
    assert ran.code == 0
    assert re.search(r"^fine +commits: the newest is number 1 \(", ran.out, re.MULTILINE)
    assert re.search(r"^warning +volume: .*\n +-> keep the backup on another disk", ran.out, re.MULTILINE)
    quiet = bench.run("doctor", "-q").out
    assert "fine" not in quiet
    assert "volume" in quiet
    found = {one["subject"]: one["verdict"] for one in bench.run("doctor", "--json").document["diagnoses"]}
    assert (found["commits"], found["volume"]) == ("fine", "warning")


def test_what_is_wrong_is_exit_code_1(bench: Bench) -> None:
    (bench.store / "%rrbackup").unlink()
    ran = bench.run("doctor")
    assert ran.code == 1
    assert re.search(r"^wrong +store: .* is no rrbackup store", ran.out, re.MULTILINE)


# --- lines ---------------------------------------------------------------------------------------------------------


def verified(**more: object) -> VerifyResult:
    version = Version(VersionId("v1"), 1, 0, "host", Counts())
    state = ManifestState(VersionId("v1"), (version,))
    return VerifyResult(state, **more)  # type: ignore[arg-type]


def damage(path: str = "/a") -> Damage:
    spans = (Touched(PathText(path), VersionId("v1"), VersionId("v3"), 3, True),)
    return Damage(VersionRef(f"files{path}", VersionId("o1")), DamageKind.SIZE, "it has 1 byte", spans)


def test_every_kind_of_damage_has_its_lines() -> None:
    unsound = ManifestState(VersionId("v1"), unsound=(Unsound(VersionId("v2"), "noise"),))
    result = VerifyResult(unsound, 1, 1, 1, 1, (damage(),), (DamagedRecord("salt_file", None, "it is missing"),))
    lines = [*checking.damage_lines(result), *checking.summary_lines(result)]
    assert lines == [
        "v2  not sound: noise",
        "damaged: salt_file: it is missing",
        "damaged: files/a version o1: it has 1 byte",
        "    in 3 commits (v1 to v3, the latest)  /a",
        "to go on from there: rrbackup repair --head v1",
        "checked:   0 commits, 1 stored version of files, 1 B",
        "read:      1 content, 1 B as stored",
        "damaged:   1 version; 1 path of the latest commit, which heal may store again; 1 record; "
        "the commits themselves",
    ]


def test_records_that_are_damaged_are_told_by_heal() -> None:
    found = verified(records=(DamagedRecord("manifest_checkpoint", VersionId("c1"), "it is missing"),))
    first, *_ = checking.heal_lines(HealResult(found))
    assert first == "damaged: manifest_checkpoint version c1: it is missing"


def test_hostile_names_reach_no_terminal(bench: Bench) -> None:
    (bench.source / HOSTILE).write_bytes(b"x")
    assert bench.run("-q").code == 0
    lose(bench, "files/%1B]0;owned%07")
    assert "\x1b" not in bench.run("verify").out
    lines = checking.doctor_lines([Diagnosis("s", Verdict.WRONG, "f", "r")], everything=False)
    assert [line.split() for line in lines] == [["wrong", "s:", "f"], ["->", "r"]]
