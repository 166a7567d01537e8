"""What people read of downloads, before and after; the same rules as in `human`."""

from collections.abc import Iterator

from rrbackup.cli.texts import PRICE_LIST, counted, dollars, human_bytes
from rrbackup.pure.prices import Cost
from rrbackup.pure.report import DownloadResult
from rrbackup.pure.restore_plan import RestoreAct, RestorePlan, RestoreStep


def download_lines(result: DownloadResult, target: str) -> Iterator[str]:
    wrote = counted(result.files, "entry", "entries")
    left = f"; {result.left} left as they were" if result.left else ""
    removed = f"; {counted(result.removed, 'path', 'paths')} removed" if result.removed else ""
    yield f"downloaded {wrote}, {human_bytes(result.bytes)}, into {target}{left}{removed}"
    yield f"version:   {result.version_id}"


def restore_plan_lines(plan: RestorePlan, cost: Cost | None, *, verbose: bool) -> Iterator[str]:
    """What would be done to each path, and why, in that order; `verbose` also what is left. Then the sum."""
    for step in plan:
        if verbose or step.act is not RestoreAct.LEAVE:
            yield _step_line(step)
    counts = plan.counts()
    sums = ", ".join(f"{act} {counts[act]}" for act in RestoreAct if counts[act])
    yield f"a download would {sums or 'do nothing'}; {human_bytes(plan.bytes_to_write)} to write"
    traffic = plan.traffic()
    yield f"requests:  {traffic.gets} for contents, {human_bytes(traffic.bytes_out)} from the store"
    if cost is not None:
        yield from cost_lines(cost)


def cost_lines(cost: Cost) -> Iterator[str]:
    """What something costs, and by which price list."""
    yield f"cost:      {dollars(cost.requests)} for requests, {dollars(cost.transfer)} more if it leaves Amazon"
    yield f"           {PRICE_LIST}"


def _step_line(step: RestoreStep) -> str:
    size = human_bytes(step.size) if step.size else ""
    return f"{step.act:<7}  {size:>10}  {step.path}  ({step.why})"
