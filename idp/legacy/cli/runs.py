"""`idp legacy runs`: imports and merges so far, and what can be taken back."""

import click
from sqlalchemy import func, select

from idp.adapters import BEIJING
from idp.db import session
from idp.errors import BadInput, shown
from idp.legacy.cli import LARGEST_NUMBER, group
from idp.legacy.models import LegacyBatch, LegacyRun


@group.command("runs")
@click.argument("run_id", metavar="[RUN]", required=False, type=click.IntRange(1, LARGEST_NUMBER))
def runs(run_id: int | None) -> None:
    """Imports and merges, the newest first; with RUN, the batches of that merge."""
    if run_id is None:
        for run in session.scalars(select(LegacyRun).order_by(LegacyRun.id.desc())):
            click.echo(_line(run))
        return
    found = session.get(LegacyRun, run_id)
    if found is None:
        raise BadInput(f"{run_id} is no run", field="RUN")
    click.echo(_line(found))
    for batch in session.scalars(select(LegacyBatch).where(LegacyBatch.run_id == run_id).order_by(LegacyBatch.id)):
        state = " · taken back" if batch.undone_at else " · to be taken back" if batch.undo_ordered_at else ""
        click.echo(f"  batch:{batch.id} · {batch.at.astimezone(BEIJING):%Y-%m-%d %H:%M} · {_figures(batch.counts)}{state}")


def _line(run: LegacyRun) -> str:
    what = f"{run.system} of {run.as_of} from {run.file}" if run.kind == "import" else f"{_batches(run.id)} batches"
    state = " · taken back" if run.undone_at else "" if run.finished_at else " · not finished"
    return shown(f"run:{run.id} · {run.kind} · {run.started_at.astimezone(BEIJING):%Y-%m-%d %H:%M} · {what} · {_figures(run.counts)}{state}")


def _batches(run_id: int) -> int:
    return session.scalar(select(func.count()).where(LegacyBatch.run_id == run_id)) or 0


def _figures(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
