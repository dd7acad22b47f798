"""The events of the migration of the old systems, one function each."""

from datetime import datetime

from idp.audit.writing import write


def legacy_imported(now: datetime, *, run_id: int, system: str, accepted: int, rejected: int) -> None:
    """A dump of an old system was imported into legacy_rows."""
    write("legacy.imported", now, detail={"run": run_id, "system": system, "accepted": accepted, "rejected": rejected})


def cutover_set(now: datetime, *, cutover_id: int, system: str, at: datetime, region: str, enterprise_id: int | None) -> None:
    """From `at` the platform takes the place of the system's own log-in: for all, a region or one enterprise."""
    write(
        "legacy.cutover.set",
        now,
        enterprise_id=enterprise_id,
        detail={"cutover": cutover_id, "system": system, "at": at.isoformat(), "region": region},
    )


def cutover_reverted(now: datetime, *, cutover_id: int, system: str, enterprise_id: int | None) -> None:
    """A cut-over was taken back, before or after its time."""
    write("legacy.cutover.reverted", now, enterprise_id=enterprise_id, detail={"cutover": cutover_id, "system": system})


def incident_declared(now: datetime, *, incident_id: int) -> None:
    """The platform is known not to work: the legacy entries count no log-in until the incident ends (R64)."""
    write("legacy.incident.declared", now, detail={"incident": incident_id})


def incident_ended(now: datetime, *, incident_id: int) -> None:
    """The incident is over: log-ins at the legacy entries are counted again."""
    write("legacy.incident.ended", now, detail={"incident": incident_id})


def letter_sent(now: datetime, *, enterprise_id: int, contacts: int) -> None:
    """Contacts of an enterprise were told of the coming change of the log-in (R92)."""
    write("legacy.letter.sent", now, enterprise_id=enterprise_id, detail={"contacts": contacts})


def legacy_import_undone(now: datetime, *, run_id: int, system: str, removed: int, returned: int, stayed: int) -> None:
    """An import was taken back; rows that are merged, or were changed by a later import, stay."""
    detail = {"run": run_id, "system": system, "removed": removed, "returned": returned, "stayed": stayed}
    write("legacy.import.undone", now, detail=detail)


def legacy_merge_undone(now: datetime, *, run_id: int, batch_id: int, removed: int, returned: int, stayed: int) -> None:
    """A batch of a merge was taken back; accounts that somebody has acted upon since stay."""
    write("legacy.merge.undone", now, detail={"run": run_id, "batch": batch_id, "removed": removed, "returned": returned, "stayed": stayed})


def legacy_unmerged(now: datetime, *, account_id: int, enterprise_id: int | None, batch_id: int, removed: bool) -> None:
    """What a batch of a merge did to one account was taken back; `removed`: the batch had made it, and it is no more."""
    write("legacy.unmerged", now, account_id=account_id, enterprise_id=enterprise_id, detail={"batch": batch_id, "removed": removed})


def legacy_merged(now: datetime, *, account_id: int, enterprise_id: int | None, run_id: int, systems: list[str]) -> None:
    """Legacy rows became, or joined, one account."""
    write("legacy.merged", now, account_id=account_id, enterprise_id=enterprise_id, detail={"run": run_id, "systems": systems})
