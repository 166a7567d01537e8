"""The front: open a repository, then ask it for plans, backups, versions, files and downloads.

    with rrbackup.open_repository(config) as repository:
        result = repository.backup()

Nothing is printed and nothing global is touched; progress comes as events (`rrbackup.events`), results as frozen
values, failures as `rrbackup.errors`. A repository is used by one thread at a time; several can be open at once.
"""

from rrbackup.config import Config
from rrbackup.effects.limited import UNLIMITED, Limits
from rrbackup.effects.opening import Ask, store_of
from rrbackup.effects.store import Store
from rrbackup.verbs.backups import Backups
from rrbackup.verbs.checking import Checking
from rrbackup.verbs.copying import Copying
from rrbackup.verbs.listings import Listings
from rrbackup.verbs.looking import Looking
from rrbackup.verbs.repairs import Repairs
from rrbackup.verbs.restores import Restores

__all__ = ["DEFAULT_THREADS", "Repository", "open_repository"]

DEFAULT_THREADS = 16


class Repository(Backups, Listings, Looking, Restores, Copying, Repairs, Checking):
    """A repository as one client sees it. Made by `open_repository`."""


def open_repository(
    config: Config,
    *,
    store: Store | None = None,
    threads: int = DEFAULT_THREADS,
    ask: Ask | None = None,
    limits: Limits = UNLIMITED,
) -> Repository:
    """The repository that `config` names; no request is made yet.

    `store` replaces the one that the configuration names. `threads` bounds how many objects move at once. `ask` is
    called for the password where it is needed and neither the configuration nor the environment (RRBACKUP_PASSWORD)
    has one; its argument says whether it will be a new one, so that a person should be asked twice.
    `limits` says how fast contents may move, up and down, whatever the number of threads.
    """
    return Repository(config, store or store_of(config, threads), threads, ask, limits)
