"""Credentials that a program hands in: what they may be, and when its provider is asked for new ones."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import CredentialRetrievalError

from rrbackup import Config, Credentials, DirectorySettings, S3Settings, UsageError, open_repository, testing
from rrbackup.effects.renewed_credentials import RenewedCredentials

START = datetime(2026, 11, 20, 14, tzinfo=UTC)


class Vault:
    """Hands out numbered credentials that live for `minutes`; `now` is the time on its wall."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes = minutes
        self.now = START
        self.asked = 0
        self.down = False

    def __call__(self) -> Credentials:
        self.asked += 1
        if self.down:
            raise OSError("the vault is sealed")
        end = None if self.minutes is None else self.now + timedelta(minutes=self.minutes)
        return Credentials(f"key {self.asked}", "secret", f"token {self.asked}", end)

    def credentials(self) -> RenewedCredentials:
        return RenewedCredentials(self, lambda: self.now)

    def after(self, minutes: float) -> None:
        self.now = START + timedelta(minutes=minutes)


def test_nothing_is_asked_before_it_is_needed() -> None:
    vault = Vault(60)
    credentials = vault.credentials()
    assert vault.asked == 0
    assert credentials.get_frozen_credentials() == ("key 1", "secret", "token 1", None)
    assert vault.asked == 1


@pytest.mark.parametrize(("minutes", "asked"), [(0, 1), (54, 1), (55, 2), (59.5, 2), (61, 2)])
def test_new_ones_are_asked_for_in_the_last_five_minutes(minutes: float, asked: int) -> None:
    vault = Vault(60)
    credentials = vault.credentials()
    credentials.get_frozen_credentials()
    vault.after(minutes)
    assert credentials.get_frozen_credentials().token == f"token {asked}"
    assert vault.asked == asked


def test_what_does_not_expire_is_asked_for_once() -> None:
    vault = Vault(None)
    credentials = vault.credentials()
    credentials.get_frozen_credentials()
    vault.after(100_000)
    assert credentials.get_frozen_credentials().access_key == "key 1"


def test_a_provider_that_fails_early_is_forgiven_and_asked_again() -> None:
    vault = Vault(60)
    credentials = vault.credentials()
    credentials.get_frozen_credentials()
    vault.after(56)
    vault.down = True
    assert credentials.get_frozen_credentials().access_key == "key 1"
    vault.down = False
    assert credentials.get_frozen_credentials().access_key == "key 3"


@pytest.mark.parametrize("minutes", [59, 60, 70])
def test_a_provider_that_fails_in_the_last_minute_has_failed(minutes: float) -> None:
    vault = Vault(60)
    credentials = vault.credentials()
    credentials.get_frozen_credentials()
    vault.after(minutes)
    vault.down = True
    with pytest.raises(CredentialRetrievalError, match="the vault is sealed"):
        credentials.get_frozen_credentials()


@pytest.mark.parametrize(
    ("provider", "why"),
    [
        (lambda: Credentials("key", "secret", expires_at=START), "expired at 2026-11-20 14:00"),
        (lambda: ("key", "secret"), "gave a tuple"),
    ],
)
def test_what_nobody_can_use_is_refused(provider: Callable[[], Credentials], why: str) -> None:
    with pytest.raises(CredentialRetrievalError, match=why):
        RenewedCredentials(provider, lambda: START).get_frozen_credentials()


@pytest.mark.parametrize("wrong", [("", "secret"), ("key", ""), ("key", "secret", None, datetime(2026, 1, 1))])
def test_credentials_that_make_no_sense_cannot_be_made(wrong: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        Credentials(*wrong)


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("AKIA", "hidden", "also hidden"))
    assert "AKIA" in shown
    assert "hidden" not in shown


def test_credentials_that_no_bucket_needs_are_refused() -> None:
    keys = Credentials("key", "secret")
    folder = Config(base_path="base", directory=DirectorySettings(path="store"))
    bucket = Config(base_path="base", s3=S3Settings(bucket="bucket"))
    with pytest.raises(UsageError, match="no bucket needs them"):
        open_repository(folder, credentials=keys)
    with pytest.raises(UsageError, match="no bucket needs them"):
        open_repository(bucket, store=testing.MemoryStore().client(), credentials=keys)
