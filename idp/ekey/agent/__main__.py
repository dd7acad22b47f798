"""`python -m idp.ekey.agent` is `idp-ekey-agent`."""

import sys

from idp.ekey.agent.command import main

sys.exit(main())
