"""Filters and pipeline rules: Unix wildcards over whole path texts, held against `fnmatch.fnmatchcase`."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import UsageError
from rrbackup.pure.filters import Filters, parse_filter_lines, pattern_problem
from rrbackup.pure.model import Word
from rrbackup.pure.pipeline import PipelineRule, in_order, pipeline_for

# Few letters, so that patterns match often; the line break and the case pair are where flags matter.
PATHS = st.text(alphabet="/abA.\n", max_size=12).map(lambda text: "/" + text)
PATTERNS = st.text(alphabet="/abA.*?[]!-\n", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/foo*", "/foo"),
        ("/foo*", "/foobar"),
        ("/foo*", "/foo/deep/down"),
        ("*.o", "/a/b.o"),
        ("*/cache/*", "/a/b/cache/c/d"),
        ("/a?c", "/a/c"),
        ("/[ab]", "/b"),
        ("/[!ab]", "/c"),
        ("/[*]", "/*"),
        ("*", "/with\nline break"),
        ("/ä*", "/äöü"),
    ],
)
def test_pattern_matches_whole_path(pattern: str, path: str) -> None:
    assert Filters.of([pattern]).matches(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("/foo*", "/a/foo"), ("/foo", "/foobar"), ("/foo", "/foo/bar"), ("/Foo", "/foo"), ("/a", "/a\n")],
)
def test_pattern_does_not_match(pattern: str, path: str) -> None:
    assert not Filters.of([pattern]).matches(path)


@given(patterns=st.lists(PATTERNS, max_size=5), path=PATHS)
def test_first_is_the_first_pattern_that_fnmatch_accepts(patterns: list[str], path: str) -> None:
    expected = next((index for index, pattern in enumerate(patterns) if fnmatchcase(path, pattern)), None)
    filters = Filters.of(patterns)
    assert filters.first(path) == expected
    assert filters.matches(path) == (expected is not None)


@given(patterns=st.lists(PATTERNS, max_size=3), path=PATHS)
def test_covers_a_path_when_it_or_a_folder_above_it_matches(patterns: list[str], path: str) -> None:
    names = path[1:].split("/")
    with_folders = ["/" + "/".join(names[: depth + 1]) for depth in range(len(names))]
    expected = any(fnmatchcase(place, pattern) for place in with_folders for pattern in patterns)
    assert Filters.of(patterns).covers(path) == expected


def test_a_matched_folder_is_left_out_whole() -> None:
    filters = Filters.of(["/a/cache"])
    assert filters.covers("/a/cache/deep/file")
    assert not filters.matches("/a/cache/deep/file")
    assert not filters.covers("/a/cached/file")


def test_no_patterns_match_nothing() -> None:
    filters = Filters.of([])
    assert (filters.matches("/a"), filters.first("/a"), filters.covers("/a/b")) == (False, None, False)


def test_filters_of_equal_patterns_are_equal() -> None:
    assert Filters.of(["/a", "*"]) == Filters.of(("/a", "*"))
    assert Filters.of(["/a", "*"]) != Filters.of(["*", "/a"])


@pytest.mark.parametrize("pattern", ["/foo", "*", "*.o", "/a b*", "/100%25*", "/%5C", "/100%*", "/[%]", "/#"])
def test_usable_pattern_has_no_problem(pattern: str) -> None:
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("foo", 'write "/foo" for the root, "*/foo" for every folder'),
        ("foo/", 'write "/foo" for the root'),
        ("", 'write "*"'),
        ("?foo", 'write "/?foo"'),
        ("/foo/", 'write "/foo"'),
        ("*/", 'write "*"'),
        ("/", 'write "/*"'),
        ("/50% off", 'write "/50%25 off"'),
        ("/a\\b", 'write "/a%5Cb"'),
        ("/tab\there", 'write "/tab%09here"'),
    ],
)
def test_pattern_that_never_matches_is_explained(pattern: str, advice: str) -> None:
    assert advice in (pattern_problem(pattern) or "")


def test_filter_file_passes_over_blank_lines_and_comments() -> None:
    text = "\ufeff# what to leave out\n/foo*\n\n   \n*.o\r\n/trailing space \n/line\u2028separator"
    assert parse_filter_lines(text) == ("/foo*", "*.o", "/trailing space ", "/line\u2028separator")


def test_filter_file_names_every_bad_line_by_number() -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter_lines("/good\n# comment\nfoo\n/bar/\n")
    assert 'line 3: filter "foo"' in caught.value.message
    assert 'line 4: filter "/bar/"' in caught.value.message
    assert "line 1" not in caught.value.message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/bar", ()),
        ("/secret/key", (Word.ENCRYPT,)),
        ("/a.txt", (Word.COMPRESS,)),
        ("/secret/a.txt", (Word.ENCRYPT,)),
        ("/other", None),
    ],
)
def test_first_matching_rule_decides_the_pipeline(path: str, words: tuple[Word, ...] | None) -> None:
    rules = (
        PipelineRule("/bar"),
        PipelineRule("/secret/*", (Word.ENCRYPT,)),
        PipelineRule("*.txt", (Word.COMPRESS,)),
    )
    assert pipeline_for(rules, path) == words


@given(st.lists(st.sampled_from(Word)))
def test_words_are_put_in_the_order_of_application(words: list[Word]) -> None:
    order = [Word.HASH_NAMES, Word.COMPRESS, Word.ENCRYPT]
    assert in_order(words) == tuple(word for word in order if word in words)


def test_rule_with_an_unknown_word_is_refused_not_shortened() -> None:
    with pytest.raises(UsageError, match="zip"):
        PipelineRule("*", (Word.ENCRYPT, "zip"))  # type: ignore[arg-type]
