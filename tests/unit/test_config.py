"""The configuration: the original's samples load, defaults hold, and every fault is named at once."""

import json
import os
import re
from pathlib import Path

import json5
import pytest
from attrs import fields_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup.config import Config, CryptoSettings, DirectorySettings, S3Settings, load_config, parse_config
from rrbackup.errors import ConfigError
from rrbackup.pure.model import Mode, Word
from rrbackup.pure.pipeline import PipelineRule
from rrbackup.pure.rules import Detection

SAMPLES = Path(__file__).parent / "samples"
SECRET = "correct horse battery staple"


def sample(name: str) -> dict[str, object]:
    document = json5.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def minimal(**keys: object) -> dict[str, object]:
    return {"base_path": "/srv/data", "local_manifest_file": "/var/m", "local_lock_file": "/var/l", **keys}


def with_s3(**keys: object) -> dict[str, object]:
    return minimal(**{"s3": {"bucket": "b"}, **keys})


def problems_of(document: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(json.dumps(document), "conf.json")
    return caught.value.problems


def the_problem(document: object) -> str:
    problems = problems_of(document)
    assert len(problems) == 1, problems
    return problems[0]


# --- samples and defaults ----------------------------------------------------------------------------------


def test_minimal_sample_loads_as_it_stands_with_every_default() -> None:
    config = load_config(SAMPLES / "minimal.json")
    assert config == Config(
        base_path="/path/to/directory/to/back/up",
        local_manifest_file="/path/to/local/manifest",
        local_lock_file="/path/to/rrbackup_lock",
        s3=S3Settings(bucket="aws bucket to use", access_key="your aws access key", secret_key="your aws secret key"),
    )


def test_complete_sample_loads_as_it_stands() -> None:
    config = load_config(SAMPLES / "complete.json")
    assert config.crypto is not None
    assert config.crypto.crypt_password == "crypt password"
    assert config.meta_pipeline == (Word.COMPRESS, Word.ENCRYPT)
    assert config.rules == (PipelineRule("/bar"), PipelineRule("*", (Word.HASH_NAMES, Word.ENCRYPT)))
    assert config.mode is Mode.READ_WRITE
    assert config.ignore_files == ("/ignored*",)
    assert config.skip_delete == ("/skip_delete*",)
    assert config.remote_manifest_diff_file == "asdfgjkll"
    assert config.remote_gc_log_file == "cvbnmoytety"
    assert config.remote_password_salt_file == "qwertyuio"


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("fragment_*.json")))
def test_fragment_merged_into_the_minimal_sample_changes_what_it_says(name: str) -> None:
    fragment = sample(name)
    password = sample("fragment_crypto") if "encrypt" in json.dumps(fragment) else {}
    before = parse_config(json.dumps(sample("minimal")), "minimal")
    after = parse_config(json.dumps({**sample("minimal"), **password, **fragment}), name)
    assert after != before


def test_defaults_are_those_of_the_original() -> None:
    config = Config(base_path="/x", s3=S3Settings(bucket="b"))
    assert (config.local_manifest_file, config.local_lock_file) == ("manifest", "rrbackup_lock")
    assert (config.remote_manifest_diff_file, config.remote_gc_log_file) == ("manifest_diffs", "gc_log")
    assert config.remote_garbage_object_log_file == "garbage_objects"
    assert config.remote_checkpoint_file == "manifest_checkpoint"
    assert (config.remote_base_path, config.remote_password_salt_file) == ("files", "salt_file")
    assert config.chunk_size == 5_242_880
    assert (config.read_only, config.write_only, config.allow_delete_versions) == (False, False, None)
    assert (config.meta_pipeline, config.file_pipeline) == ((), (PipelineRule("*"),))
    assert (config.ignore_files, config.skip_delete) == ((), ())
    assert (config.visit_mountpoints, config.follow_symlinks) == (True, True)
    assert config.change_detection is Detection.STAT
    assert config.mode is Mode.READ_WRITE


@pytest.mark.parametrize(
    ("keys", "mode"),
    [
        ({}, Mode.READ_WRITE),
        ({"allow_delete_versions": True}, Mode.READ_WRITE),
        ({"allow_delete_versions": False}, Mode.NO_DELETE),
        ({"write_only": True}, Mode.WRITE_ONLY),
        ({"write_only": True, "allow_delete_versions": False}, Mode.WRITE_ONLY),
        ({"read_only": True}, Mode.READ_ONLY),
        ({"read_only": True, "allow_delete_versions": True}, Mode.READ_ONLY),
    ],
)
def test_mode_follows_from_the_three_flags(keys: dict[str, object], mode: Mode) -> None:
    assert parse_config(json.dumps(with_s3(**keys)), "conf.json").mode is mode


