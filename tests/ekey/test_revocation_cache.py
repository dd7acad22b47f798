from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from sqlalchemy import select

from idp import app as wiring
from idp.adapters import Fetched, Unreachable
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.ekey import crl, ocsp, revocation, revocation_cache
from idp.ekey.chain import Trust
from idp.ekey.models import CachedCrl, CachedOcsp
from idp.ekey.revocation_cache import Stored
from idp.outbox.models import OutboxItem
from tests.command_line import OPERATED, idp
from tests.ekey.bad_pki import AUTHORITY, DAY, NOW, RESPONDER, RESPONDS, Issued, Pki, answer, make, revocation_list, subject
from tests.fakes import FakeClock, FakeWeb

URL = "http://crl.example.cn/list.crl"


@pytest.fixture
def pki(context: Flask) -> Pki:
    return Pki()


def fetch(pki: Pki, web: FakeWeb, body: bytes, at: datetime = NOW, status: int = 200) -> None:
    web.pages[URL] = Fetched(status, body)
    handler = revocation_cache.fetch(web, Trust((pki.root.certificate,)), [URL], FakeClock(at).now)
    handler({"url": URL})


def refused() -> list[str]:
    found = session.scalars(select(AuditEvent).where(AuditEvent.event == "ekey.crl.refused").order_by(AuditEvent.id))
    return [event.detail["reason"] for event in found]


@pytest.mark.requirement("R90")
def test_an_operator_brings_a_list_that_no_address_gives(context: Flask, pki: Pki, tmp_path: Path) -> None:
    roots, file = tmp_path / "roots.pem", tmp_path / "list.crl"
    roots.write_bytes(pki.root.certificate.public_bytes(Encoding.PEM))
    held = context.extensions["idp"]
    live = held.settings.model_copy(update={"ekey_roots_file": roots, "ekey_crl_urls": (URL,)})
    context.extensions["idp"] = replace(held, settings=live)
    file.write_bytes(revocation_list(pki.root, number=9))
    assert "none of IDP_EKEY_CRL_URLS" in idp(context, "ekey", "take-crl", "http://other.example.cn/", file, *OPERATED).err
    assert idp(context, "ekey", "take-crl", URL, file).code == 2, "nobody is named"
    assert "number 9, good until" in idp(context, "ekey", "take-crl", URL, file, *OPERATED).out
    assert says(pki, pki.card().issued, FakeWeb()) == "good"
    for number, reason in ((8, "rolled_back"), (None, "crl_number")):
        file.write_bytes(revocation_list(pki.root, number=number))
        assert reason in idp(context, "ekey", "take-crl", URL, file, *OPERATED).err
    assert refused() == ["rolled_back", "crl_number"]


def says(pki: Pki, card: Issued, web: FakeWeb, at: datetime = NOW, urls: tuple[str, ...] = (URL,)) -> str:
    return revocation.says(card.certificate, pki.root.certificate, Stored(web, urls, [RESPONDER]), at)


@pytest.mark.store
@pytest.mark.spec("RFC 5280", "5.2.3")
@pytest.mark.parametrize("kind", ["ec", "rsa", "sm2"])
def test_an_older_list_never_replaces_a_newer_one(context: Flask, far_servers: FakeWeb, kind: str) -> None:
    pki = Pki(kind)
    card = pki.card().issued
    assert says(pki, card, far_servers) == "crl_missing"
    fetch(pki, far_servers, revocation_list(pki.root, number=9))
    assert says(pki, card, far_servers) == "good"
    fetch(pki, far_servers, revocation_list(pki.root, card, number=10))
    assert says(pki, card, far_servers) == "revoked"
    # a true list of yesterday, held back and played again
    fetch(pki, far_servers, revocation_list(pki.root, number=9))
    fetch(pki, far_servers, revocation_list(pki.root, number=11, start=NOW - 2 * DAY))
    assert refused() == ["rolled_back", "rolled_back"]
    assert says(pki, card, far_servers) == "revoked"
    assert says(pki, card, far_servers, NOW + 2 * DAY) == "crl_stale"


def test_lists_that_do_not_count_change_nothing(pki: Pki, far_servers: FakeWeb) -> None:
    card, signer = pki.card().issued, pki.card().issued
    fetch(pki, far_servers, revocation_list(pki.root, number=9))
    no_lists = make(replace(AUTHORITY, usage=("key_cert_sign",)))
    faults = [
        (revocation_list(pki.other), "crl_signature"),
        (revocation_list(make(replace(AUTHORITY, subject=subject("别处")))), "crl_signature"),
        (revocation_list(signer), "crl_signature"),
        (revocation_list(no_lists), "crl_signature"),
        (revocation_list(pki.root, end=NOW), "crl_stale"),
        (revocation_list(pki.root, start=NOW + DAY / 2), "crl_early"),
        (revocation_list(pki.root, number=None), "crl_number"),
        (b"garbage", "crl_unfit"),
        (revocation_list(pki.root) + b"0", "crl_unfit"),
    ]
    for body, _ in faults:
        fetch(pki, far_servers, body)
    assert refused() == [reason for _, reason in faults]
    assert says(pki, card, far_servers) == "good"
    assert session.scalars(select(CachedCrl.number)).one() == f"{9:040x}"


