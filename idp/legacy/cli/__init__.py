"""`idp legacy …`: the dumps of the old systems, and the merge of their users into accounts."""

from flask.cli import AppGroup

PIPED_COLUMNS = 200
LARGEST_NUMBER = 2**31 - 1
group = AppGroup("legacy", help="Dumps of the old systems, and the merge of their users into accounts.")

from idp.legacy.cli import cutover, entry, import_, letters, merge, rehearse, runs  # noqa: E402, F401  # they add their commands to the group above