def test_comments_single_quotes_and_trailing_commas_are_accepted() -> None:
    text = "{ /* all */ base_path: '/x', // here\n directory: {path: '/store',},\n}"
    assert parse_config(text, "conf.json") == Config(base_path="/x", directory=DirectorySettings(path="/store"))


def test_salt_file_name_inside_crypto_moves_to_the_top() -> None:
    inside = parse_config(json.dumps(with_s3(crypto={"remote_password_salt_file": "salt"})), "conf.json")
    assert inside.remote_password_salt_file == "salt"
    both = with_s3(crypto={"remote_password_salt_file": "a"}, remote_password_salt_file="b")
    assert "crypto.remote_password_salt_file: differs" in the_problem(both)


# --- built in code -----------------------------------------------------------------------------------------


def test_code_and_file_give_the_same_value() -> None:
    built = Config(
        base_path=Path("/srv/data"),
        local_manifest_file="/var/m",
        local_lock_file="/var/l",
        s3=S3Settings(bucket="b", prefix="machines/one"),
        crypto=CryptoSettings(crypt_password=SECRET),
        meta_pipeline=[Word.ENCRYPT, Word.COMPRESS],
        file_pipeline=[("*.txt", [Word.ENCRYPT, Word.HASH_NAMES]), PipelineRule("*")],
        ignore_files=["/tmp*"],
        change_detection="content",
    )
    document = with_s3(
        s3={"bucket": "b", "prefix": "machines/one"},
        crypto={"crypt_password": SECRET},
        meta_pipeline=["encrypt", "compress"],
        file_pipeline=[["*.txt", ["encrypt", "hash_names"]], ["*", []]],
        ignore_files=["/tmp*"],
        change_detection="content",
    )
    assert parse_config(json.dumps(document), "conf.json") == built
    assert built.meta_pipeline == (Word.COMPRESS, Word.ENCRYPT)
    assert built.rules[0].words == (Word.HASH_NAMES, Word.ENCRYPT)
    assert built.change_detection is Detection.CONTENT
    assert hash(built) == hash(parse_config(json.dumps(document), "other.json"))


def test_code_is_checked_like_a_file_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(
            base_path="",
            s3=S3Settings(bucket=""),
            chunk_size=True,
            ignore_files="/tmp*",
            file_pipeline=[("*", ["zip"])],  # type: ignore[list-item]
        )
    keys = [problem.split(":")[0] for problem in caught.value.problems]
    assert sorted(keys) == ["base_path", "chunk_size", "file_pipeline[0][1][0]", "ignore_files", "s3.bucket"]


def test_a_dictionary_in_place_of_settings_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="s3"):
        Config(base_path="/x", s3={"bucket": "b"})  # type: ignore[arg-type]


