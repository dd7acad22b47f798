"""The e-key (电子钥匙): what a card proves, to whom and how.

Owns: the authentication token (`protocol`) and the agent that makes it on a person's computer (`agent/`). Routes: none. Called by: nobody yet.
Does not: import anything here, since the agent is installed without the server; keep the key office's list (key_register).
"""
