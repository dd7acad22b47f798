"""A client as a TOML file: metadata under the names of RFC 7591 and our own, one client a file; never a secret."""

import os
import stat
import sys
import tomllib
from pathlib import Path

from idp.errors import BadInput
from idp.oidc.clients import judge_secret
from idp.oidc.registration import Registration, judge

MAX_FILE_BYTES = 256 * 1024


def read(file: Path) -> Registration:
    """The client that `file` describes; BadInput names the file and the member that is wrong."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise BadInput("is too long", file=str(file))
        members = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(str(error), file=str(file)) from error
    if "client_secret" in members:
        raise BadInput("a secret does not belong into this file; use --secret-file", file=str(file), field="client_secret")
    return judge(members, str(file))


def secret(source: Path | None) -> str | None:
    """The secret in a 0600 file, or the first line of standard input for `-`; None without a source."""
    if source is None:
        return None
    if str(source) == "-":
        return judge_secret(sys.stdin.readline().strip())
    try:
        descriptor = os.open(source, os.O_RDONLY)
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            # whoever else may read the file may be the client
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                raise BadInput("is open to others; chmod 0600", file=str(source))
            return judge_secret(stream.readline().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(error), file=str(source)) from error
