"""/captcha/<id>.png: the picture of a question that is still open."""

from flask import Blueprint, Response, abort

from idp.captcha import image, rules, work
from idp.web import access, now, runtime

pages = Blueprint("captcha", __name__)


@pages.app_template_global("captcha_work")
def work_of(challenge_id: str) -> str:
    """What a page's script is to work on for this question."""
    return work.challenge(challenge_id, runtime().secret)


@pages.get("/captcha/<challenge_id>.png")
@access.asset
def picture(challenge_id: str) -> Response:
    """The PNG, never kept; 404 once the question is spent, too old or never was."""
    answer = rules.answer_of(challenge_id, runtime().secret, now())
    if answer is None:
        abort(404)
    return Response(image.draw(answer), mimetype="image/png", headers={"Cache-Control": "no-store"})
