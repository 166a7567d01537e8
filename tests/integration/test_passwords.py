"""Where the password comes from: the order of the sources, with real files and programs; no error shows it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrbackup.effects.passwords import ENVIRONMENT, PasswordSources, find_password
from rrbackup.errors import UsageError


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("from the file\n")
    return path


def printing(text: str) -> str:
    return f"{sys.executable} -c \"print('{text}')\""


def test_the_order_of_the_sources(secret_file: Path) -> None:
    command, environment = printing("from the command"), {ENVIRONMENT: "from the environment"}

    def prompt() -> str:
        return "from the terminal"

    assert find_password(PasswordSources("given", secret_file, command), environment, prompt) == "given"
    assert find_password(PasswordSources(None, secret_file, command), environment, prompt) == "from the file"
    assert find_password(PasswordSources(None, None, command), environment, prompt) == "from the command"
    assert find_password(PasswordSources(), environment, prompt) == "from the environment"
    assert find_password(PasswordSources(), {}, prompt) == "from the terminal"
    assert find_password(PasswordSources(), {}, None) is None


def test_the_terminal_is_only_asked_last() -> None:
    def prompt() -> str:
        pytest.fail("asked")

    assert find_password(PasswordSources("given"), {}, prompt) == "given"


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"pw", "pw"),
        (b"pw\n", "pw"),
        (b"pw\r\n", "pw"),
        (b" p w \n", " p w "),
        ("pä\n".encode(), "pä"),
    ],
)
def test_one_line_break_at_the_end_of_a_file_is_no_part_of_it(tmp_path: Path, content: bytes, password: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert find_password(PasswordSources(file=tmp_path / "secret"), {}, None) == password


def test_a_command_runs_without_a_shell() -> None:
    assert find_password(PasswordSources(command=printing("$HOME;")), {}, None) == "$HOME;"


FAILING = f"{sys.executable} -c \"import sys; print('s3cret'); sys.exit(3)\""


def bad_sources(folder: Path) -> Iterator[tuple[PasswordSources, dict[str, str], str]]:
    (folder / "empty").write_bytes(b"\n")
    (folder / "lines").write_bytes(b"s3cret\ns3cret\n")
    (folder / "binary").write_bytes(b"s3cret\xff")
    yield PasswordSources(""), {}, "crypto.crypt_password is empty"
    yield PasswordSources(file=folder / "empty"), {}, "the file .*empty is empty"
    yield PasswordSources(file=folder / "lines"), {}, "file .*lines: more than one line"
    yield PasswordSources(file=folder / "binary"), {}, "file .*binary: the password is not UTF-8"
    yield PasswordSources(file=folder / "none"), {}, "file .*none cannot be read"
    yield PasswordSources(file=folder), {}, "file .* cannot be read"
    yield PasswordSources(command=FAILING), {}, "crypt_password_command: it ended with status 3"
    yield PasswordSources(command=str(folder / "s3cret")), {}, "crypt_password_command: it cannot be run"
    yield PasswordSources(command="'s3cret"), {}, "crypt_password_command: it cannot be run"
    yield PasswordSources(command=""), {}, "crypt_password_command: it cannot be run"
    yield PasswordSources(), {ENVIRONMENT: ""}, f"{ENVIRONMENT} is empty"


def test_a_source_that_does_not_work_is_an_error_and_shows_nothing(tmp_path: Path) -> None:
    for sources, environment, problem in bad_sources(tmp_path):
        with pytest.raises(UsageError, match=problem) as caught:
            find_password(sources, environment, lambda: "next")
        assert "s3cret" not in f"{caught.value!r} {caught.value.hint} {sources!r}"


def test_sources_do_not_show_the_password() -> None:
    assert repr(PasswordSources("s3cret", Path("f"), "echo s3cret")) == f"PasswordSources(file={Path('f')!r})"
