"""The register of enterprises that trade abroad.

Owns: Enterprise, the rules of enterprise codes and USCC, the import of the register. Routes: none yet. Called by: key_register, accounts, legacy.
Does not: know accounts, keys or rights.
"""
