"""What is said to people, and how it is delivered.

Owns: the words of messages, delivery by SMTP and, for development, to the console.
Routes: none. Called by: outbox handlers that app.py wires. Does not: decide when something is said.
"""
