"""`python -m demo`: the platform and the business systems as separate processes on loopback, with the sample data.

Speaks to the platform by its command line and HTTP only; imports neither `idp` nor `clients`.
"""
