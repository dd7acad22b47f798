"""What is said to people, and how it is delivered.

Owns: delivery adapters (console now). Routes: none. Called by: outbox handlers that app.py wires. Does not: decide when something is said.
"""
