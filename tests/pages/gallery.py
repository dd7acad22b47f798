"""Every page in a state worth looking at: real addresses, and templates with sample contexts for pages that need a long way to reach."""

from datetime import timedelta
from types import SimpleNamespace as Thing
from typing import Any

from flask import Blueprint, g, render_template
from markupsafe import Markup
from sqlalchemy import select

from idp.accounts import totp
from idp.accounts.models import Account
from idp.captcha import rules
from idp.db import session, transaction
from idp.ekey.driver_files import Driver, Title
from idp.errors import Refusal
from idp.web import access
from tests.conftest import SECRET
from tests.fakes import START
from tests.portal import people

LONG = "新疆维吾尔自治区乌鲁木齐示例进出口国际贸易集团股份有限公司（外商独资）"
OWN_WORDS = {"policy_uri": "https://rp.example/policy", "tos_uri": "https://rp.example/tos"}
LOGO = "/static/icons/export.svg"
TRANSACTION = Thing(id="t" * 43, return_to="/hall", client_name="出口许可证系统", cancel_to="/cancel", logo=LOGO, **OWN_WORDS)
PLAIN = Thing(id="t" * 43, return_to="/hall", client_name="", cancel_to="", logo="", policy_uri="", tos_uri="")
LINKER = Thing(id="t" * 43, return_to="/account/link", client_name="", cancel_to="", logo="", policy_uri="", tos_uri="")
FORGOTTEN = {"transaction": PLAIN, "form": {"username": people.NAME, "contact": "<b>1"}, "captcha_id": "c" * 43}
SENT_THERE = {"transaction": PLAIN, "channel": "mobile", "masked": "138****8000"}
TWO_WAYS = [Thing(channel="mobile", masked="138****0001"), Thing(channel="email", masked="u***@example.cn")]
CHOICES = [
    Thing(value=1, last4="57C9", enterprise=LONG, systems="出口许可证、进口许可证"),
    Thing(value=2, last4="", enterprise=LONG, systems="机电产品进口单证"),
]
CONTACTS = [
    Thing(kind="mobile", key="1", value_masked="138****8000", systems="出口许可证、进口许可证"),
    Thing(kind="mobile", key="2", value_masked="139****1111", systems=""),
    Thing(kind="email", key="3", value_masked="z***@example.com", systems="两用物项和技术进出口许可证"),
]
TO_MOBILE = Thing(channel="mobile", masked="138****8000", proven=False, sent=True, seconds=42)
TO_MAIL = Thing(channel="email", masked="z***@example.com", proven=False, sent=False, seconds=0)
PROVEN = Thing(channel="mobile", masked="138****8000", proven=True, sent=False, seconds=0)
RULES = {"min": 10, "max": 20}
EXPORT = Thing(code="export", name="出口许可证", name_en="Export licences", start_url="https://export.example/start")
NOWHERE = Thing(code="export", name="出口许可证", name_en="Export licences", start_url="")
CLOSED = ("used_up", "ended", "ambiguous", "no_right")
WRONG = Refusal("credentials")
LOCKED = Refusal("locked", args={"until": START + timedelta(minutes=15)})
PASSWORD_FAULTS = [
    Refusal("password_length", "new_password", RULES),
    Refusal("password_upper", "new_password"),
    Refusal("confirm_differs", "confirm_password"),
]
DRIVERS = [
    Driver(
        system="windows",
        title=Title(zh="Windows 10、11（64 位）", en="Windows 10 and 11 (64-bit)"),
        file="agent-0.1.0-setup.exe",
        size=24_117_248,
        sha256="0a1b2c3d" * 8,
        signer="示例软件有限公司",
        version="0.1.0",
    ),
    Driver(
        system="kylin",
        title=Title(zh="银河麒麟 V10", en="Kylin V10"),
        url="https://example.cn/agent_0.1.0_amd64.deb",
        size=20_000_000,
        sha256="f" * 64,
        version="0.1.0",
    ),
]

