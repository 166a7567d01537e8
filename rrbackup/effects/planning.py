"""Observing for a plan: the manifest of the head, the tree on disk, and what lies between them."""

from collections.abc import Iterator

from attrs import frozen

from rrbackup.effects.attributes import Extras
from rrbackup.effects.checkpoints import check_against, read_to_head
from rrbackup.effects.client import Client
from rrbackup.effects.filesystem import ScanOptions, scan
from rrbackup.effects.opening import exclusions_of, rules_of
from rrbackup.effects.selective_scan import scan_selected
from rrbackup.errors import BasePathEmpty
from rrbackup.events import Notice, OnEvent, PlanMade, ProblemFound, Scanning
from rrbackup.pure.extras import with_hardlinks
from rrbackup.pure.filters import Filters
from rrbackup.pure.local_format import rows_of
from rrbackup.pure.manifest import Standing, check_follows, fold_links, standing, went_back
from rrbackup.pure.model import HeadRef, LocalManifest, Problem
from rrbackup.pure.plan import BackupPlan, make_plan
from rrbackup.pure.scan import LeftOut, Scanned

SCAN_EVENT_EVERY = 1000


def manifest_at(client: Client, head: HeadRef | None, on_event: OnEvent) -> LocalManifest:
    """The manifest of `head`, from what is remembered and the diffs since then.

    Raises StoreWentBack, or what reading the chain raises.
    """
    remembered = client.local.load().manifest
    known = remembered.head if remembered else None
    name = str(client.local.manifest_path)
    where = standing(known, head, name)
    if where is Standing.UNKNOWN or remembered is None or known is None:
        return _rebuilt(client, head, on_event)
    if where is Standing.CURRENT:
        return remembered
    links = client.control.read_chain(known.sequence)
    if not links:
        raise went_back(known, None, name)
    check_follows(known, links[-1], name)
    check_against(client.control, remembered, links)
    return fold_links(remembered, links)


def _rebuilt(client: Client, head: HeadRef | None, on_event: OnEvent) -> LocalManifest:
    if head is None:
        return LocalManifest(None)
    on_event(Notice(f"{client.local.load().why_not}; it is rebuilt from the store"))
    return read_to_head(client.control, lambda why: on_event(Notice(why))).manifest()


@frozen
class Wanted:
    """What was asked for beyond the usual: that an empty base path may empty the manifest, and `Rules.reprocess`."""

    allow_empty: bool = False
    reprocess: bool = False


def plan_backup(client: Client, manifest: LocalManifest, wanted: Wanted, on_event: OnEvent) -> BackupPlan:
    """Scan the tree and compare. Raises SourceError, or ConfigError where a pipeline cannot be carried out."""
    client.control.check_may_publish()
    rules = rules_of(client.config, client.keys.opened, reprocess=wanted.reprocess)
    made = make_plan(manifest.head, rows_of(manifest.entries), _scan(client, on_event), rules)
    if not made.scanned and not made.problems and manifest.entries and not wanted.allow_empty:
        raise BasePathEmpty(
            f"the base path {client.config.base()} is empty, but the last commit has {len(manifest.entries)} entries",
            hint="is its disk mounted? If everything is meant to be deleted, allow it (--allow-empty)",
        )
    on_event(PlanMade(len(made.candidates), made.bytes_to_read, made.unchanged))
    return made


def _scan(client: Client, on_event: OnEvent) -> Iterator[Scanned | Problem | LeftOut]:
    """The scan, and what there is to tell about it."""
    config = client.config
    extras = Extras(config.store_owner, config.store_xattrs)
    ignore = Filters.of(config.ignore_files)
    options = ScanOptions(
        ignore, config.follow_symlinks, config.visit_mountpoints, extras, all_folders=config.store_folders
    )
    exclusions = exclusions_of(config)
    found = scan_selected(config.base(), options, exclusions) if exclusions else scan(config.base(), options)
    for number, item in enumerate(with_hardlinks(found), start=1):
        if isinstance(item, Problem):
            on_event(ProblemFound(item))
        elif number % SCAN_EVENT_EVERY == 0:
            on_event(Scanning(str(config.base()), number))
        yield item
