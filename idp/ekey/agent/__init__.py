"""The agent on a person's computer (电子钥匙驱动): an HTTP service on 127.0.0.1 that shows whose key is in the reader and signs after the PIN.

Owns: readers and cards (PC/SC, PIV), the PIN window, the service and who may ask it. Routes: /v1/status, /v1/events, /v1/authenticate and
/v1/authenticate-form on the port of its own. Called by: the command `idp-ekey-agent`; pages of the platform over HTTP.
Does not: import anything of the server but `idp.ekey.protocol`; keep, log or send a PIN.
"""

VERSION = "0.1.0"
APP_VERSION = f"licence-idp-agent/{VERSION}"
PORT = 24817
