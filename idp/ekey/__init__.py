"""The e-key (电子钥匙): what a card proves, to whom and how.

Owns: the authentication token (`protocol`) and the agent that makes it on a person's computer (`agent/`); on the server the judgement of a token
(`verification`, numbered steps), challenges, revocation lists and answers, the binding of a certificate to a key of the key office's list, the
development CA (`idp ekey dev-ca`). Routes: /signin/<id>/ekey…, /ekey/return, /ekey/certificate/…, /account/keys, /keys/report,
/drivers, /officers/keys, /api/key-register/keys. Called by: app, cli.
Does not: import anything here, since the agent is installed without the server; keep the key office's list (key_register).
"""
