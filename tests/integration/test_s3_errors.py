"""What goes wrong between us and an S3 store becomes the right error of ours.

Real traffic through boto3 against a scripted server; only the table of codes is tried on made-up exceptions.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError

from rrbackup.effects.s3 import S3Options, S3Store
from rrbackup.effects.s3_errors import Asked, Manner, refusal
from rrbackup.effects.store import Condition, IfAbsent, IfMatch, Store, UnfinishedUpload
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD
from rrbackup.errors import (
    AccessDenied,
    ConditionFailed,
    ObjectMissing,
    OutcomeUnknown,
    StoreError,
    StoreMissing,
    StoreUnavailable,
    UsageError,
)
from rrbackup.pure.model import VersionId, VersionRef
from tests.scripted_s3 import BEGUN, HANG_UP, OBJECT, PART, STORED, Answer, Script, error, running

V = VersionId("v")
BIG = b"x" * (MULTIPART_THRESHOLD + 1)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr("rrbackup.pure.pacing.pause", lambda *_: 0.0)
    with running() as script:
        yield script


CONDITIONS = pytest.mark.parametrize("condition", [IfAbsent(), IfMatch('"e"')], ids=["if absent", "if match"])


@CONDITIONS
@pytest.mark.parametrize(
    "answer", [HANG_UP, error(503, "SlowDown"), error(500, "InternalError")], ids=["hung up", "503", "500"]
)
def test_a_conditional_write_without_answer_is_sent_once_and_its_outcome_unknown(
    script: Script, condition: Condition, answer: Answer
) -> None:
    with pytest.raises(OutcomeUnknown, match="bucket/k"):
        script.store(answer).put("k", b"x", condition=condition)
    assert script.lines == ["PUT /bucket/k"]


@CONDITIONS
@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")])
def test_a_condition_that_does_not_hold_is_refused(
    script: Script, condition: Condition, status: int, code: str
) -> None:
    with pytest.raises(ConditionFailed, match="k") as caught:
        script.store(error(status, code)).put("k", b"x", condition=condition)
    assert caught.value.busy == (status == 409)


def test_a_match_where_nothing_is_is_refused(script: Script) -> None:
    with pytest.raises(ConditionFailed):
        script.store(error(404, "NoSuchKey")).put("k", b"x", condition=IfMatch('"e"'))


def test_a_store_that_knows_no_conditions_says_so_with_the_bare_class(script: Script) -> None:
    with pytest.raises(StoreError) as caught:
        script.store(error(501, "NotImplemented")).put("k", b"x", condition=IfAbsent())
    assert caught.type is StoreError


def test_a_plain_write_is_repeated_and_counts_its_attempts(script: Script) -> None:
    stored = script.store(error(500, "InternalError"), STORED).put("k", b"x")
    assert (stored.attempts, stored.version_id) == (2, "v")
    assert len(script.seen) == 2


def test_a_conditional_write_that_never_left_found_the_store_unavailable() -> None:
    store = S3Store(S3Options("bucket", "a", "s", endpoint="http://127.0.0.1:1", region="us-east-1"))
    with pytest.raises(StoreUnavailable):
        store.put("k", b"x", condition=IfAbsent())


@CONDITIONS
def test_a_lost_conditional_completion_is_sent_once_and_its_upload_given_up(
    script: Script, condition: Condition
) -> None:
    with pytest.raises(OutcomeUnknown):
        script.store(BEGUN, PART, PART, HANG_UP, Answer(204)).put("k", BIG, condition=condition)
    assert [line.split()[0] for line in script.lines] == ["POST", "PUT", "PUT", "POST", "DELETE"]
    assert [name for name in ("if-match", "if-none-match") if name in script.seen[3].headers]


def test_a_completion_that_finds_no_upload_any_more_is_in_doubt(script: Script) -> None:
    with pytest.raises(OutcomeUnknown):
        script.store(BEGUN, PART, PART, error(404, "NoSuchUpload")).put("k", BIG)


def test_a_part_that_is_refused_gives_the_upload_up(script: Script) -> None:
    with pytest.raises(AccessDenied):
        script.store(BEGUN, PART, error(403, "AccessDenied"), Answer(204)).put("k", BIG)
    assert script.lines[-1] == "DELETE /bucket/k?uploadId=u"


def read_through(store: Store) -> None:
    with store.read("k", V) as chunks:
        list(chunks)


@pytest.mark.parametrize("act", [lambda store: store.get("k", V), read_through], ids=["get", "read"])
def test_a_body_cut_short_is_noticed(script: Script, act: Callable[[Store], object]) -> None:
    store = script.store(Answer(body=b"part of it", headers=OBJECT, cut=True))
    with pytest.raises(StoreUnavailable, match="bucket/k version v"):
        act(store)


def test_a_store_that_ignores_ranges_is_not_believed(script: Script) -> None:
    store = script.store(Answer(body=b"all of it", headers=OBJECT))
    with pytest.raises(StoreUnavailable, match="range"), store.read("k", V, start=4):
        pass


def listed(store: Store) -> object:
    return list(store.list_versions("k"))


@pytest.mark.parametrize(
    ("act", "action"),
    [
        (lambda store: store.head("k"), "s3:GetObject"),
        (lambda store: store.get("k"), "s3:GetObject"),
        (lambda store: store.get("k", V), "s3:GetObjectVersion"),
        (lambda store: store.put("k", b"x"), "s3:PutObject"),
        (lambda store: store.put("k", b"x", condition=IfMatch('"e"')), "s3:GetObject"),
        (listed, "s3:ListBucketVersions"),
        (lambda store: store.delete_versions([VersionRef("k", V)]), "s3:DeleteObjectVersion"),
        (lambda store: list(store.list_uploads("k")), "s3:ListBucketMultipartUploads"),
        (lambda store: store.abort_upload(UnfinishedUpload("k", "u")), "s3:AbortMultipartUpload"),
        (lambda store: store.put("k", BIG), "s3:PutObject"),
        (read_through, "s3:GetObjectVersion"),
        (lambda store: store.prepare(), "s3:GetBucketVersioning"),
    ],
)
def test_a_denied_request_names_the_right_that_it_needs(
    script: Script, act: Callable[[Store], object], action: str
) -> None:
    with pytest.raises(AccessDenied) as caught:
        act(script.store(error(403, "AccessDenied")))
    assert action in caught.value.hint
    assert "hidden" not in str(caught.value) + caught.value.hint


def test_a_bucket_that_may_not_be_switched_to_versions_names_the_right(script: Script) -> None:
    unversioned = Answer(body=b"<VersioningConfiguration/>")
    with pytest.raises(AccessDenied) as caught:
        script.store(unversioned, error(403, "AccessDenied")).prepare()
    assert "s3:PutBucketVersioning" in caught.value.hint


@pytest.mark.parametrize("status", [401, 403])
def test_a_read_that_is_denied_may_be_of_something_that_is_not_there(script: Script, status: int) -> None:
    store = script.store(error(status, "AccessDenied"))
    for act in (lambda: store.head("k"), lambda: store.get("k", V)):
        with pytest.raises(AccessDenied) as caught:
            act()
        assert "s3:ListBucket " in caught.value.hint
    with pytest.raises(AccessDenied) as caught:
        store.put("k", b"x")
    assert "s3:ListBucket" not in caught.value.hint


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("ExpiredToken", "expired"),
        ("InvalidAccessKeyId", "access key"),
        ("InvalidToken", "token"),
        ("SignatureDoesNotMatch", "secret_key"),
        ("RequestTimeTooSkewed", "clock"),
    ],
)
def test_keys_that_are_wrong_are_told_from_rights_that_are_missing(script: Script, code: str, word: str) -> None:
    with pytest.raises(AccessDenied) as caught:
        script.store(error(403, code)).get("k")
    assert word in caught.value.hint
    assert "s3:" not in caught.value.hint


@pytest.mark.parametrize(("status", "code"), [(429, "429"), (503, "SlowDown"), (400, "RequestLimitExceeded")])
def test_a_request_refused_for_its_load_is_repeated(script: Script, status: int, code: str) -> None:
    assert script.store(error(status, code), STORED).put("k", b"x").attempts == 2


def test_a_store_that_cannot_delete_many_is_asked_for_one_after_the_other(script: Script) -> None:
    store = script.store(error(501, "NotImplemented"), Answer(204))
    for _ in range(2):
        store.delete_versions([VersionRef("a", V), VersionRef("b c", V)])
    singly = ["DELETE /bucket/a?versionId=v", "DELETE /bucket/b%20c?versionId=v"]
    assert script.lines == ["POST /bucket?delete", *singly, *singly]


def test_what_could_not_be_deleted_with_the_others_is_tried_alone(script: Script) -> None:
    def failed(key: str, code: str) -> str:
        return f"<Error><Key>{key}</Key><VersionId>v</VersionId><Code>{code}</Code><Message>m</Message></Error>"

    errors = failed("a", "InternalError") + failed("b", "NoSuchVersion")
    store = script.store(Answer(body=f"<DeleteResult>{errors}</DeleteResult>".encode()), Answer(204))
    store.delete_versions([VersionRef(key, V) for key in ("a", "b", "c")])
    assert script.lines == ["POST /bucket?delete", "DELETE /bucket/a?versionId=v"]


def test_a_third_partys_endpoint_gets_no_checksums_that_it_may_not_know(script: Script) -> None:
    script.store(STORED).put("k", b"x")
    (seen,) = script.seen
    assert not [name for name in seen.headers if "checksum" in name or "trailer" in name]
    assert seen.body == b"x"


def client_error(status: int, code: str, message: str = "m") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Operation",
    )


@pytest.mark.parametrize(
    ("status", "code", "manner", "expected"),
    [
        (404, "NoSuchBucket", Manner.READ, StoreMissing),
        (404, "NoSuchBucket", Manner.IF_MATCH, StoreMissing),
        (404, "NoSuchKey", Manner.READ, ObjectMissing),
        (404, "NoSuchVersion", Manner.READ, ObjectMissing),
        (404, "404", Manner.READ, ObjectMissing),
        (405, "MethodNotAllowed", Manner.READ, ObjectMissing),
        (404, "NoSuchUpload", Manner.IF_MATCH, OutcomeUnknown),
        (403, "403", Manner.READ, AccessDenied),
        (403, "SignatureDoesNotMatch", Manner.WRITE, AccessDenied),
        (400, "ExpiredToken", Manner.READ, AccessDenied),
        (403, "RequestTimeTooSkewed", Manner.IF_ABSENT, AccessDenied),
        (429, "429", Manner.READ, StoreUnavailable),
        (500, "InternalError", Manner.READ, StoreUnavailable),
        (500, "InternalError", Manner.WRITE, OutcomeUnknown),
        (400, "RequestTimeout", Manner.WRITE, OutcomeUnknown),
        (412, "PreconditionFailed", Manner.READ, StoreError),
        (400, "EntityTooLarge", Manner.WRITE, StoreError),
        (403, "InvalidObjectState", Manner.READ, StoreError),
    ],
)
def test_what_a_code_means(status: int, code: str, manner: Manner, expected: type[StoreError]) -> None:
    found = refusal(client_error(status, code), Asked("read", "s3://b/k", "s3:X", manner))
    assert type(found) is expected
    assert "s3://b/k" in found.message
    assert found.hint or expected is ObjectMissing


def test_an_impossible_version_id_is_a_missing_version() -> None:
    found = refusal(client_error(400, "InvalidArgument", "Invalid version id specified"), Asked("read", "k", "a"))
    assert isinstance(found, ObjectMissing)


@pytest.mark.parametrize("wrong", [{"endpoint": "no url"}, {"profile": "there is no such profile"}])
def test_options_that_make_no_sense_are_told_at_once(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="bucket"):
        S3Store(S3Options("bucket", **wrong))  # type: ignore[arg-type]


def test_secrets_do_not_show(script: Script) -> None:
    options = S3Options("bucket", access_key="AKIA", secret_key="hidden")
    assert "hidden" not in repr(options) + repr(script.store(STORED)) + str(vars(S3Store(options)))


def test_boto3_is_loaded_only_by_those_who_need_it() -> None:
    code = "import sys, rrbackup.effects.s3; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
