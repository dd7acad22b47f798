"""The pages of the sign-in, one file a step; each records its result and returns to the hub."""

from flask import Blueprint

bp = Blueprint("signin", __name__)

from idp.signin.views import change, choose, code, contacts, entry, password, proof, totp  # noqa: E402, F401  # they register their routes on bp
