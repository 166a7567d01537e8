"""Claim, garbage list and salt object with anything in their place, under every command that could meet them.

The rule that is tested: a command either goes on as if nothing were, or ends with an error of ours that names the
object and says what to do; and no version of anything that is committed is lost. (Damage to versions that are there:
`test_damage_matrix`; forgeries that decode: `test_restricted_hostile`, `test_forged_salt`.)
"""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
from attrs import frozen

from rrbackup import errors, load_config, open_repository
from rrbackup.cli import main
from rrbackup.effects.memory import MemoryStore
from rrbackup.pure.model import VersionId, VersionRef
from tests.format1_repositories import contents
from tests.integration.checkpoint_work import stored
from tests.integration.restricted_work import quicker
from tests.integration.trees import write

CLAIM, GARBAGE, SALT = "gc_log", "garbage_objects", "salt_file"
MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "write only": {"write_only": True},
    "encrypted": {"crypto": {"crypt_password": "secret", "kdf_passes": 4, "kdf_memory": 32 << 20}},
}
ENCRYPTED = {"file_pipeline": [["*", ["encrypt"]]], "meta_pipeline": ["compress", "encrypt"]}
COMMANDS = (
    *("init", "backup", "backup --dry-run", "backup --take-over", "garbage_collect", "clean_gc_log", "verify"),
    *("list_versions", "list_files latest", "list_changes latest", "download latest OUT", "cat latest /a", "stats"),
    *("repair", "repair --head HEAD", "doctor", "heal", "find /a", "policy read-write"),
)
FORBIDDEN = "ModeError"

Garble = Callable[[bytes], bytes | None]
"""What is put on top of a body; None: a delete marker."""


def noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


GARBLED: dict[str, Garble] = {
    "random bytes": lambda body: noise(300),
    "random bytes that begin like a frame": lambda body: b"\x00\x00\x00\x40" + noise(300),
    "a frame that is longer than the rest": lambda body: b"\xff\xff\xff\xff" + body,
    "a header and noise": lambda body: body[: 4 + int.from_bytes(body[:4], "big")] + noise(100),
    "empty": lambda body: b"",
    "cut off": lambda body: body[:-5],
    "not of our shape": lambda body: b"\x00\x00\x00\x02{}" + b'[{"a": [1, null]}]',
    "deeply nested": lambda body: b"\x00\x00\x00\x02{}" + b"[" * 100_000,
    "deleted": lambda body: None,
}


@frozen
class Ground:
    folder: Path
    memory: MemoryStore
    settings: dict[str, Any]
    capsys: pytest.CaptureFixture[str]

    def run(self, command: str) -> tuple[int, Any]:
        head = stored(self.memory, "manifest_diffs")[0].version_id if "HEAD" in command else ""
        words = [{"OUT": str(self.folder / "out"), "HEAD": head}.get(word, word) for word in command.split()]
        (self.folder / "c.json").write_text(json.dumps(self.settings))
        self.capsys.readouterr()
        code = main(["-c", str(self.folder / "c.json"), "--json", *words])
        return code, json.loads(self.capsys.readouterr().out)

    def top(self, key: str, garble: Garble) -> None:
        lying = stored(self.memory, key)
        body = self.memory.get(key).body if lying else self.memory.get(CLAIM).body
        garbled = garble(body)
        if garbled is not None:
            self.memory.put(key, garbled)
        elif lying:
            self.memory._world._add(key, None, {})


@pytest.fixture
def ground(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ground]:
    def make(mode: str) -> Ground:
        """Two commits, and a garbage list with an entry."""
        memory, base = MemoryStore(), tmp_path / "base"
        memory.clock_ns = time_ns()
        monkeypatch.setattr("rrbackup.verbs.opened.store_of", lambda config, *rest: memory)
        quicker(monkeypatch)
        settings = {
            "base_path": str(base),
            "local_manifest_file": str(tmp_path / "manifest"),
            "local_lock_file": str(tmp_path / "lock"),
            "directory": {"path": str(tmp_path / "unused")},
            **(ENCRYPTED if mode == "encrypted" else {}),
            **{key: value for key, value in MODES[mode].items() if key == "crypto"},
        }
        made = Ground(tmp_path, memory, settings, capsys)
        for turn in (b"1", b"2"):
            write(base, {"a": turn * 9})
            assert made.run("backup")[0] == 0
        garbage = memory.put("files/a", b"an orphan").version_id
        assert len(made_list(made, garbage)) == 1
        write(base, {"a": b"for the next"})
        made.settings.update(MODES[mode])
        return made

    return make


def made_list(ground: Ground, version_id: VersionId) -> list[VersionRef]:
    with open_repository(load_config(ground.folder / "c.json")) as repository:
        repository._client.unlock_for_reading([])
        repository._client.control.append_garbage((VersionRef("files/a", version_id),))
    return stored(ground.memory, GARBAGE)


def cells() -> Iterator[Any]:
    """All; a few of each command in every run."""
    number = 0
    for mode in MODES:
        for key in (CLAIM, GARBAGE, SALT):
            for garbled in GARBLED:
                for place, command in enumerate(COMMANDS):
                    number += 1
                    quick = (number // len(COMMANDS) + 7 * place) % 97 == 0
                    yield pytest.param(mode, key, garbled, command, marks=() if quick else pytest.mark.deep)


@pytest.mark.parametrize(("mode", "key", "garbled", "command"), list(cells()))
def test_a_command_goes_on_or_names_the_object_and_the_remedy(
    mode: str, key: str, garbled: str, command: str, ground: Callable[..., Ground]
) -> None:
    made = ground(mode)
    committed = {ref: body for ref, body in contents(made.memory).items() if body != b"an orphan"}
    made.top(key, GARBLED[garbled])
    code, document = made.run(command)
    error = document.get("error") if isinstance(document, dict) else None
    if error is not None:
        assert error["type"] in errors.__all__, error
        assert error["hint"], error
        if error["type"] not in (FORBIDDEN, "UsageError"):
            assert key in error["message"], error
    else:
        assert code == 0 or key in json.dumps(document), document
    now = contents(made.memory)
    assert {ref for ref in committed if now.get(ref) != committed[ref]} == set()


def test_a_salt_object_where_there_never_was_one_is_said_to_be_forged(ground: Callable[..., Ground]) -> None:
    made = ground("plain")
    made.memory.put(SALT, b"forged")
    assert main(["-c", str(made.folder / "c.json"), "repair"]) == 0
    said = made.capsys.readouterr()
    assert "delete all its versions" in said.err
    assert f"forged {SALT}" in said.err
    assert stored(made.memory, "manifest_diffs")[0].version_id in said.out
