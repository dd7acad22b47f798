"""What one officer asks for and another confirms (R90): filed, confirmed, refused, expired.

Owns: SecondPersonRequest, the pages below /officers/requests. Routes: /officers/requests, /officers/requests/<number>. Called by: the officers'
pages that file requests. Does not: know what a request does; ACTS in app.py says that, kind by kind.
"""
