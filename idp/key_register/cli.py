"""`idp ekey import`: the key office's list; ekey adds its commands to the same group."""

from pathlib import Path

from flask.cli import AppGroup

from idp import import_command, web
from idp.key_register import office_list

group = AppGroup("ekey", help="E-keys: the key office's list, a CA for trials.")


@group.command("import")
@import_command.strict_option
@import_command.file_argument
def import_(files: tuple[Path, ...], strict: bool) -> None:
    """Add and update e-keys from UTF-8 FILES: serial,enterprise_code,holder,licences,issued,expires,status (active | expired | revoked).

    Optional, for new keys: user_name,activation_code.
    """
    now, secret = web.now(), web.runtime().secret
    import_command.run([(file, lambda path, report: office_list.import_file(path, report, secret, now)) for file in files], strict)
