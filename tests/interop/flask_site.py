"""A Flask site in one file whose people sign in by Flask-OIDC, as its manual sets it up.

`python flask_site.py PORT`; what differs from site to site comes as JSON in the environment (SITE: `config` of Flask, `pkce`). Nothing of the
platform is imported.
"""

import json
import os
import sys
from wsgiref.simple_server import make_server

from flask import Flask, g, jsonify, request, session
from flask.typing import ResponseReturnValue
from flask_oidc import OpenIDConnect

SITE = json.loads(os.environ["SITE"])
app = Flask(__name__)
app.config.update(SITE["config"])
oidc = OpenIDConnect(app)
if SITE["pkce"]:
    # it has no setting of its own for this; Authlib, which it stands on, has
    oidc.oauth.oidc.client_kwargs["code_challenge_method"] = "S256"


@app.get("/private")
@oidc.require_login
def private() -> ResponseReturnValue:
    """Who is signed in here, and the tokens held for them."""
    return jsonify(profile=session["oidc_auth_profile"], token=session["oidc_auth_token"])


@app.get("/asked")
@oidc.require_login
def asked() -> ResponseReturnValue:
    """What the provider's userinfo says now, by the token held now."""
    return jsonify(g._oidc_auth.userinfo(token=session["oidc_auth_token"]))


@app.get("/api")
@oidc.accept_token(["profile"])
def api() -> ResponseReturnValue:
    """What a bearer token opens, which it asks the provider about (RFC 7662)."""
    return jsonify(opened=True)


@app.get("/age")
def age() -> ResponseReturnValue:
    """As if the access token had been held for its whole life."""
    session["oidc_auth_token"] = session["oidc_auth_token"] | {"expires_at": 1}
    return "aged"


@app.get("/leave")
def leave() -> ResponseReturnValue:
    """Sign out here and at the provider; Flask-OIDC's own /logout is for here only."""
    id_token = session["oidc_auth_token"].get("id_token")
    session.clear()
    answer: ResponseReturnValue = g._oidc_auth.logout_redirect(f"{request.host_url}bye", id_token_hint=id_token)
    return answer


@app.get("/bye")
def bye() -> ResponseReturnValue:
    """Where people land who have left; the state is the one sent (RP-Initiated Logout §3)."""
    g._oidc_auth.validate_logout_response()
    return "bye"


@app.get("/")
def home() -> ResponseReturnValue:
    """Open to all."""
    return "home"


if __name__ == "__main__":
    with make_server("127.0.0.1", int(sys.argv[1]), app) as server:
        server.serve_forever()
