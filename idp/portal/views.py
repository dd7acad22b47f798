"""The start page, the business hall, the module pages and help."""

from flask import Blueprint, abort, redirect, render_template, request
from flask_babel import get_locale
from werkzeug.wrappers import Response

from idp.portal import hall, how
from idp.web import access, now, officer_roles, principal, runtime, signed_in, today

pages = Blueprint("portal", __name__)
TOPICS = ("how", "stock-users", "new-users", "password", "faq", "background")


@pages.get("/")
@access.anyone
def start() -> Response:
    """To the hall, or to sign-in."""
    return redirect("/hall" if principal() else "/login", 303)


@pages.get("/hall")
@access.person
def business_hall() -> Response | str:
    """The business hall (R31); officers work at their desk."""
    if officer_roles():
        return redirect("/officers", 303)
    account = signed_in().account_id
    ends = hall.password_ends(account, runtime().settings.password_days, now())
    return render_template("portal/hall.html", person=hall.person(account), ending=hall.ending_keys(account, today()), password_ends=ends)


@pages.get("/hall/licences")
@access.person
def licences() -> str:
    """The module page: every business the account has a right to (R33, R34)."""
    account = signed_in().account_id
    return render_template("portal/licences.html", person=hall.person(account), modules=hall.modules(account, today()))


@pages.get("/hall/licences/<system>")
@access.person
def licence(system: str) -> str:
    """One module with 进入应用 (R32, R36); 404 unless it is the account's own."""
    account = signed_in().account_id
    module = hall.module(account, system, today()) or abort(404)
    return render_template("portal/module.html", person=hall.person(account), module=module)


@pages.get("/help")
@access.anyone
def help_index() -> str:
    """All help pages (R53)."""
    return render_template("portal/help.html", topics=TOPICS)


@pages.get("/help/how")
@access.anyone
def help_how() -> str:
    """【我该怎样登录？】: three questions, and every name form below (R93)."""
    given = {question: request.args[question] for question in how.QUESTIONS if question in request.args}
    return _help_page("how", questions=how.QUESTIONS, given=given, advice=how.advise(given))


@pages.get("/help/<topic>")
@access.anyone
def help_page(topic: str) -> str:
    """One help page in the page's language."""
    if topic not in TOPICS:
        abort(404)
    return _help_page(topic)


def _help_page(topic: str, **more: object) -> str:
    return render_template("portal/help_page.html", topic=topic, text=f"portal/help/{get_locale()}/{topic}.html", **more)
