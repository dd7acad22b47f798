"""A PIV card without hardware, in a reader of a private PC/SC daemon: for tests and for trying the e-key on any machine.

Owns: the card (SP 800-73-4 applet, its file), vpcd's protocol, a pcscd of our own. Called by: tests (`reader.virtual_reader`); the demo may.
Does not: know the platform or the agent, which meet it as strangers over PC/SC; nor protect its keys: a card file is sample data.
"""