def test_a_ca_that_may_not_sign_lists_gives_none(pki: Pki) -> None:
    no_lists = make(replace(AUTHORITY, usage=("key_cert_sign",)))
    assert crl.read(revocation_list(no_lists), [no_lists.certificate], NOW) == "crl_signature"


def test_what_may_pass_is_tried_again_and_what_stays_is_told(pki: Pki, far_servers: FakeWeb) -> None:
    with pytest.raises(OSError, match="503"):
        fetch(pki, far_servers, b"", status=503)
    with pytest.raises(OSError, match="302"):
        fetch(pki, far_servers, b"", status=302)
    handler = revocation_cache.fetch(_Failing("size"), Trust(()), [URL], FakeClock().now)
    handler({"url": URL})
    assert refused() == ["size"]
    with pytest.raises(Unreachable):
        revocation_cache.fetch(_Failing("time"), Trust(()), [URL], FakeClock().now)({"url": URL})


class _Failing(FakeWeb):
    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def get(self, url: str, *, most: int = 0) -> Fetched:
        assert most == revocation_cache.MAX_CRL_BYTES
        raise Unreachable(self.reason)


def test_only_configured_addresses_are_called_and_count(pki: Pki, far_servers: FakeWeb) -> None:
    fetch(pki, far_servers, revocation_list(pki.root))
    revocation_cache.fetch(far_servers, Trust(()), ["http://another.example/"], FakeClock().now)({"url": URL})
    assert far_servers.asked == [URL]
    assert says(pki, pki.card().issued, far_servers, urls=("http://another.example/",)) == "crl_missing"


def test_the_worker_asks_when_it_is_time(context: Flask) -> None:
    def due(at: datetime) -> list[str]:
        with transaction():
            revocation_cache.ask([URL, "http://dev-ca.invalid/ec.crl"], 3600, at)
        return [item.payload["url"] for item in session.scalars(select(OutboxItem).where(OutboxItem.kind == revocation_cache.CRL))]

    assert due(NOW) == [URL]
    with transaction():
        session.delete(session.scalars(select(OutboxItem)).one())
    assert due(NOW + timedelta(seconds=3599)) == []
    assert due(NOW + timedelta(seconds=3600)) == [URL]
    # one that still waits is not doubled
    assert due(NOW + timedelta(seconds=7200)) == [URL]


def test_the_worker_knows_both(context: Flask) -> None:
    held = context.extensions["idp"]
    assert revocation_cache.CRL in wiring.handlers(held.adapters, held.settings, held.secret)
    assert wiring.ask_for_revocation_lists in wiring.JOBS


# --- OCSP -----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
def test_a_responder_is_asked_once_while_its_answer_lasts(pki: Pki, far_servers: FakeWeb) -> None:
    card = pki.card(more=[RESPONDS]).issued
    asked = ocsp.question(RESPONDER, card.certificate, pki.root.certificate)
    far_servers.pages[asked] = Fetched(200, answer(card, pki.root, "good"))
    source = Stored(far_servers, [], [RESPONDER])
    assert revocation.says(card.certificate, pki.root.certificate, source, NOW) == "good"
    with transaction():
        source.keep()
    assert says(pki, card, far_servers) == "good"
    assert far_servers.asked == [asked]
    far_servers.pages[asked] = Fetched(200, answer(card, pki.root, "revoked", until=NOW + 3 * DAY))
    assert says(pki, card, far_servers, NOW + DAY) == "revoked"
    with transaction():
        revocation_cache.sweep(NOW + 2 * DAY)
    assert session.scalars(select(CachedOcsp)).all() == []


def test_a_responder_that_is_not_allowed_is_not_asked(pki: Pki, far_servers: FakeWeb) -> None:
    card = pki.card(more=[RESPONDS]).issued
    source = Stored(far_servers, [], ["http://ocsp.example.cn/other"])
    assert revocation.says(card.certificate, pki.root.certificate, source, NOW) == "crl_missing"
    assert far_servers.asked == []


def test_silence_of_the_responder_leaves_the_list(pki: Pki, far_servers: FakeWeb) -> None:
    card = pki.card(more=[RESPONDS]).issued
    assert says(pki, card, far_servers) == "crl_missing"
    fetch(pki, far_servers, revocation_list(pki.root))
    assert says(pki, card, far_servers) == "good"
