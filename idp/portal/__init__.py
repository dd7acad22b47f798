"""What a signed-in person sees: the business hall and the module pages; and what every page has around it, with the help pages.

Owns: no table. Routes: /, /hall, /hall/licences/…, /account, /help, /help/<topic>. Called by: app.py, which gives the frame to all
templates. Does not: decide rights (entitlements) or approve anything (approvals).
"""