# --- faults of single keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"bukket": 1}, "bukket: unknown key"),
        ({"ignore_file": []}, 'ignore_file: unknown key; did you mean "ignore_files"?'),
        ({"loaded_from": "x"}, "loaded_from: unknown key"),
        ({"s3": {"bucket": "b", "acess_key": "x"}}, 's3.acess_key: unknown key; did you mean "access_key"?'),
        ({"s3": {"bucket": "b", "qqq": "x"}}, "s3.qqq: unknown key; the keys here are access_key, bucket"),
        ({"crypto": {"chunk": 1}}, "crypto.chunk: unknown key; the keys here are crypt_password"),
        ({"s3": {}}, 's3.bucket: missing; write "bucket"'),
        ({"s3": {"bucket": ""}}, "s3.bucket: is empty"),
        ({"s3": "b"}, "s3: expected an object in braces, found a text"),
        ({"crypto": {"crypt_password": 5}}, "crypto.crypt_password: expected a text in quotes, found a whole number"),
        ({"crypto": {"crypt_password": ""}}, "crypto.crypt_password: is empty"),
        ({"crypto": {"crypt_password_file": "\0"}}, "crypto.crypt_password_file: holds a character that no path"),
        ({"crypto": {"crypt_password_command": []}}, "crypto.crypt_password_command: expected a text in quotes"),
        ({"crypto": {"kdf_passes": 3}}, "crypto.kdf_passes: too small; write at least 4"),
        ({"crypto": {"kdf_passes": 65}}, "crypto.kdf_passes: too large; write at most 64"),
        ({"crypto": {"kdf_memory": 33554431}}, "crypto.kdf_memory: too small; write at least 33554432"),
        ({"crypto": {"kdf_memory": 1 << 40}}, "crypto.kdf_memory: too large; write at most 1073741824"),
        ({"crypto": {"crypt_password": "\ud800"}}, "crypto.crypt_password: holds half of a surrogate pair"),
        ({"base_path": ""}, "base_path: is empty"),
        ({"base_path": None}, "base_path: expected a text in quotes, found null"),
        ({"base_path": "/a\0"}, "base_path: holds a character that no path can have"),
        ({"local_lock_file": "/a\ud800"}, "local_lock_file: holds a character that no path can have"),
        ({"read_only": 1}, "read_only: expected true or false, found a whole number"),
        ({"visit_mountpoints": "true"}, "visit_mountpoints: expected true or false, found a text"),
        ({"allow_delete_versions": None}, "allow_delete_versions: expected true or false, found null"),
        ({"chunk_size": True}, "chunk_size: expected a whole number, found true"),
        ({"chunk_size": "5242880"}, "chunk_size: expected a whole number, found a text"),
        ({"chunk_size": 5242880.0}, "chunk_size: expected a whole number, found a number with a decimal point"),
        ({"chunk_size": 65_535}, "chunk_size: too small; write at least 65536"),
        ({"chunk_size": 67_108_865}, "chunk_size: too large; write at most 67108864"),
        ({"split_chunk_size": "x"}, "split_chunk_size: expected a whole number, found a text"),
        ({"change_detection": "sta"}, 'change_detection: expected "stat" or "mtime" or "content"'),
        ({"change_detection": []}, 'change_detection: expected "stat" or "mtime" or "content", found a list'),
        ({"ignore_files": "/a"}, "ignore_files: expected a list of filters in brackets, found a text"),
        ({"ignore_files": ["/a", "b"]}, 'ignore_files[1]: filter "b" begins with neither / nor *'),
        ({"skip_delete": [5]}, "skip_delete[0]: expected a filter in quotes, found a whole number"),
        ({"skip_delete": ["/a/"]}, 'skip_delete[0]: filter "/a/" ends in /, so it never matches; write "/a"'),
        ({"meta_pipeline": ["compres"]}, 'unknown pipeline word "compres"; did you mean "compress"?'),
        ({"meta_pipeline": ["zip"]}, 'meta_pipeline[0]: unknown pipeline word "zip"; the words are hash_names'),
        ({"meta_pipeline": [True]}, "meta_pipeline[0]: expected one of the words"),
        ({"meta_pipeline": "compress"}, "meta_pipeline: expected a list of pipeline words in brackets, found a text"),
        ({"meta_pipeline": ["hash_names"]}, "meta_pipeline: hash_names cannot be applied to metadata"),
        ({"file_pipeline": ["*"]}, "file_pipeline[0]: expected a pair"),
        ({"file_pipeline": [["*", []], ["*"]]}, "file_pipeline[1]: expected a pair"),
        ({"file_pipeline": [["x", []]]}, 'file_pipeline[0][0]: filter "x" begins'),
        ({"file_pipeline": [["*", "compress"]]}, "file_pipeline[0][1]: expected a list of pipeline words"),
        ({"file_pipeline": [["*", ["zip"]]]}, 'file_pipeline[0][1][0]: unknown pipeline word "zip"'),
        ({"file_pipeline": {"*": []}}, "file_pipeline: expected a list of pairs"),
        ({"s3": {"bucket": "b", "endpoint": "s3.example.com"}}, "s3.endpoint: is no address"),
        ({"s3": {"bucket": "b", "endpoint": 5}}, "s3.endpoint: expected a text"),
        ({"s3": {"bucket": "b", "prefix": "/a"}}, 's3.prefix: "/a" has a slash at an end'),
        ({"s3": {"bucket": "b", "prefix": "a/"}}, 'write "a"'),
        ({"s3": {"bucket": "b", "prefix": "a//b"}}, 'write "a/b"'),
        ({"s3": {"bucket": "b", "prefix": "a/./b"}}, 'write "a/b"'),
        ({"s3": {"bucket": "b", "prefix": "../b"}}, 'write "b"'),
        ({"s3": {"bucket": "b", "prefix": 5}}, "s3.prefix: expected a text in quotes"),
        ({"remote_gc_log_file": ""}, "remote_gc_log_file: is empty"),
        ({"remote_gc_log_file": "/gc"}, 'remote_gc_log_file: "/gc" has a slash at an end'),
        ({"remote_base_path": "a%b"}, "remote_base_path: holds something that stores mangle"),
        ({"remote_manifest_diff_file": "a\\b"}, "remote_manifest_diff_file: holds something that stores mangle"),
        ({"remote_base_path": []}, "remote_base_path: expected a text in quotes, found a list"),
    ],
)
def test_fault_of_one_key_names_it_and_says_what_to_write(keys: dict[str, object], problem: str) -> None:
    assert problem in the_problem(with_s3(**keys))


