"""Trying the probes, as several commands do it."""

from pathlib import Path

import click

from idp import import_command, web
from idp.accounts import argon2id
from idp.errors import BadInput
from idp.legacy import probes
from idp.legacy.cutover_orders import systems

# the code of a fault → what the operator reads
WHY = {
    "unknown": "the system has no such user",
    "ambiguous": "several enterprises have this user name in the system; give enterprise_code",
    "disabled": "the user is disabled",
    "no_password": "the dump had no password for it",
    "password": "the password does not fit",
    "account_disabled": "its account is disabled",
    "enterprise_cancelled": "its enterprise is cancelled",
    "name": "its name does not reach its account: too many accounts claim it",
    "changed": "its person has set a new password already; take another user",
}
option = click.option(
    "--probes",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Old users whose password is known (CSV: system,username,enterprise_code,password); all of them must open their account.",
)


def check(file: Path) -> None:
    """Try every probe and say what came of it; BadInput, with the number, if one fails."""
    settings, secret = web.runtime().settings, web.runtime().secret
    keys = probes.Keys(secret, argon2id.hasher(settings.argon2_memory_kib, settings.argon2_passes, settings.hash_concurrency))
    found = probes.read(file)
    failed = 0
    with import_command.progress_bar() as bar:
        for probe in bar.track(found, description="probes"):
            code = probes.fault(probe, web.today(), keys)
            if code is not None:
                failed += 1
                click.echo(str(BadInput(f"{probe.username}: {WHY[code]}", str(file), probe.line, probe.system)), err=True)
    without = [system for system in systems("all") if system not in {probe.system for probe in found}]
    if without:
        click.echo(f"no probe for {', '.join(without)}", err=True)
    if failed:
        raise BadInput(f"{failed} of {len(found)} probes fail", str(file))
    click.echo(f"{len(found)} probes open their accounts")
