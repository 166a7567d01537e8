"""Policies and life-cycle rules as values, and as the commands `policy` and `lifecycle` print them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from attrs import evolve

from rrbackup import Config, DirectorySettings, S3Settings
from rrbackup.cli.commands import program
from rrbackup.effects.applying import apply_life_cycle, apply_policy, place_of
from rrbackup.effects.recovery_kit import FOLDER
from rrbackup.errors import UsageError
from rrbackup.pure.policies import KIT, Place, PolicyMode, life_cycle, merged, policy
from tests.unit.cli_bench import Bench

SPELLINGS = {
    *("s3:AbortMultipartUpload", "s3:DeleteObjectVersion", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"),
    *("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketMultipartUploads"),
    *("s3:ListBucketVersions", "s3:PutBucketVersioning", "s3:PutLifecycleConfiguration", "s3:PutObject"),
}
"""As Amazon writes them; a misspelt action grants nothing, in silence."""

PLAIN = Place("bucket")
RENAMED = Place("bucket", "laptop", "m", "c", "g", "s", "f", checkpoint="p")


def statements(mode: PolicyMode, place: Place) -> list[Any]:
    found: Any = policy(mode, place)["Statement"]
    return list(found)


def granted(mode: PolicyMode, place: Place = PLAIN) -> Iterator[tuple[str, str]]:
    """Every action with every resource that it is granted on, without what all resources begin with."""
    for statement in statements(mode, place):
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            assert resource.startswith("arn:aws:s3:::bucket")
            for action in statement["Action"]:
                yield action, resource.removeprefix("arn:aws:s3:::bucket").removeprefix("/")


# --- policies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", PolicyMode)
def test_actions_are_spelt_as_amazon_does(mode: PolicyMode) -> None:
    assert {action for action, _ in granted(mode)} <= SPELLINGS


@pytest.mark.parametrize("mode", PolicyMode)
def test_nothing_is_granted_twice(mode: PolicyMode) -> None:
    everything = list(granted(mode))
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize("mode", PolicyMode)
def test_rights_to_buckets_and_to_objects_stand_where_they_mean_something(mode: PolicyMode) -> None:
    for action, resource in granted(mode):
        of_a_bucket = re.fullmatch(r"s3:(List\w+|(Get|Put)(BucketVersioning|LifecycleConfiguration))", action)
        assert (of_a_bucket is not None) == (resource == "")


DELETING = [("s3:DeleteObjectVersion", "files/*"), ("s3:DeleteObjectVersion", "manifest_checkpoint")]


def test_only_the_normal_mode_deletes_and_only_versions_of_files_and_checkpoints() -> None:
    deleting = [(mode, right) for mode in PolicyMode for right in granted(mode) if "Delete" in right[0]]
    assert deleting == [(PolicyMode.READ_WRITE, right) for right in DELETING]


def test_the_normal_mode_may_whatever_the_restricted_ones_may() -> None:
    apart = {*granted(PolicyMode.READ_ONLY), *granted(PolicyMode.WRITE_ONLY)}
    assert set(granted(PolicyMode.READ_WRITE)) == {*apart, *DELETING}


def test_the_keys_are_written_by_setup_alone() -> None:
    assert [mode for mode in PolicyMode if ("s3:PutObject", "salt_file") in granted(mode)] == [PolicyMode.SETUP]


@pytest.mark.parametrize("mode", PolicyMode)
def test_resources_have_the_configured_prefix_and_names(mode: PolicyMode) -> None:
    renaming = {"manifest_diffs": "m", "gc_log": "c", "garbage_objects": "g", "salt_file": "s", "files/*": "f/*"}
    renaming["manifest_checkpoint"] = "p"
    expected = {(action, f"laptop/{renaming.get(name, name)}" if name else "") for action, name in granted(mode)}
    assert set(granted(mode, RENAMED)) == expected


@pytest.mark.parametrize("mode", PolicyMode)
def test_listing_is_restricted_to_the_prefix_where_the_store_tells_it(mode: PolicyMode) -> None:
    assert not any("Condition" in statement for statement in statements(mode, PLAIN))
    operators: dict[str, list[Any]] = {}
    for statement in statements(mode, RENAMED):
        for action in statement["Action"]:
            if "s3:List" in action:
                operators.setdefault(action, []).append(statement.get("Condition"))
    below, untold = {"StringLike": {"s3:prefix": "laptop/*"}}, {"Null": {"s3:prefix": "true"}}
    assert operators.pop("s3:ListBucketVersions") == [below]
    assert operators.pop("s3:ListBucket") == [untold]
    assert all(conditions == [below, untold] for conditions in operators.values())


def test_a_name_with_wildcards_stands_for_itself() -> None:
    odd = Place("bucket", "all*", manifest="what?", files="$x")
    assert ("s3:PutObject", "all${*}/what${?}") in granted(PolicyMode.WRITE_ONLY, odd)
    assert ("s3:PutObject", "all${*}/${$}x/*") in granted(PolicyMode.WRITE_ONLY, odd)
    assert {"s3:prefix": "all${*}/*"} in [
        condition
        for found in statements(PolicyMode.WRITE_ONLY, odd)
        for condition in found.get("Condition", {}).values()
    ]


@pytest.mark.parametrize(("region", "partition"), [("eu-north-1", "aws"), ("cn-north-1", "aws-cn"), (None, "aws")])
def test_the_region_says_which_part_of_amazon_a_bucket_is_in(region: str | None, partition: str) -> None:
    place = place_of(Config(base_path="/srv", s3=S3Settings(bucket="b", region=region)))
    assert statements(PolicyMode.READ_ONLY, place)[0]["Resource"] == f"arn:{partition}:s3:::b"


def test_there_is_no_policy_for_an_access_point() -> None:
    with pytest.raises(UsageError, match="not the name of a bucket"):
        Place("arn:aws:s3:eu-north-1:123456789012:accesspoint/mine")


@pytest.mark.parametrize("mode", PolicyMode)
def test_a_policy_fits_into_what_amazon_takes_for_a_user(mode: PolicyMode) -> None:
    assert len(json.dumps(policy(mode, evolve(PLAIN, bucket="b" * 63, prefix="p" * 30)), separators=(",", ":"))) < 2048


def test_the_folder_of_the_recovery_kit_is_the_one_that_it_is_stored_in() -> None:
    assert f"{KIT}/" == FOLDER


# --- life-cycle rules --------------------------------------------------------------------------------------


def rules(place: Place) -> list[Any]:
    found: Any = life_cycle(place)["Rules"]
    return list(found)


def test_only_old_versions_of_claim_and_garbage_list_expire() -> None:
    expiring = [rule["Filter"]["Prefix"] for rule in rules(RENAMED) if "NoncurrentVersionExpiration" in rule]
    assert expiring == ["laptop/c", "laptop/g"]
    known = {"ID", "Status", "Filter", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"}
    assert all(set(rule) <= known for rule in rules(RENAMED))


def test_unfinished_uploads_are_given_up_wherever_there_may_be_some() -> None:
    aborting = {rule["Filter"]["Prefix"] for rule in rules(RENAMED) if "AbortIncompleteMultipartUpload" in rule}
    assert aborting == {"laptop/m", "laptop/p", "laptop/c", "laptop/g", "laptop/f/"}


@pytest.mark.parametrize("prefix", ["", "laptop", "p" * 500])
def test_rules_have_names_of_their_own_that_amazon_takes(prefix: str) -> None:
    names = [rule["ID"] for rule in (*rules(evolve(PLAIN, prefix=prefix)), *rules(evolve(PLAIN, prefix="other")))]
    assert len(set(names)) == 10
    assert all(len(name) <= 255 and name.startswith("rrbackup ") for name in names)


@pytest.mark.parametrize(
    "place",
    [
        Place("b", claim="m", manifest="manifest"),
        Place("b", garbage="salt"),
        Place("b", "laptop", claim="fil"),
        Place("b", claim="RE"),
    ],
)
def test_no_rule_is_made_that_would_let_something_else_expire(place: Place) -> None:
    with pytest.raises(UsageError, match="begins the same"):
        life_cycle(place)


def test_merged_rules_keep_those_of_others_in_their_places() -> None:
    theirs, nameless = {"ID": "theirs"}, {"Status": "Enabled"}
    outdated, ours, new = {"ID": "x", "Status": "old"}, {"ID": "x", "Status": "new"}, {"ID": "y"}
    assert merged([theirs, outdated, nameless], [ours, new]) == [theirs, ours, nameless, new]
    assert merged([], [ours, new]) == [ours, new]


# --- commands ----------------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """With a configuration that names a bucket, which nobody asks for anything."""
    made = Bench(tmp_path, capsys)
    document = json.loads(made.config.read_text())
    del document["directory"]
    document["s3"] = {"bucket": "bucket", "prefix": "laptop"}
    made.config.write_text(json.dumps({**document, "remote_gc_log_file": "c"}))
    return made


PLACE = Place("bucket", "laptop", claim="c")


@pytest.mark.parametrize("mode", PolicyMode)
def test_a_policy_is_printed_for_the_configuration(mode: PolicyMode, bench: Bench) -> None:
    for options in ((), ("--json",), ("-q",)):
        ran = bench.run("policy", mode.value, *options)
        assert (ran.code, ran.document, ran.err) == (0, policy(mode, PLACE), "")


def test_life_cycle_rules_are_printed_for_the_configuration(bench: Bench) -> None:
    for options in ((), ("--json",), ("-q",)):
        ran = bench.run("lifecycle", *options)
        assert (ran.code, ran.document, ran.err) == (0, life_cycle(PLACE), "")


def test_the_command_line_knows_the_modes_of_the_library() -> None:
    (choice,) = (p.type for p in program.commands["policy"].params if isinstance(p.type, click.Choice))
    assert list(choice.choices) == list(PolicyMode)


@pytest.mark.parametrize(
    "command", ["policy read-only", "policy setup --apply somebody", "lifecycle", "lifecycle --apply"]
)
def test_a_folder_has_neither_policies_nor_life_cycle_rules(command: str, bench: Bench) -> None:
    bench.configure()
    ran = bench.run(*command.split(), "--json")
    assert (ran.code, ran.document["error"]["type"]) == (2, "UsageError")


def test_a_folder_has_none_in_the_library_either() -> None:
    config = Config(base_path="/srv", directory=DirectorySettings(path="/backup"))
    with pytest.raises(UsageError, match="a folder has no policies"):
        apply_policy(config, PolicyMode.SETUP, "somebody")
    with pytest.raises(UsageError, match="a folder has no policies"):
        apply_life_cycle(config)


@pytest.mark.parametrize("words", ["policy", "policy admin", "policy setup --apply", "lifecycle --apply somebody"])
def test_what_makes_no_sense_is_a_usage_error(words: str, bench: Bench) -> None:
    assert bench.run(*words.split()).code == 2


@pytest.mark.parametrize("command", ["policy setup --apply somebody", "lifecycle --apply"])
def test_a_profile_that_is_not_there_is_a_usage_error(command: str, bench: Bench) -> None:
    document = json.loads(bench.config.read_text())
    document["s3"]["profile"] = "no such profile"
    bench.config.write_text(json.dumps(document))
    ran = bench.run(*command.split())
    assert (ran.code, ran.out) == (2, "")
    assert "no such profile" in ran.err
