"""What happened, written in the transaction of the change.

Owns: the catalogue of events (one typed function each) and their table. Routes: none. Called by: every package above it.
Does not: decide anything, keep secrets or personal data, or talk to the network.
"""
