"""The pages of the e-key, between the right password and the end of the sign-in."""

from flask import Blueprint

bp = Blueprint("ekey", __name__)

from idp.ekey.views import certificate, drivers, life_cycle, step  # noqa: E402, F401  # it registers its routes on bp
