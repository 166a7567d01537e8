"""The front: open a repository, then ask it for plans, backups, versions, files and downloads.

    with rrbackup.open_repository(config) as repository:
        result = repository.backup()

Nothing is printed and nothing global is touched; progress comes as events (`rrbackup.events`), results as frozen
values, failures as `rrbackup.errors`. A repository is used by one thread at a time; several can be open at once.
"""

from collections.abc import Callable

from rrbackup.config import Config
from rrbackup.effects.cancelling import Cancellation
from rrbackup.effects.credentials import Credentials, Provider
from rrbackup.effects.limited import UNLIMITED, Limits
from rrbackup.effects.opening import Ask
from rrbackup.effects.store import Store
from rrbackup.errors import UsageError
from rrbackup.pure.threads import MOST_ASKED
from rrbackup.verbs.backups import Backups
from rrbackup.verbs.checking import Checking
from rrbackup.verbs.copying import Copying
from rrbackup.verbs.listings import Listings
from rrbackup.verbs.looking import Looking
from rrbackup.verbs.opened import Given
from rrbackup.verbs.repairs import Repairs
from rrbackup.verbs.restores import Restores
from rrbackup.verbs.rights import Rights

__all__ = ["Repository", "open_repository"]


class Repository(Backups, Listings, Looking, Restores, Copying, Repairs, Checking, Rights):
    """A repository as one client sees it. Made by `open_repository`.

    Each command of the command line is a verb of the same name (docs/library.md).
    """


def open_repository(
    config: Config,
    *,
    store: Store | None = None,
    threads: int | None = None,
    ask: Ask | None = None,
    limits: Limits = UNLIMITED,
    credentials: Credentials | Provider | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Repository:
    """The repository that `config` names; no request is made yet.

    `store` replaces the one that the configuration names. `threads` is how many objects move at once, up to 256; None
    is as many as make it faster, between 16 and 64. `ask` is called for the password where it is needed and neither the
    configuration nor the environment (RRBACKUP_PASSWORD) has one; its argument says whether it will be a
    new one, so that a person should be asked twice.
    `limits` says how fast contents may move, up and down, whatever the number of threads.
    `credentials` for the bucket take the place of the configuration's and of boto3's: a value, or a function that gives
    one and is called again before that expires. `cancelled`, such as the `is_set` of a threading.Event, is called at
    every turn, by any thread; once it says true, the operation ends with `Cancelled`.
    Raises UsageError for another number of threads and for credentials without a bucket of the configuration's, and as
    the store does.
    """
    if threads is not None and threads not in range(1, MOST_ASKED + 1):
        raise UsageError(f"threads is a whole number from 1 to {MOST_ASKED}, not {threads!r}", hint="leave it out")
    given = Given(threads, ask, limits, _provider(credentials), cancelled and Cancellation(cancelled))
    if given.credentials is not None and (config.s3 is None or store is not None):
        raise UsageError("credentials were given, but no bucket needs them", hint="leave them out")
    return Repository(config, store or given.store_of(config), given)


def _provider(credentials: Credentials | Provider | None) -> Provider | None:
    return (lambda: credentials) if isinstance(credentials, Credentials) else credentials
