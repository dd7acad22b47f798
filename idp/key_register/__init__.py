"""The key office's rows: which e-key belongs to which enterprise, what it was opened for, until when.

Owns: EKey and its licences, the import of the key office's list. Routes: none. Called by: accounts' neighbours above it,
entitlements, legacy. Does not: verify cards or certificates (ekey), nor know accounts.
"""
