"""`idp enterprise …`: the register of enterprises."""

from pathlib import Path

from flask.cli import AppGroup

from idp import import_command, web
from idp.enterprises import register

group = AppGroup("enterprise", help="The register of enterprises.")


@group.command("import")
@import_command.strict_option
@import_command.file_argument
def import_(files: tuple[Path, ...], strict: bool) -> None:
    """Add and update enterprises from UTF-8 FILES: code,uscc,name,name_en,region,status (active | cancelled)."""
    now = web.now()
    import_command.run([(file, lambda path, report: register.import_file(path, report, now)) for file in files], strict)
