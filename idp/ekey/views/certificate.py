"""The browser's own certificate: the one address on the host that asks for it, and the pages where the sign-in takes up what was found there."""

from typing import Any
from urllib.parse import quote

from flask import abort, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from idp import proxy, web
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.ekey import certificate_road, verification
from idp.ekey.leaf import Identity
from idp.ekey.refusal import Refused
from idp.ekey.revocation_cache import Stored
from idp.ekey.views import bp, step
from idp.errors import Refusal
from idp.signin import browser
from idp.signin.models import SignInTransaction
from idp.signin.views import hub


def _asks_for_certificates() -> bool:
    settings = web.runtime().settings
    return proxy.came_to(request.host_url, settings.ekey_mtls_base_url, settings.issuer)


@bp.before_app_request
def _only_there() -> None:
    # a page on that host would ask people for certificates; a certificate at any other host means nothing
    if _asks_for_certificates() != (request.endpoint == "ekey.certificate"):
        abort(404)


@bp.get("/ekey/certificate/<transaction_id>")
@web.access.anyone
def certificate(transaction_id: str) -> BaseResponse:
    """Judge what the proxy hands on, and back to the sign-in's own host, whatever came of it."""
    issuer, words = web.runtime().settings.issuer, step.source()
    # 0, committed whatever follows
    with transaction():
        visit = certificate_road.arrive(transaction_id, request.args.get("challenge", ""), web.now())
    if visit is None:
        return redirect(f"{issuer}/signin/{quote(transaction_id, safe='')}/ekey?fault=again", 303)
    found = _shown(words)
    with transaction():
        words.keep()
        handover = certificate_road.judged(visit.id, found, web.now())
    return redirect(f"{issuer}/ekey/certificate-return?handover={handover}", 303)


def _shown(words: Stored) -> Identity | Refused:
    settings = web.runtime().settings
    # a header sent twice arrives as one with a comma, which no certificate has
    sent = proxy.handed_on(request.headers.get(settings.client_cert_header), settings.client_cert_secret.get_secret_value())
    der = proxy.certificate(sent, settings.client_cert_format)
    return verification.prove_without_signature(der, step.rules(), words, web.now()) if der is not None else Refused(1, "no_certificate")


@bp.get("/ekey/certificate-return")
@web.access.anyone
def take() -> Any:
    """The browser is back: what was found becomes the sign-in's, if this browser began it; the secret leaves the address bar."""
    with transaction():
        row = certificate_road.take(request.args.get("handover", ""), browser.secrets(), web.now())
    return hub.expired(None) if row is None else redirect(f"/signin/{row.id}/ekey/certificate", 303)


@bp.get("/signin/<transaction_id>/ekey/certificate")
@web.access.anyone
@hub.step_page("ekey")
def ask(row: SignInTransaction) -> Any:
    """Whose certificate it is, and whether it is to count; or why it does not."""
    found = certificate_road.shown(row, web.now())
    if found is None:
        return redirect(f"/signin/{row.id}/ekey", 303)
    if isinstance(found[0], Refused):
        return step.page(row, [found[0].told()])
    account = session.get_one(Account, row.account_id) if row.account_id is not None else None
    return render_template("ekey/certificate.html", transaction=row, found=found[0], account=account)


@bp.post("/signin/<transaction_id>/ekey/certificate")
@web.access.anyone
@hub.step_page("ekey")
def confirm(row: SignInTransaction) -> Any:
    """Yes, it counts."""
    with transaction():
        refusal: Refusal | None = certificate_road.settle(row, web.now(), web.today())
    return step.page(row, [refusal], 422) if refusal is not None else hub.lead_on(row)
