"""/captcha/<id>.png: the picture of a question that is still open."""

from flask import Blueprint, Response, abort

from idp.captcha import image, rules
from idp.web import access, now, runtime

pages = Blueprint("captcha", __name__)


@pages.get("/captcha/<challenge_id>.png")
@access.asset
def picture(challenge_id: str) -> Response:
    """The PNG, never kept; 404 once the question is spent, too old or never was."""
    answer = rules.answer_of(challenge_id, runtime().secret, now())
    if answer is None:
        abort(404)
    return Response(image.draw(answer), mimetype="image/png", headers={"Cache-Control": "no-store"})
