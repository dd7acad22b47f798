"""Officers (R90): made at the command line, enrolled by a one-time link, and the start page from which they reach their work.

Owns: OfficerEnrolment, the officers' frame. Routes: /officers, /officers/enrol/<token>. Called by: app.py and the command line; every page of
officers extends its frame. Does not: hold roles (accounts.roles) or decide anything; each page lives with the data it changes.
"""