@pytest.mark.parametrize(
    "keys",
    [
        {"chunk_size": 65_536},
        {"chunk_size": 67_108_864},
        {"s3": {"bucket": "b", "prefix": ""}},
        {"s3": {"bucket": "b", "prefix": "a/büro laptop"}},
        {"s3": {"bucket": "b", "endpoint": "http://127.0.0.1:8333", "region": "eu", "storage_class": "GLACIER_IR"}},
        {"base_path": "/not utf-8 \udcff"},
        {"file_pipeline": []},
        {"file_pipeline": [["*", ["hash_names"]]]},
        {"remote_base_path": "deep/files", "remote_gc_log_file": "deep"},
        {"remote_gc_log_file": "files2"},
    ],
)
def test_value_at_the_edge_is_accepted(keys: dict[str, object]) -> None:
    assert parse_config(json.dumps(with_s3(**keys)), "conf.json").base_path


# --- faults between keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (minimal(), "s3: missing; write either"),
        (with_s3(directory={"path": "/store"}), "directory: stands beside s3"),
        (with_s3(read_only=True, write_only=True), "write_only: contradicts read_only"),
        (with_s3(write_only=True, allow_delete_versions=True), "allow_delete_versions: contradicts write_only"),
        (with_s3(s3={"bucket": "b", "access_key": "k"}), "s3.access_key: stands alone"),
        (with_s3(s3={"bucket": "b", "secret_key": "k"}), "s3.secret_key: stands alone"),
        (with_s3(remote_gc_log_file="salt_file"), '"salt_file" is also the name in remote_gc_log_file'),
        (with_s3(remote_gc_log_file="files/gc"), "remote_gc_log_file: "),
        (with_s3(remote_gc_log_file="files"), "remote_gc_log_file: "),
        (with_s3(remote_base_path="gc_log"), "remote_gc_log_file: "),
        (with_s3(local_lock_file="/var/m"), "local_lock_file: is the same file"),
        (with_s3(local_lock_file="/var/../var/m.journal"), "local_lock_file: is the same file"),
        (minimal(directory={"path": "/srv/data"}), "directory.path: is base_path itself"),
        (minimal(directory={"path": "/srv"}), "base_path: lies inside the store"),
        (minimal(directory={"path": "/srv/data/store"}), 'add "/store" to ignore_files or move it outside'),
        (with_s3(local_manifest_file="/srv/data/sub/m"), "local_manifest_file: the manifest or its journal lies"),
        (with_s3(local_manifest_file="/srv/data/sub/m"), 'add "/sub/m*" to ignore_files or move it outside'),
        (with_s3(local_manifest_file="/srv/data/m", ignore_files=["/m"]), 'add "/m.journal*" to ignore_files'),
        (with_s3(local_lock_file="/srv/data/l[1]"), 'add "/l[[]1]" to ignore_files or move it outside'),
        (with_s3(local_lock_file="/srv/data/50% "), 'add "/50%25 " to ignore_files or move it outside'),
        (with_s3(base_path="/", local_lock_file="/var/l", ignore_files=["/var/m*"]), 'add "/var/l" to ignore_files'),
    ],
)
def test_fault_between_keys_is_named(document: dict[str, object], problem: str) -> None:
    assert problem in the_problem(document)


@pytest.mark.parametrize(
    "document",
    [
        with_s3(local_manifest_file="/srv/data/sub/m", ignore_files=["/sub/m*"]),
        with_s3(local_manifest_file="/srv/data/sub/m", ignore_files=["/sub"]),
        with_s3(local_manifest_file="/srv/database/m"),
        minimal(directory={"path": "/srv/data/store"}, ignore_files=["/store"]),
        minimal(directory={"path": "/srv/data2"}),
    ],
)
def test_own_files_are_no_fault_where_they_are_ignored_or_outside(document: dict[str, object]) -> None:
    assert parse_config(json.dumps(document), "conf.json").base_path == "/srv/data"


