"""Path texts: which bytes are escaped, the way back, and what is refused on it."""

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import DamagedObject
from rrbackup.pure.model import PathText
from rrbackup.pure.names import escape, object_key, path_bytes, path_order, path_text, unescape

NAME_BYTES = st.binary().filter(lambda raw: b"\0" not in raw) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
).map(str.encode)
SEGMENTS = NAME_BYTES.map(lambda raw: raw.replace(b"/", b"")).filter(lambda raw: raw not in (b"", b".", b".."))
RELATIVE_PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map(b"/".join)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"plain name-1.txt", "plain name-1.txt"),
        (b"~!#$&'()*+,:;<=>?@[]^_`{|}\"", "~!#$&'()*+,:;<=>?@[]^_`{|}\""),
        (b"100%", "100%25"),
        (b"%41", "%2541"),
        (b"back\\slash", "back%5Cslash"),
        (b"line\nfeed\ttab\x01\x1f\x7f", "line%0Afeed%09tab%01%1F%7F"),
        ("für €, 日本 😀".encode(), "für €, 日本 😀"),
        ("\x80\x9f\xa0".encode(), "%C2%80%C2%9F\xa0"),
        ("\u2027\u2028\u2029\u202a".encode(), "\u2027%E2%80%A8%E2%80%A9\u202a"),
        ("\ufdcf\ufdd0\ufdef\ufdf0".encode(), "\ufdcf%EF%B7%90%EF%B7%AF\ufdf0"),
        ("\ufffd\ufffe\uffff".encode(), "\ufffd%EF%BF%BE%EF%BF%BF"),
        ("\U0001fffd\U0001fffe\U0010ffff".encode(), "\U0001fffd%F0%9F%BF%BE%F4%8F%BF%BF"),
        (b"latin-1 \xfc", "latin-1 %FC"),
        (b"cut off \xe2\x82", "cut off %E2%82"),
        (b"surrogate \xed\xa0\x80", "surrogate %ED%A0%80"),
        (b"overlong \xc0\xaf", "overlong %C0%AF"),
        (b"a.versions", "a%2Eversions"),
        (b".versions", "%2Eversions"),
        (b"a.b.versions/c", "a.b%2Eversions/c"),
        (b"a.versions.b", "a.versions.b"),
        (b"versions/a.versions2", "versions/a.versions2"),
        (b".uploads", "%2Euploads"),
        (b"a/.uploads/b", "a/%2Euploads/b"),
        (b"a.uploads/.uploads2", "a.uploads/.uploads2"),
        (b"\xff.versions", "%FF%2Eversions"),
    ],
)
def test_escape_writes_exactly_the_mangled_bytes_as_percent_codes(raw: bytes, text: str) -> None:
    assert escape(raw) == text
    assert unescape(text) == raw


@given(NAME_BYTES)
def test_every_byte_string_comes_back(raw: bytes) -> None:
    assert unescape(escape(raw)) == raw


@given(RELATIVE_PATHS)
def test_every_path_comes_back(raw: bytes) -> None:
    assert path_bytes(path_text(raw)) == raw


@given(NAME_BYTES)
def test_a_text_holds_nothing_that_a_store_mangles(raw: bytes) -> None:
    text = escape(raw)
    assert "\\" not in text
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(character) for character in text}
    assert not any(ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF for c in text)
    assert not any(s.endswith(".versions") or s == ".uploads" for s in text.split("/"))


@given(RELATIVE_PATHS)
def test_no_path_text_looks_like_a_hashed_key(raw: bytes) -> None:
    assert not path_text(raw).startswith("/%h/")


@pytest.mark.parametrize("text", ["/%", "/%4", "/%4x", "/%e4", "/%E", "/a%%41", "/%+1", "/% 1", "/%h/aa"])
def test_a_malformed_escape_is_refused(text: str) -> None:
    with pytest.raises(DamagedObject, match="hexadecimal"):
        unescape(text)


@pytest.mark.parametrize("text", ["/a%00b", "/a\0b", "/\ud800"])
def test_what_no_name_contains_is_refused(text: str) -> None:
    with pytest.raises(DamagedObject):
        path_bytes(PathText(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a",
        "a/b",
        "%2Fa",
        "//a",
        "/a//b",
        "/a/",
        "/.",
        "/..",
        "/../a",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/%2E%2E/a",
        "/%2E./a",
        "/a/.%2E",
        "/%2E/a",
        "/a%2Fb",
        "/a/%2Fetc",
        "/..%2Fa",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(DamagedObject, match="unsafe path"):
        path_bytes(PathText(text))


def test_a_text_that_escapes_more_than_today_is_understood() -> None:
    assert path_bytes(PathText("/%41%2Etxt")) == b"A.txt"


def test_a_folder_sorts_right_before_its_content() -> None:
    paths = ["/a.b", "/a/b", "/a b", "/a/b.c", "/a", "/a/b/c"]
    assert sorted(paths, key=path_order) == ["/a", "/a/b", "/a/b/c", "/a/b.c", "/a b", "/a.b"]


@given(st.lists(RELATIVE_PATHS.map(path_text)))
def test_paths_sort_like_their_lists_of_names(paths: list[PathText]) -> None:
    assert sorted(paths, key=path_order) == sorted(paths, key=lambda path: path.split("/"))


def test_a_short_path_is_in_the_key_as_it_is() -> None:
    assert object_key("files", PathText("/a/b%25"), 0) == "files/a/b%25"


LONG_PATH = "/x" + ("/" + "s" * 200) * 5  # 1,007 bytes


@pytest.mark.parametrize(
    ("path", "prefix_length"),
    [
        (LONG_PATH + "/" + "x" * 10, 0),
        (LONG_PATH + "/", 10),
        (LONG_PATH + "/ü" + "x" * 8, 0),
        ("/" + "x" * 239, 0),
        ("/a/" + "ü" * 119 + "y", 0),
    ],
)
def test_a_key_is_hashed_only_beyond_what_stores_take(path: str, prefix_length: int) -> None:
    """1,024 bytes with the prefix, 240 bytes a segment; each of these takes one byte more."""
    digest = hashlib.sha256(f"{path}xx".encode()).hexdigest()
    assert object_key("files", PathText(path + "x"), prefix_length) == f"files{path}x"
    assert object_key("files", PathText(f"{path}xx"), prefix_length) == f"files/%h/{digest}"


def test_a_long_folder_name_hashes_the_key_as_well() -> None:
    assert object_key("files", PathText("/" + "d" * 241 + "/a"), 0).startswith("files/%h/")
