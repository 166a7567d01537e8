"""What the documents say is so: examples, tables and snippets are held against the code."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import click
import orjson
import pytest
from attrs import NOTHING, evolve, fields_dict

from rrbackup import errors
from rrbackup.cli.commands import program
from rrbackup.cli.exit_codes import MEANINGS
from rrbackup.config import Config, CryptoSettings, DirectorySettings, S3Settings, parse_config
from rrbackup.config_check import keys_of
from rrbackup.config_shapes import plain
from rrbackup.effects.directory import DirectoryStore
from rrbackup.pure import commit, format2, journal_format, local_format
from rrbackup.pure.labels import object_labels
from rrbackup.pure.model import ClaimState, PathText, Word
from rrbackup.pure.names import object_key, path_text
from tests.programs import run_python
from tests.unit.commit_samples import ADOPTING, CANDIDATE, GONE, OUTCOMES, SAMPLES, job

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/format.md",
    "docs/design.md",
    "docs/decisions.md",
    "docs/recover.md",
    "docs/library.md",
)


def text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> dict[str, str]:
    """The fenced blocks by what stands behind the three backquotes."""
    return dict(re.findall(r"^```([^\n]+)\n(.*?)^```$", text(document), re.DOTALL | re.MULTILINE))


def rows(document: str, *header: str) -> Iterator[list[str]]:
    """The rows of every table with these column titles."""
    lines = iter(text(document).splitlines())
    for line in lines:
        if cells(line) == list(header):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    break
                yield cells(row)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --- docs/format.md --------------------------------------------------------------------------------------------

FORMAT = blocks("docs/format.md")


def stored(kind: str, payload: str) -> bytes:
    """The object with this payload, put together as the text says, not with the code."""
    header = b'{"V":"2","kind":"%s","pipeline":[]}' % kind.encode()
    return len(header).to_bytes(4, "big") + header + orjson.dumps(orjson.loads(payload))


@pytest.mark.parametrize("name", ["diff-1", "diff-2"])
def test_the_diffs_of_the_format_are_read_and_written_as_shown(name: str) -> None:
    data = stored("diff", FORMAT[f"json example={name}"])
    assert format2.encode_diff(format2.decode_diff(data, name)) == data


def test_the_extra_of_the_format_is_read_and_written_as_shown() -> None:
    first = json.loads(FORMAT["json example=diff-2"])
    shown = {**first, "kind": "commit", "changes": [json.loads(FORMAT["json example=extra"])]}
    data = stored("diff", json.dumps(shown))
    decoded = format2.decode_diff(data, "extra")
    assert decoded.changes[0].entry.extra is not None
    assert decoded.changes[0].entry.extra.sparse
    assert orjson.loads(format2.encode_diff(decoded)[41:]) == shown


def test_the_second_diff_of_the_format_names_the_first() -> None:
    first, second = (stored("diff", FORMAT[f"json example=diff-{n}"]) for n in (1, 2))
    assert FORMAT["text example=diff-1-digest"].split() == [str(len(first)), sha256(first).hexdigest()]
    parent = format2.decode_diff(second, "second").parent
    assert parent is not None
    assert parent.sha256 == sha256(first).hexdigest()


def test_the_bytes_of_the_idle_record_are_those_shown() -> None:
    data = bytes.fromhex(FORMAT["hex example=idle-claim"])
    claim = format2.decode_claim(data, "example")
    assert claim.state is ClaimState.IDLE
    assert format2.encode_claim(claim) == data


def test_the_paths_and_keys_of_the_format() -> None:
    shown = [re.split(r" {2,}", line) for line in FORMAT["text example=paths"].splitlines()]
    assert len(shown) == 9
    for raw, path, key in shown:
        assert path_text(ast.literal_eval(raw)) == path
        assert object_key("files", PathText(path), 0) == key
    assert object_key("files", PathText("/" + "x" * 241), 0) == FORMAT["text example=hashed-key"].strip()


def test_the_self_description_of_the_format() -> None:
    shown = json.loads(FORMAT["json example=labels"])
    path = path_text("notes/todo ü.txt".encode())
    assert object_labels(path, 1_767_225_001_123_456_789, 0o644, shown["rrbackup-sha256"]) == shown


def test_the_local_manifest_of_the_format() -> None:
    shown = FORMAT["text example=local-manifest"].encode()
    assert b"".join(local_format.encode_local(local_format.decode_local(shown, "example"))) == shown


def test_the_journal_of_the_format() -> None:
    content = journal_format.decode_journal(FORMAT["text example=journal"].encode().splitlines())
    (transaction,) = content.transactions
    (receipt,) = content.receipts
    assert (receipt.line, receipt.object.key) == (transaction, "files/notes/todo.txt")
    assert {ref.key for ref in content.discarded} == {"files/notes/list.txt"}


def test_the_directory_of_the_format(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    store.prepare()
    store.put("files/notes/todo.txt", b"one", metadata={"rrbackup-mode": "0644"})
    for key in ("files/notes/todo.txt", "files/" + "a" * 201, "files/gone", "manifest_diffs"):
        store.put(key, b"x")
    store.mark_deleted("files/gone")
    made = [str(path.relative_to(tmp_path / "store")) for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert without_chance(made) == without_chance(FORMAT["text example=directory"].splitlines())


def without_chance(names: list[str]) -> list[str]:
    return sorted(re.sub(r"(%[vdm]\d+)-[0-9a-f]{8}", r"\1", name) for name in names)


# --- docs/design.md --------------------------------------------------------------------------------------------

TRANSITIONS = ("state", "asks for", "outcome", "next state")


def transitions() -> Iterator[tuple[str, str, str, str]]:
    for sample in SAMPLES:
        asked, after = commit.next_effect(sample.state), commit.advance(sample.state, sample.outcome)
        lost = isinstance(after, commit.Tidying | commit.Clearing | commit.Ended) and after.ending.lost
        yield (type(sample.state).__name__, type(asked).__name__, sample.called, name_of(after) + " (lost)" * lost)


def name_of(state: commit.State) -> str:
    return type(state).__name__


def test_the_table_of_transitions_is_that_of_the_machine() -> None:
    shown = [tuple(row) for row in rows("docs/design.md", *TRANSITIONS) if row[0] != "start"]
    assert sorted(shown) == sorted(transitions())
    assert {state for state, *_ in shown} == {s.__name__ for s in commit.State.__args__} - {"Ended"}


def test_every_other_outcome_is_a_programming_error() -> None:
    """Tidying is left out: which of its outcomes fit is for the sweep to say."""
    states = {name_of(s.state): s.state for s in SAMPLES if not isinstance(s.state, commit.Tidying)}
    expected = {(name_of(s.state), type(s.outcome)) for s in SAMPLES}
    wrong = [(s, o) for name, s in states.items() for o in OUTCOMES if (name, type(o)) not in expected]
    assert len(wrong) > len(states)
    for state, outcome in wrong:
        with pytest.raises(AssertionError):
            commit.advance(state, outcome)


def test_the_table_says_where_the_machine_starts() -> None:
    unknown = evolve(CANDIDATE, known_size=False)
    starts = [ADOPTING, job(CANDIDATE, unknown), job(CANDIDATE), job(planned=(GONE,)), job()]
    shown = [row[-1] for row in rows("docs/design.md", *TRANSITIONS) if row[0] == "start"]
    assert shown == [name_of(commit.begin(start)) for start in starts]


def test_every_module_of_the_map_exists() -> None:
    folders = [ROOT]
    modules = 0
    for line in blocks("docs/design.md")["text modules"].splitlines():
        name = line.split()[0]
        del folders[1 + (len(line) - len(line.lstrip())) // 2 :]
        if name.endswith("/"):
            folders.append(folders[-1] / name)
        else:
            modules += 1
            assert (folders[-1] / name).is_file(), name
    assert modules > 50


def test_every_invariant_is_guarded_by_tests_that_exist() -> None:
    shown = list(rows("docs/design.md", "", "invariant", "guarded by"))
    assert [row[0] for row in shown] == [str(number) for number in range(1, 11)]
    for _, _, guards in shown:
        assert all((ROOT / "tests" / name).is_file() for name in named(guards)), guards


# --- README.md -------------------------------------------------------------------------------------------------

README = blocks("README.md")


def test_the_sample_configuration_loads() -> None:
    config = parse_config(README["json sample"], "README.md")
    assert (config.s3 and config.s3.prefix, config.follow_symlinks) == ("server-1", False)


def test_the_encrypted_configuration_loads_without_a_warning() -> None:
    pipelines = README["json5 encrypted"].strip().removeprefix("{")
    config = parse_config('{"base_path": "/srv", "s3": {"bucket": "b"},' + pipelines, "README.md")
    assert config.warnings() == ()
    assert config.words_used == set(Word)


def test_the_selection_of_the_readme_loads() -> None:
    selected = README["json5 selected"].strip().removeprefix("{")
    config = parse_config('{"base_path": "/srv", "s3": {"bucket": "b"},' + selected, "README.md")
    assert (config.exclude_caches, config.exclude_larger_than) == (True, 10 * 2**30)


def test_the_commands_around_a_backup_load_as_the_readme_writes_them() -> None:
    around = README["json5 around"].strip().removeprefix("{")
    config = parse_config('{"base_path": "/srv", "s3": {"bucket": "b"},' + around, "README.md")
    assert (config.before_backup or "").startswith("pg_dump ")
    assert (config.after_backup or "").startswith("sh -c ")


def all_keys() -> dict[str, object]:
    """Every key with its default: NOTHING for a required one, None for one without."""
    found: dict[str, object] = {}
    for prefix, cls in (
        ("", Config),
        ("s3.", S3Settings),
        ("directory.", DirectorySettings),
        ("crypto.", CryptoSettings),
    ):
        for name in keys_of(cls):
            default = fields_dict(cls)[name].default
            found[prefix + name] = default if default is NOTHING else plain(default)
    return found


def test_the_table_of_the_configuration_names_every_key_with_its_default() -> None:
    shown = {name: default for names, default, _ in rows("README.md", "key", "default", "") for name in named(names)}
    assert {name: said_default(default) for name, default in shown.items()} == all_keys()


def said_default(cell: str) -> object:
    if cell == "required":
        return NOTHING
    return json.loads(cell.strip("`")) if cell.startswith("`") else None


def test_the_table_of_exit_codes_is_that_of_the_command_line() -> None:
    shown = {int(code): meaning for code, meaning in rows("README.md", "exit code", "meaning")}
    assert shown == {code.value: meaning for code, meaning in MEANINGS.items()}


def test_the_table_of_commands_names_every_command() -> None:
    shown = [named(row[0])[0].split()[0] for row in rows("README.md", "command", "")]
    assert shown == list(program.commands)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_line_that_is_shown_exists(document: str) -> None:
    for line in re.findall(r"^rrbackup .*$", text(document), re.MULTILINE):
        words = shlex.split(line, comments=True)[1:]
        commands = [word for word in words if word in program.commands]
        command = program.commands[commands[0] if commands else "backup"]
        options = {
            option for p in command.get_params(click.Context(command, **program.context_settings)) for option in p.opts
        }
        assert {word for word in words if word.startswith("-")} <= options, line


def test_the_errors_that_are_explained_exist() -> None:
    shown = [name for row in rows("README.md", "error", "what happened", "what to do") for name in named(row[0])]
    assert len(shown) == 12
    assert set(shown) <= set(errors.__all__)


def test_the_library_snippet_runs(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a").write_bytes(b"kept")
    (documents / "b.tmp").write_bytes(b"left out")
    ran = run_python("-c", README["python"], cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [path.name for path in (tmp_path / "restored").iterdir()] == ["a"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text(document)):
        file = (ROOT / document).parent / target if target else ROOT / document
        assert file.is_file(), target
        titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", t).strip().lower().replace(" ", "-") for t in titles]
