"""What the server alone takes for a first backup of small files, and for a restore: requests that are only replayed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from attrs import evolve
from botocore.config import Config

from bench.backups import files_of
from bench.lab import Lab
from bench.lanes import Lane, Run, measured
from bench.processes import run
from bench.replay import request, write_requests
from bench.results import CaseResult
from bench.server import drop_bucket
from bench.tools import python_command

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TRANSFERS = 16
"""As many as rclone has in the cases beside this one."""


def bounds(lab: Lab, name: str, title: str) -> CaseResult:
    source = lab.source("small")
    lanes = [
        _puts(lab, "PUT, versioned bucket", source, versioned=True),
        _puts(lab, "PUT, no versions", source, versioned=False),
        _gets(lab, "GET of versions", source),
    ]
    note = "The files are those of small-first and small-restore; nothing is hashed, signed or written to disk."
    return CaseResult(name, title, tuple(measured(lab, lanes)), (note,))


def _puts(lab: Lab, name: str, source: Path, *, versioned: bool) -> Lane:
    def begin(endpoint: str) -> Run:
        bucket = lab.server.new_bucket(versioned=versioned)
        return evolve(_replayed(lab, endpoint, bucket, source), tidy=lambda: drop_bucket(lab.server, bucket))

    return Lane(name, begin, lab.tree("small").files)


def _replayed(lab: Lab, endpoint: str, bucket: str, source: Path) -> Run:
    client = _client(lab, endpoint)
    urls = (
        (client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": path}), (source / path).read_bytes())
        for path, _ in files_of(source)
    )
    return _run(lab, endpoint, (request("PUT", url, body) for url, body in urls))


def _gets(lab: Lab, name: str, source: Path) -> Lane:
    bucket = lab.server.new_bucket()
    run(_replayed(lab, lab.server.endpoint, bucket, source).command)

    def begin(endpoint: str) -> Run:
        client = _client(lab, endpoint)
        urls = (
            client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key, "VersionId": version})
            for key, version in _versions(lab, bucket)
        )
        return _run(lab, endpoint, (request("GET", url) for url in urls))

    return Lane(name, begin, lab.tree("small").files)


def _versions(lab: Lab, bucket: str) -> Iterator[tuple[str, str]]:
    client = lab.server.client()
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", ()):
            yield version["Key"], version["VersionId"]


def _run(lab: Lab, endpoint: str, requests: Iterator[bytes]) -> Run:
    path = lab.work / "requests"
    write_requests(path, endpoint, requests)
    return Run(python_command("bench.replay", os.fspath(path), str(TRANSFERS)))


def _client(lab: Lab, endpoint: str) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=lab.server.access_key,
        aws_secret_access_key=lab.server.secret_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
