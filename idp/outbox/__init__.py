"""What must leave the house after a commit: written in the caller's transaction, delivered by the worker, tried again, given up.

Owns: OutboxItem, enqueue, claim, settle. Routes: none. Called by: every package above it; app.py wires kind → handler.
Does not: know what the kinds mean. A payload holds facts and ids; the words are made at delivery.
"""
