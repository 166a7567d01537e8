"""Which life-cycle rules are recognised as harmful."""

from typing import Any

import pytest

from rrbackup.pure.expiry import Harm, harmful
from rrbackup.pure.policies import Place, life_cycle

PLACE = Place("bucket", "laptop")
OLD: dict[str, Any] = {"NoncurrentVersionExpiration": {"NoncurrentDays": 30}}


def rule(prefix: str | None = None, status: str = "Enabled", **more: Any) -> dict[str, Any]:
    found = {} if prefix is None else {"Filter": {"Prefix": prefix}}
    return {"ID": "theirs", "Status": status, **found, **more}


def found(*rules: dict[str, Any]) -> list[tuple[Harm, tuple[str, ...], bool]]:
    return [(one.harm, one.names, one.grave) for one in harmful(rules, PLACE)]


ALL = ("manifest_diffs", "salt_file", "manifest_checkpoint", "files/")


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        (None, ALL),
        ("", ALL),
        ("lap", ALL),
        ("laptop/", ALL),
        ("laptop/manifest", ("manifest_diffs", "manifest_checkpoint")),
        ("laptop/files/", ("files/",)),
        ("laptop/files/photos/", ("files/",)),
        ("laptop/salt_file", ("salt_file",)),
    ],
)
def test_old_versions_that_expire_destroy_history(prefix: str | None, names: tuple[str, ...]) -> None:
    assert found(rule(prefix, **OLD)) == [(Harm.DESTROYS, names, True)]


@pytest.mark.parametrize(
    "harmless",
    [
        rule("desktop/", **OLD),
        rule("laptop/gc_log", **OLD),
        rule("laptop/garbage_objects", **OLD),
        rule("laptop/manifest_diffs.old", **OLD),
        rule("", status="Disabled", **OLD),
        {"Status": "Enabled", "Filter": {"Tag": {"Key": "a", "Value": "b"}}, **OLD},
        {"Status": "Enabled", "Filter": {"And": {"Prefix": "laptop", "Tags": [{"Key": "a", "Value": "b"}]}}, **OLD},
        rule("", Expiration={"ExpiredObjectDeleteMarker": True}),
        rule("laptop/files/", Expiration={"Days": 1}),
        rule("", Transitions=[{"Days": 1, "StorageClass": "STANDARD_IA"}]),
        rule("", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 30}),
    ],
)
def test_rules_that_do_no_harm(harmless: dict[str, Any]) -> None:
    assert found(harmless) == []


def test_our_own_rules_do_no_harm() -> None:
    rules: Any = life_cycle(PLACE)["Rules"]
    assert len(rules) == 5
    assert found(*rules) == []


def test_rules_by_size_and_those_of_the_old_notation_are_understood() -> None:
    both = {"And": {"Prefix": "laptop/files/", "ObjectSizeGreaterThan": 1}}
    assert found({"Status": "Enabled", "Filter": both, **OLD}) == [(Harm.DESTROYS, ("files/",), True)]
    assert found({"Status": "Enabled", "Prefix": "laptop/files/", **OLD}) == [(Harm.DESTROYS, ("files/",), True)]


def test_markers_on_the_commits_stop_every_client() -> None:
    assert found(rule("", Expiration={"Days": 3})) == [(Harm.HIDES, ("manifest_diffs", "salt_file"), True)]


@pytest.mark.parametrize("key", ["Transitions", "NoncurrentVersionTransitions"])
def test_files_in_an_archive_are_a_nuisance_and_commits_there_a_catastrophe(key: str) -> None:
    assert found({**rule(""), key: [{"StorageClass": "DEEP_ARCHIVE"}]}) == [
        (Harm.ARCHIVES, ("manifest_diffs", "salt_file", "manifest_checkpoint"), True),
        (Harm.ARCHIVES, ("files/",), False),
    ]


def test_a_day_is_short_for_a_large_upload() -> None:
    short = rule("", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})
    assert found(short) == [(Harm.CUTS_SHORT, ("files/",), False)]


def test_what_is_no_rule_is_passed_over() -> None:
    odd = rule(Filter="x", Expiration=3, Transitions=4, AbortIncompleteMultipartUpload=None)
    assert found(odd, {"Status": "Enabled", "Filter": {"And": 7}, "Transitions": [5]}) == []
