"""The eight old systems: their dumps, how their users become accounts, and their own log-ins for a while.

Owns: LegacyRow, LegacyRun, the importer with its mapping files, the merge (plan, apply), the legacy entry, `idp legacy …`.
Routes: /legacy/<system>, /api/legacy/<system>/attempt, /account/link. Called by: the command line.
Does not: sign anybody in but at one system alone; old hashes stand in accounts.FormerPassword only.
"""