def test_default_manifest_and_lock_in_the_working_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problems = problems_of({"base_path": ".", "s3": {"bucket": "b"}})
    assert [problem.split(":")[0] for problem in problems] == ["local_manifest_file", "local_lock_file"]
    assert 'add "/manifest*" to ignore_files or move it outside' in problems[0]
    assert 'add "/rrbackup_lock" to ignore_files or move it outside' in problems[1]


def test_following_the_advice_for_own_files_leads_to_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document: dict[str, object] = {"base_path": ".", "directory": {"path": "store [old]"}}
    advice = [match[1] for match in map(re.compile('add "(.*)" to').search, problems_of(document)) if match]
    assert parse_config(json.dumps({**document, "ignore_files": advice}), "conf.json").base() == tmp_path.resolve()


def test_links_do_not_hide_that_own_files_lie_inside(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "lock").symlink_to("data/lock")
    (tmp_path / "data" / "store").symlink_to("../elsewhere")
    problems = problems_of(
        {
            "base_path": f"{tmp_path}/link",
            "local_manifest_file": f"{tmp_path}/data/manifest",
            "local_lock_file": f"{tmp_path}/lock",
            "directory": {"path": f"{tmp_path}/link/store"},
        }
    )
    keys = [problem.split(":")[0] for problem in problems]
    assert keys == ["local_manifest_file", "local_lock_file", "directory.path"]


def test_relative_paths_count_from_the_working_folder_at_the_time_of_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(base_path="data", directory=DirectorySettings(path="store"))
    monkeypatch.chdir(tmp_path)
    here = tmp_path.resolve()
    assert (config.base(), config.directory_path()) == (here / "data", here / "store")
    assert config.manifest_path() == here / "manifest"
    assert config.journal_path() == here / "manifest.journal"
    assert config.lock_path() == here / "rrbackup_lock"
    assert config.base_path == "data"


def test_a_working_folder_that_is_gone_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "write absolute paths" in the_problem({"base_path": "/x", "s3": {"bucket": "b"}})
    assert parse_config(json.dumps(with_s3()), "conf.json").base_path == "/srv/data"


# --- everything at once ------------------------------------------------------------------------------------


def test_all_faults_are_listed_at_once() -> None:
    problems = problems_of(
        {
            "base_pth": "/x",
            "s3": {"buckt": 1, "prefix": "/"},
            "directory": {"path": "/s"},
            "read_only": True,
            "write_only": True,
            "chunk_size": 1,
            "ignore_files": ["a", 5, "/b/"],
            "meta_pipeline": ["hash_names", "encrypt", "zip"],
            "remote_gc_log_file": "manifest_diffs",
        }
    )
    assert sorted(problem.split(":")[0] for problem in problems) == [
        "base_path",
        "base_pth",
        "chunk_size",
        "directory",
        "ignore_files[0]",
        "ignore_files[1]",
        "ignore_files[2]",
        "meta_pipeline",
        "meta_pipeline[2]",
        "remote_gc_log_file",
        "s3.bucket",
        "s3.buckt",
        "s3.prefix",
        "write_only",
    ]


def test_error_names_the_source_and_prints_every_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("{}", "somewhere/conf.json")
    assert caught.value.source == "somewhere/conf.json"
    assert str(caught.value).splitlines()[0] == "configuration somewhere/conf.json:"
    assert len(str(caught.value).splitlines()) == 1 + len(caught.value.problems)


# Characters that mean something here: to JSON, to paths and filters, to encodings, to terminals.
TEXTS = st.text(alphabet='ab/*[%\\":.\n\0\u2028é\ud800', max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["x", *fields_dict(Config)])


@settings(deadline=None)
@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_whatever_the_document_it_gives_a_config_or_problems_that_name_a_key(changes: dict[str, object]) -> None:
    document = {**with_s3(), **changes}
    problems = problems_or_none(document)
    assert problems is None or (problems and all(": " in line and line.isprintable() for line in problems))


def problems_or_none(document: object) -> tuple[str, ...] | None:
    try:
        parse_config(json.dumps(document), "conf.json")
    except ConfigError as error:
        return error.problems
    return None


