"""The eight old systems: their dumps, and how their users become accounts.

Owns: LegacyRow, LegacyRun, the importer with its mapping files, the merge (plan, apply), `idp legacy …`. Routes: /account/link.
Called by: the command line. Does not: sign anybody in; old hashes stand in accounts.FormerPassword only.
"""