STATES: dict[str, tuple[str, dict[str, Any]]] = {
    "password": ("signin/password", {"transaction": TRANSACTION, "form": {"username": ""}, "errors": []}),
    "password-wrong": ("signin/password", {"transaction": PLAIN, "form": {"username": "<b>甲"}, "errors": [WRONG], "control_hint": True}),
    "password-locked": ("signin/password", {"transaction": PLAIN, "form": {"username": people.NAME}, "errors": [LOCKED]}),
    "password-captcha": (
        "signin/password",
        {"transaction": PLAIN, "form": {"username": people.NAME}, "errors": [Refusal("captcha_wrong", "captcha")]},
    ),
    "change": (
        "signin/change",
        {
            "transaction": TRANSACTION,
            "username": people.NAME,
            "needs_old": False,
            "reason": "first_signin",
            "old": "systems",
            "rules": RULES,
            "errors": [],
        },
    ),
    "change-wrong": (
        "signin/change",
        {"transaction": PLAIN, "username": people.NAME, "needs_old": True, "reason": "weak_password", "old": "control", "rules": RULES}
        | {"errors": PASSWORD_FAULTS},
    ),
    "contacts": (
        "signin/contacts",
        {"transaction": PLAIN, "form": {"mobile_choice": "1"}, "choices": CONTACTS, "errors": [], "may_defer": True, "deferral_days": 7},
    ),
    "contacts-wrong": (
        "signin/contacts",
        {"transaction": PLAIN, "form": {"mobile": "12"}, "choices": [], "errors": [Refusal("mobile_invalid", "mobile")], "may_defer": False},
    ),
    "proof": ("signin/proof", {"transaction": PLAIN, "ways": [TO_MOBILE, TO_MAIL], "errors": [], "may_defer": True, "deferral_days": 7}),
    "proof-wrong": (
        "signin/proof",
        {
            "transaction": TRANSACTION,
            "ways": [PROVEN, TO_MAIL],
            "errors": [Refusal("code_wrong", "email_code", {"channel": "email"})],
            "mail_only": True,
        },
    ),
    "choose": ("signin/choose", {"transaction": TRANSACTION, "choices": CHOICES, "errors": []}),
    "choose-wrong": ("signin/choose", {"transaction": PLAIN, "choices": CHOICES, "errors": [Refusal("choice_missing", "choice")]}),
    "told": ("signin/told", {"code": "enterprise_cancelled"}),
    "told-disabled": ("signin/told", {"code": "account_disabled"}),
    "legacy-entry": ("legacy/entry", {"system": EXPORT, "form": {}, "by_code": True, "errors": []}),
    "legacy-entry-wrong": (
        "legacy/entry",
        {"system": EXPORT, "form": {"username": "<b>甲", "enterprise_code": people.NAME}, "by_code": True}
        | {"errors": [Refusal("legacy_credentials"), Refusal("captcha_wrong", "captcha")], "captcha_id": "c" * 43},
    ),
    "legacy-entry-passed": ("legacy/entered", {"system": EXPORT, "remaining": 2}),
    "legacy-entry-last": ("legacy/entered", {"system": EXPORT, "remaining": 0}),
    "legacy-entry-uncounted": ("legacy/entered", {"system": NOWHERE, "remaining": None}),
    **{f"legacy-entry-{why}": ("legacy/closed", {"system": EXPORT, "reason": why, "right": "key_revoked"}) for why in CLOSED},
    "expired": ("signin/expired", {"restart_url": "/login", "cancel_to": "/cancel"}),
    "finished": ("signin/finished", {"restart_url": "/login", "cancel_to": "/cancel"}),
    "ekey": ("ekey/step", {"transaction": TRANSACTION, "may_skip": True, "errors": []}),
    "ekey-demanded": ("ekey/step", {"transaction": PLAIN, "may_skip": False, "errors": [Refusal("ekey_pin_wrong", args={"tries": 2})]}),
    "ekey-link": ("ekey/step", {"transaction": LINKER, "may_skip": False, "instead": "link", "errors": [Refusal("ekey_lost")]}),
    "ekey-recover": ("ekey/step", {"transaction": PLAIN, "may_skip": True, "instead": "recover", "errors": [Refusal("ekey_not_bound")]}),
    "recover": ("recovery/recover", {**FORGOTTEN, "mail_only": False, "errors": [Refusal("mobile_invalid", "contact")]}),
    "recover-mail": ("recovery/recover", {**FORGOTTEN, "mail_only": True, "errors": []}),
    "recover-code": ("recovery/code", {**SENT_THERE, "pending": Thing(channel="mobile", masked="138****8000", seconds=31), "errors": []}),
    "recover-code-wrong": ("recovery/code", {**SENT_THERE, "pending": None, "errors": [Refusal("code_wrong", "code", {"channel": "mobile"})]}),
    "recover-second": ("recovery/second", {"transaction": PLAIN, "ways": TWO_WAYS, "chosen": None, "pending": None, "errors": []}),
    "recover-second-sent": ("recovery/second", {"transaction": PLAIN, "ways": TWO_WAYS, "chosen": TWO_WAYS[1], "pending": True, "errors": []}),
    "under-way": ("signin/under_way", {"transaction": PLAIN}),
    "recovered": ("recovery/recovered", {"transaction": PLAIN, "username": people.NAME}),
    "ekey-other-user": (
        "ekey/step",
        {"transaction": PLAIN, "may_skip": True, "owner": people.NAME, "errors": [Refusal("ekey_bound_to_other", args={"name": people.NAME})]},
    ),
    "ekey-certificate": (
        "ekey/certificate",
        {"transaction": TRANSACTION, "found": Thing(name=people.NAME, not_after=START), "account": Thing(canonical_name=people.NAME)},
    ),
    "ekey-return": ("ekey/return", {}),
    "drivers": ("ekey/drivers", {"mine": DRIVERS[:1], "others": DRIVERS[1:]}),
    "drivers-all": ("ekey/drivers", {"mine": DRIVERS, "others": []}),
    "signout": ("signin/signout", {}),
    "signed-out": ("signin/signed_out", {}),
    "error": ("error", {"code": "http_500", "status": 500, "request_id": "0a1b2c3d4e"}),
    "error-unknown": ("error", {"code": "never_heard_of", "status": 400, "request_id": ""}),
}
CLIENT = Thing(first_party=False, **OWN_WORDS)
CONSENT = {
    "client": CLIENT,
    "client_name": "<i>甲</i>系统",
    "host": "rp.example",
    "logo": LOGO,
    "username": people.NAME,
    "seal": "s",
    "request_id": "r",
}
DEVICE = {**CONSENT, "user_code": "BCDF-GHJK", "standard": ["openid", "profile"], "systems": ["出口许可证"], "reasons": []}
QR = Markup(totp.picture("otpauth://totp/x?secret=ABCD"))  # noqa: S704  # an SVG of our own
PERSON = {"username": people.NAME, "enterprise": LONG, "enterprise_en": ""}
NAMES = [
    Thing(name=f"{people.CODE}-zhang.san", system="", chosen=True, canonical=True),
    Thing(name=people.NAME, system="出口许可证、进口许可证", chosen=False, canonical=False),
]
TAKEN, CODE_WRONG = Refusal("own_name_taken", "own_name"), Refusal("code_wrong", "code", {"channel": "mobile"})
LINKING = {"person": PERSON, "form": {"username": people.NAME}, "captcha_id": "c" * 43, "may": True, "days": 30}
KINDS = [
    Thing(kind="mobile", masked="138****8000", proven=True, to="139****9000", due=START, id=7),
    Thing(kind="email", masked="", proven=False, to="", due=None, id=0),
]
CHANGING = {
    "person": PERSON,
    "new": Thing(channel="mobile", masked="139****9000", sent=True, seconds=31),
    "other": Thing(channel="email", masked="z***@example.com", sent=True, seconds=0),
    "by_key": True,
    "hours": 72,
}
WHEN = {"started_at": START, "used_at": START}
SESSIONS = [
    Thing(id=1, here=True, browser="chrome", system="windows", near=True, factors=["password", "ekey"], only="", **WHEN),
    Thing(id=2, here=False, browser="wechat", system="ios", near=False, factors=["password"], only="出口许可证", **WHEN),
]
LINES = [
    Thing(at=START, event="session.started", browser="firefox", system="kylin", near=True, factors=["password", "totp"], alarming=False),
    Thing(at=START, event="signin.refused", browser="other", system="other", near=False, factors=[], alarming=True),
    Thing(at=START, event="ekey.reported", browser="", system="", near=None, factors=[], alarming=False),
]
LINKS = [Thing(id=1, name=people.NAME, at=START, until=START + timedelta(days=30)), Thing(id=2, name="liangyong", at=START, until=None)]
PROVING = {"person": PERSON, "name": people.NAME, "ways": [TO_MOBILE, TO_MAIL], "days": 30}
RIGHT = [Thing(channel="mobile", key="1", masked="138****8000"), Thing(channel="email", key="2", masked="z***@example.com")]
OPENING = {"person": PERSON, "contacts": RIGHT, "module": Thing(code="dual_use", name="两用物项和技术进出口许可证", name_en="Dual-use licences")}
ALLOWED = Thing(
    client_id="a", name="<i>甲</i>系统", standard=["openid", "email"], systems=["出口许可证"], at=START, start_url="https://rp.example/start"
)
STATES |= {
    "consent": ("oidc/consent", {**CONSENT, "standard": ["profile", "enterprise"], "systems": ["出口许可证"]}),
    "consents": ("oidc/consents", {"person": PERSON, "allowed": [ALLOWED, Thing(**{**vars(ALLOWED), "client_id": "b", "start_url": ""})]}),
    "account": ("account/index", {"person": PERSON, "totp_on": True}),
    "account-names": ("account/names", {"person": PERSON, "names": NAMES, "prefix": people.CODE, "has_own": True, "typed": "a b", "errors": [TAKEN]}),
    "account-contacts": (
        "account/contacts",
        {"person": PERSON, "kinds": KINDS, "form": {"email": "<b>"}, "errors": [Refusal("email_invalid", "email")]},
    ),
    "account-contact-new": ("account/contact_change", {**CHANGING, "change": Thing(id=7, kind="mobile", proven_at=None), "errors": []}),
    "account-contact-second": (
        "account/contact_change",
        {**CHANGING, "change": Thing(id=7, kind="mobile", proven_at=START), "errors": [Refusal("code_wrong", "other_code", {"channel": "email"})]},
    ),
    "contact-stop": ("account/contact_stop", {"number": 7, "token": "t", "change": Thing(kind="mobile", due_at=START)}),
    "contact-stopped": ("account/contact_stop", {"number": 7, "token": "t", "change": None}),
    "account-sessions": ("account/sessions", {"person": PERSON, "sessions": SESSIONS}),
    "account-log": ("account/log", {"person": PERSON, "lines": LINES, "following": 7, "first": False, "days": 90}),
    "account-log-none": ("account/log", {"person": PERSON, "lines": [], "following": None, "first": True, "days": 90}),
    "account-link": ("account/link", {**LINKING, "links": LINKS, "errors": [Refusal("credentials")]}),
    "account-link-first": ("account/link", {**LINKING, "links": [], "errors": [Refusal("link_first", "username")]}),
    "account-link-officer": ("account/link", {**LINKING, "links": [], "may": False, "errors": []}),
    "account-link-code": ("account/link_code", {**PROVING, "sent": TO_MOBILE, "by_app": False, "errors": [CODE_WRONG]}),
    "account-link-app": ("account/link_code", {**PROVING, "sent": None, "by_app": True, "errors": []}),
    "right-proof": ("portal/proof", {**OPENING, "sent": RIGHT[0], "by_key": True, "key_shown": False, "errors": [CODE_WRONG]}),
    "right-proof-key": ("portal/proof", {**OPENING, "contacts": [], "sent": None, "by_key": True, "key_shown": True, "errors": []}),
    "right-proof-code": ("portal/proof", {**OPENING, "sent": None, "by_key": False, "key_shown": False, "errors": []}),
    "right-proof-none": ("portal/proof", {**OPENING, "contacts": [], "sent": None, "by_key": False, "key_shown": False, "errors": []}),
    "account-totp": ("account/totp", {"person": PERSON, "state": Thing(since=START, codes_left=9), "officer": False}),
    "account-totp-off": ("account/totp", {"person": PERSON, "state": None, "officer": False}),
    "account-totp-officer": ("account/totp", {"person": PERSON, "state": Thing(since=START, codes_left=9), "officer": True}),
    "account-totp-setup": ("account/totp_setup", {"person": PERSON, "picture": QR, "secret": "ABCD EFGH", "errors": [Refusal("totp_wrong", "code")]}),
    "account-totp-codes": ("account/totp_codes", {"person": PERSON, "codes": ["ABCD EFGH IJKL MNOP"] * 10, "first": True}),
    "totp": ("signin/totp", {"transaction": TRANSACTION, "errors": [], "recovery": False, "by_ekey": True}),
    "totp-wrong": ("signin/totp", {"transaction": PLAIN, "errors": [Refusal("recovery_wrong", "recovery_code")], "recovery": True, "by_ekey": False}),
    "totp-none": ("signin/totp_none", {"transaction": TRANSACTION}),
    "ekey-which": ("ekey/which", {"transaction": TRANSACTION, "serials": ("EK76DA6FAE991C57", "EKFFFFFFFFFFFFFF"), "errors": [], "may_skip": True}),
    "consents-none": ("oidc/consents", {"person": PERSON, "allowed": []}),
    "device": ("oidc/device", {"user_code": "", "errors": []}),
    "device-wrong": ("oidc/device", {"user_code": "<b>甲", "errors": [Refusal("device_code", "user_code")]}),
    "device-confirm": ("oidc/device_confirm", {**DEVICE, "allowed": True}),
    "device-closed": ("oidc/device_confirm", {**DEVICE, "allowed": False, "reasons": ["key_revoked"]}),
    "device-allowed": ("oidc/device_done", {"outcome": "allowed"}),
    "device-denied": ("oidc/device_done", {"outcome": "denied"}),
    "signed-out-faulty": ("signin/signed_out", {"faulty": True}),
    "no-right": ("oidc/no_right", {"client_name": "出口许可证系统", "request_id": "r", "reasons": ["key_revoked"]}),
    "no-right-twice": ("oidc/no_right", {"client_name": LONG, "request_id": "r", "reasons": ["awaiting_proof", "not_approved"]}),
    "oidc-signout": ("oidc/logout", {"faulty": True}),
}
KEY = Thing(
    serial="EK76DA6FAE991C57",
    enterprise=Thing(name=LONG, prefix="0441987654321"),
    holder="某人",
    status="active",
    issued=START.date(),
    expires=START.date(),
    licences=[Thing(system="export"), Thing(system="textile_origin")],
    activation_digest="d",
)
LICENCES = [("出口许可证", "Export licences"), ("纺织品产地证", "Textile certificates of origin")]
NEW_KEY = Thing(key=KEY, fault=None, report=None, account=None, bindings=[], initial=None, events=[], licences=LICENCES)
GIVEN = Thing(activation_digest=None, expires_at=START)
KNOWN = Thing(canonical_name=people.NAME)
EVENTS = [Thing(at=START, event="ekey.enrolled", operator="", detail={"why": "已核对证件"})]
EVENTS.append(Thing(at=START, event="ekey.acted", operator="zhang", detail={"act": "replace", "why": "换新"}))
EVENTS.append(Thing(at=START, event="ekey.reported", operator="", detail={"word": "damaged"}))
DAMAGED = Thing(word="damaged", at=START, number="20260302-ABCD2345")
KNOWN_KEY = Thing(key=KEY, fault=None, report=None, account=KNOWN, bindings=[Thing(not_after=START)], initial=GIVEN, events=EVENTS, licences=LICENCES)
BROKEN_KEY = Thing(**{**vars(KNOWN_KEY), "fault": "key_damaged", "report": DAMAGED})
KEY_PAGE: dict[str, Any] = {"seen": "s", "username": people.NAME, "reason": "", "replacement": "", "replace_reason": "", "certificate_reason": ""}
KEY_PAGE |= {"enrol_reason": "", "letter_reason": "", "existing": True}
REQUEST = Thing(
    number=7,
    kind="ekey.bind",
    subject=KEY.serial,
    details={"serial": KEY.serial, "name": people.NAME, "owner": f"CN={people.NAME},O={LONG}", "fingerprint": "0a1b2c3d" * 8, "identity": {}},
    reason="已核对证件\n<b>",
    filed_by="李",
    filed_at=START,
    expires_at=START + timedelta(days=3),
    state="open",
    decided_by="",
    decided_at=None,
    answer="",
    may_confirm=True,
    may_refuse=True,
)
REFUSED = Thing(**{**vars(REQUEST), "state": "refused", "decided_by": "王", "decided_at": START, "answer": "材料不全", "may_confirm": False})
NO_FILE = Refusal("certificate_missing", "certificate")
# shown to an officer of the key office
OFFICERS: dict[str, tuple[str, dict[str, Any]]] = {
    "officer-start": ("officers/start", {}),
    "officer-keys": ("ekey/office/keys", {"sought": "0441987654321", "keys": [KEY, KEY], "errors": []}),
    "officer-keys-none": ("ekey/office/keys", {"sought": "<b>甲", "keys": [], "errors": []}),
    "officer-key-new": ("ekey/office/key", {**KEY_PAGE, "shown": NEW_KEY, "awaits": False, "errors": [Refusal("name_taken", "username")]}),
    "officer-key": ("ekey/office/key", {**KEY_PAGE, "shown": KNOWN_KEY, "awaits": True, "errors": [NO_FILE]}),
    "officer-key-damaged": (
        "ekey/office/key",
        {**KEY_PAGE, "shown": BROKEN_KEY, "awaits": False, "errors": [Refusal("reason_missing", "replace_reason")]},
    ),
    "officer-letter-ready": ("ekey/office/letter_ready", {"serial": KEY.serial, "handle": "h"}),
    "officer-letter-gone": ("ekey/office/letter_gone", {}),
    "officer-requests": ("second_person/requests", {"waiting": [REQUEST], "decided": [REFUSED]}),
    "officer-requests-none": ("second_person/requests", {"waiting": [], "decided": []}),
    "officer-request": ("second_person/request", {"one": REQUEST, "reason": "", "errors": [Refusal("reason_missing", "reason")]}),
    "officer-request-refused": ("second_person/request", {"one": REFUSED, "reason": "", "errors": []}),
}
STATES |= OFFICERS
HELP = ["/help", *(f"/help/{topic}" for topic in ("how", "stock-users", "new-users", "password", "faq", "background"))]
HELP.append("/help/how?business=keyed&key=yes&changed=no")
HALL = ["/account/consents", "/hall", "/hall/licences", "/hall/licences/export", "/hall/licences/import"]
ADDRESSES = [*(f"/gallery/{name}" for name in STATES), *HELP, *HALL, "/nothing-here"]
WITH_ERRORS = [name for name, (_, context) in STATES.items() if context.get("errors")]

pages = Blueprint("gallery", __name__)


@pages.get("/gallery/<name>")
@access.anyone
def show(name: str) -> str:
    """One state; password pages carry a live captcha."""
    template, context = STATES[name]
    if name in OFFICERS:
        g.officer_roles = frozenset(["key_office"])
    if template == "signin/password":
        with transaction():
            context = {**context, "captcha": Thing(id=rules.new("t", SECRET, START, 300))}
    return render_template(f"{template}.html", **context)


def furnish() -> str:
    """A person with open and locked modules; returns the session cookie's value. Inside a transaction."""
    people.load_systems()
    people.set_start_url("export", "http://127.0.0.1:8001/login")
    account = people.trader(START, "export", "agri_quota", approved=True)
    expired = people.trader(START, "import", "dual_use", "textile_origin", key_status="expired")
    session.flush()
    for key in expired.keys or []:
        key.account_id = account.id
    return people.sign_in(session.scalars(select(Account).where(Account.id == account.id)).one(), START)