# --- text and files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the text is empty"),
        (" \n", "the text is empty"),
        ("[]", "expected an object in braces, found a list"),
        ('{\n  "base_path" "/x"\n}', "line 2, column 15: unexpected '\"'"),
        ('{"base_path": "/x"', "line 1, column 19: the text ends too early"),
        ('{"base_path": "/x\n"}', "line 1, column 18: unexpected '\\n'"),
        ("// only a comment", "the text ends too early"),
        ("[" * 10_000, "nested too deeply"),
    ],
)
def test_syntax_error_is_plain_and_gives_the_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "conf.json")
    assert problem in caught.value.problems[0]


def test_a_key_written_twice_is_a_fault() -> None:
    text = json.dumps(with_s3())[:-1] + ', "read_only": true, "read_only": false}'
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "conf.json")
    assert caught.value.problems == ("read_only: is written twice in one object; keep one",)


def test_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "configuration.json")
    assert caught.value.problems == ("there is no such file",)
    assert "init" in caught.value.hint


def test_file_that_is_a_folder_or_not_utf8_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)
    (tmp_path / "latin1.json").write_bytes(b'{"base_path": "/\xe4"}')
    with pytest.raises(ConfigError, match="byte 16 is not UTF-8"):
        load_config(tmp_path / "latin1.json")


def test_faults_of_a_file_name_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config("c.json")
    assert caught.value.source == os.path.join(os.getcwd(), "c.json")


# --- secrets and warnings ----------------------------------------------------------------------------------


def test_secrets_are_in_no_representation() -> None:
    config = Config(
        base_path="/x",
        s3=S3Settings(bucket="b", access_key="k", secret_key=SECRET),
        crypto=CryptoSettings(crypt_password=SECRET),
    )
    assert SECRET not in repr(config)
    assert SECRET not in str(config)
    assert SECRET not in " ".join(config.warnings())


@pytest.mark.parametrize("key", ["secret_key", "crypt_password", "scret_key", "region"])
def test_secrets_are_in_no_fault(key: str) -> None:
    for wrong in ([SECRET], {"x": SECRET}, SECRET + "\ud800"):
        document = with_s3(s3={"bucket": "b", "access_key": "k", key: wrong}, crypto={key: wrong})
        with pytest.raises(ConfigError) as caught:
            parse_config(json.dumps(document), "conf.json")
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_file_with_secrets_that_others_can_read_is_warned_about(tmp_path: Path, mode: int, warned: bool) -> None:
    file = tmp_path / "configuration.json"
    file.write_bytes((SAMPLES / "complete.json").read_bytes())
    file.chmod(mode)
    assert any(f"chmod 600 {file}" in warning for warning in load_config(file).warnings()) == warned


def test_a_file_without_secrets_may_be_read_by_anybody(tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(with_s3()), encoding="utf-8")
    file.chmod(0o644)
    assert load_config(file).warnings() == ()


PASSWORD = {"crypt_password": SECRET}


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        ({"split_chunk_size": 5}, "split_chunk_size does nothing"),
        ({"crypto": PASSWORD}, "no pipeline uses it"),
        ({"crypto": PASSWORD, "file_pipeline": [["*", ["compress"]]]}, "no pipeline uses it"),
        ({"file_pipeline": [["*", ["hash_names"]]]}, "names and digests lie open"),
        ({"crypto": PASSWORD, "file_pipeline": [["*", ["encrypt"]]]}, "names and digests lie open"),
        ({"file_pipeline": [["/a", []], ["*", []], ["/b", ["compress"]]]}, "file_pipeline[1] is for every file"),
        ({"s3": {"bucket": "b", "prefix": "files"}}, "s3.prefix: a repository without a prefix would keep"),
        ({"s3": {"bucket": "b", "prefix": "x/files/y"}}, 's3.prefix: a repository with the prefix "x" would keep'),
    ],
)
def test_what_is_seldom_meant_is_warned_about(keys: dict[str, object], warning: str) -> None:
    warnings = parse_config(json.dumps(with_s3(**keys)), "conf.json").warnings()
    assert len(warnings) == 1
    assert warning in warnings[0]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"crypto": PASSWORD, "meta_pipeline": ["encrypt"], "file_pipeline": [["*", ["hash_names"]]]},
        {"crypto": PASSWORD, "meta_pipeline": ["encrypt"], "file_pipeline": [["*", ["encrypt"]]]},
        {"crypto": PASSWORD, "read_only": True},
        {"file_pipeline": [["/a", []], ["*", ["compress"]]]},
        {"s3": {"bucket": "b", "prefix": "my-files/laptop"}},
    ],
)
def test_what_is_meant_is_not_warned_about(keys: dict[str, object]) -> None:
    assert parse_config(json.dumps(with_s3(**keys)), "conf.json").warnings() == ()
