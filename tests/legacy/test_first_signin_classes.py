"""The first sign-in of stock users, from the dump to the hall and the business system (R56, R62, R63): merged rows, each class, every contact."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp.accounts import credentials
from idp.accounts.models import Account, FormerPassword
from idp.app import handlers
from idp.db import session, transaction
from idp.enterprises import codes
from idp.enterprises.models import Enterprise
from idp.entitlements import systems
from idp.key_register.models import EKey, EKeyLicence
from idp.legacy.models import LegacyRow
from idp.oidc import keys
from idp.outbox.models import OutboxItem
from idp.worker import deliver
from tests.command_line import OPERATED, idp
from tests.fakes import FakeClock, LetterBox
from tests.legacy.dumps import CODE, KEY, OTHER_KEY, registers, row, take, write
from tests.people import NEW
from tests.person import Person
from tests.relying_party import RelyingParty, body_of, store_keys

NAME = f"{CODE}-beijing"
EXPORT, IMPORT, STRONG, WEAK = "Export2018pass", "import-old-8", "Str0ng-Zhong", "123456"
BAD = ("123456", "short1A", "nouppercase1", "NOLOWERCASE1", "NoDigitsHere", "Blank inside1", "Tilde~inside1", "TwentyOne-characters1", "Password123")


@dataclass
class Dumps:
    """Dumps of several systems, merged into accounts by the commands."""

    app: Flask
    folder: Path

    def merge(self, **rows: tuple[str, ...]) -> None:
        """`rows` by system, as tests.legacy.dumps.row writes them."""
        with self.app.app_context():
            for system, lines in rows.items():
                assert take(self.app, write(self.folder, *lines, name=f"{system}.csv"), system).code in (0, 3)
            assert idp(self.app, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0

    def come(self, name: str, password: str) -> Person:
        person = Person(self.app)
        person.type_password(name, password)
        return person

    def told(self) -> int:
        runtime = self.app.extensions["idp"]
        return deliver(self.app, handlers(runtime.adapters, runtime.settings, runtime.secret))

    def count(self, model: type) -> int:
        with self.app.app_context():
            return session.scalar(select(func.count()).select_from(model)) or 0


@pytest.fixture
def dumps(app: Flask, tmp_path: Path) -> Dumps:
    with app.app_context():
        with transaction():
            systems.load()
        registers(("export", "import", "dual_use"))
    return Dumps(app, tmp_path)


def step(person: Person) -> str:
    return person.at.rpartition("/")[2]


# --- who must change (R56) ------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R11")
@pytest.mark.requirement("R24")
@pytest.mark.requirement("R56")
@pytest.mark.parametrize("old", [EXPORT, IMPORT])
def test_class_1_comes_in_by_either_password_and_always_changes(dumps: Dumps, old: str) -> None:
    dumps.merge(**{"export": (row(),), "import": (row(password=IMPORT),)})
    person = dumps.come(NAME, old)
    assert step(person) == "change"
    assert "首次登录须先设置新密码" in person.text
    assert "各系统的密码同时失效" in person.text
    person.submit(new_password=NEW, confirm_password=NEW)
    assert step(person) == "contacts"
    assert dumps.count(FormerPassword) == 0
    assert {step(dumps.come(NAME, dead)) for dead in (EXPORT, IMPORT)} == {"password"}


@pytest.mark.requirement("R40")
@pytest.mark.requirement("R56")
@pytest.mark.parametrize("system", ["dual_use", "mech_electrical"])
@pytest.mark.parametrize("old", [STRONG, *BAD])
def test_classes_2_and_3_change_only_a_weak_password(dumps: Dumps, system: str, old: str) -> None:
    key = KEY if system == "dual_use" else ""
    dumps.merge(**{system: (row("liangyong", old, key=key),)})
    person = dumps.come("liangyong", old)
    assert step(person) == ("contacts" if old == STRONG else "change")
    # the control application keeps its own password (D1), and who has no key shares none
    assert ("管制应用自身的密码不变" in person.text) is (step(person) == "change" and system == "dual_use")
    assert "出口、进口等各系统" not in person.text


@pytest.mark.requirement("R56")
@pytest.mark.requirement("R62")
def test_any_class_1_row_makes_a_strong_dual_use_password_change_too(dumps: Dumps) -> None:
    dumps.merge(export=(row(),), dual_use=(row("liangyong", STRONG),))
    person = dumps.come("liangyong", STRONG)
    assert step(person) == "change"
    assert "正在为用户 liangyong 设置密码" in person.text


# --- the forced change waits (R54) ----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R54")
@pytest.mark.requirement("R84")
def test_the_change_waits_out_reload_second_tab_going_back_and_coming_back(dumps: Dumps, clock: FakeClock) -> None:
    dumps.merge(**{"export": (row(),), "import": (row(password=IMPORT),)})
    person = dumps.come(NAME, EXPORT)
    change, hub = person.at, person.at.removesuffix("/change")
    for _ in range(3):  # reload
        assert person.open(change).status_code == 200
    for way in (f"{hub}/password", hub, f"{hub}/contacts", f"{hub}/proof"):  # back button, typed addresses
        person.open(way)
        assert person.at == change
    person.open("/hall")  # a second tab asks anew, and the first still waits
    assert step(person) == "password"
    clock.advance(minutes=4)
    person.open("/help")  # left, and come back
    person.open(change)
    person.submit(new_password=NEW, confirm_password=NEW)
    assert step(person) == "contacts"
    person.open(change)  # the back button after it: it is done
    assert step(person) == "contacts"


@pytest.mark.requirement("R54")
def test_who_never_came_back_begins_again_with_the_old_password(dumps: Dumps, clock: FakeClock) -> None:
    dumps.merge(export=(row(),))
    person = dumps.come(NAME, EXPORT)
    clock.advance(hours=1)
    assert person.open(person.at).status_code == 410
    assert step(dumps.come(NAME, EXPORT)) == "change"


@pytest.mark.slow
@pytest.mark.requirement("R54")
@pytest.mark.requirement("D11")
def test_the_request_of_a_business_system_resumes_after_the_change_and_learns_its_own_old_name(dumps: Dumps, clock: FakeClock) -> None:
    dumps.merge(**{"export": (row(), row("shanghai", "Sh4nghai-Trade")), "import": (row("bj-import", IMPORT),)})
    with dumps.app.app_context(), transaction():
        store_keys([keys.make("ES256", dumps.app.extensions["idp"].secret)], clock.now())
    told = {}
    person = Person(dumps.app)
    for system in ("export", "import"):
        rp = RelyingParty(dumps.app, clock, f"{system}-rp", system=system, scope=f"openid licence:{system}")
        person.page = person.client.get("/oauth2/authorize", query_string=rp.request(), follow_redirects=system == "export")
        if system == "export":
            person.submit(username=NAME, password=EXPORT)
            person.open(person.at)  # a reload in between
            person.submit(new_password=NEW, confirm_password=NEW)
            action, fields = person.prepare(action="later")
            person.page = person.client.post(action, data=fields)
        while person.page.location and not person.page.location.startswith("https://rp.example"):
            person.page = person.client.get(person.page.location)
        code = re.search(r"code=([^&]+)", person.page.location)
        assert code
        told[system] = body_of(rp.userinfo(body_of(rp.redeem(code[1]))["access_token"]))
    # several rows, several names; nobody else's
    assert {system: found["legacy_usernames"] for system, found in told.items()} == {"export": ["beijing", "shanghai"], "import": ["bj-import"]}
    assert told["export"]["sub"] == told["import"]["sub"]


# --- contacts (R62, R63) --------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R62")
@pytest.mark.requirement("D15")
def test_every_contact_of_every_row_is_told_once_of_a_disabled_one_too(dumps: Dumps, letter_box: LetterBox) -> None:
    off = row("left", "Old-Left-1", mobile="13800000009", status="0")
    dumps.merge(**{"export": (row(), off), "import": (row(password=IMPORT),), "dual_use": (row("liangyong", STRONG, mobile="13800000003"),)})
    person = dumps.come(NAME, EXPORT)
    assert dumps.told() == 0
    person.submit(new_password=NEW, confirm_password=NEW)
    dumps.told()
    texts = dict(letter_box.texts)
    assert sorted(texts) == sorted(to for to, _ in letter_box.texts) == ["+8613800000001", "+8613800000003", "+8613800000009"]
    phone = dumps.app.extensions["idp"].settings.service_telephone
    assert texts["+8613800000001"] == (
        f"您在出口许可证、进口许可证的用户已并入统一平台账号 liangyong，并已设置新密码，原密码失效。如非本单位操作，请立即拨打 {phone}。"
    )
    assert "两用物项" in texts["+8613800000003"]
    assert dumps.told() == 0
    # what never opened anything does not open, and does not come back
    assert step(dumps.come(f"{CODE}-left", "Old-Left-1")) == "password"


@pytest.mark.requirement("R56")
@pytest.mark.requirement("R62")
def test_where_a_strong_password_stays_the_others_are_told_which_one(dumps: Dumps, letter_box: LetterBox) -> None:
    dumps.merge(dual_use=(row("liangyong", STRONG), row("second", "Zhong-Str0ng", mobile="13800000002")))
    assert step(dumps.come("liangyong", STRONG)) == "contacts"
    dumps.told()
    assert sorted(to for to, _ in letter_box.texts) == ["+8613800000001", "+8613800000002"]
    assert all("本次登录所用的密码今后为唯一密码" in text and "已设置新密码" not in text for _, text in letter_box.texts)
    assert dumps.count(FormerPassword) == 0
    assert step(dumps.come("second", "Zhong-Str0ng")) == "password"


@pytest.mark.store
@pytest.mark.requirement("R62")
def test_passwords_and_notices_are_one_commit(dumps: Dumps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails in it leaves the old passwords, and nobody is told of what did not happen."""
    dumps.merge(**{"export": (row(),), "import": (row(password=IMPORT),)})
    person = dumps.come(NAME, EXPORT)

    def fail(_account_id: int) -> int:
        raise ConnectionAbortedError

    change = person.at
    with monkeypatch.context() as broken:
        broken.setattr(credentials, "_forget_former", fail)
        assert person.submit(new_password=NEW, confirm_password=NEW).status_code == 500
    assert (dumps.count(FormerPassword), dumps.count(OutboxItem)) == (2, 0)
    with dumps.app.app_context():
        assert session.scalar(select(Account.password_hash)) is None
    person.open(change)
    person.submit(new_password=NEW, confirm_password=NEW)
    assert (dumps.count(FormerPassword), dumps.count(OutboxItem)) == (0, 1)


@pytest.mark.requirement("D17")
@pytest.mark.requirement("R55")
def test_a_replaced_password_opens_nothing_never_comes_back_and_dies_with_the_others(dumps: Dumps) -> None:
    dumps.merge(**{"export": (row(),), "import": (row(password="Import2018pass"),)})
    with dumps.app.app_context(), transaction():
        former = session.scalars(select(LegacyRow).where(LegacyRow.system == "export")).one().former_password
        assert former is not None
        former.replaced = True
    assert step(dumps.come(NAME, EXPORT)) == "password"
    person = dumps.come(NAME, "Import2018pass")
    for used in (EXPORT, "Import2018pass"):
        assert person.submit(new_password=used, confirm_password=used).status_code == 422
    person.submit(new_password=NEW, confirm_password=NEW)
    assert dumps.count(FormerPassword) == 0


@pytest.mark.requirement("R63")
def test_unlike_contacts_are_for_the_person_to_choose(dumps: Dumps) -> None:
    rows = {"export": (row(mobile="13800000001"), row("gone", "x", mobile="13800000009", status="0")), "import": (row(mobile="13800000002"),)}
    dumps.merge(**rows)
    with dumps.app.app_context():
        assert session.scalar(select(Account.mobile)) is None
    person = dumps.come(NAME, EXPORT)
    person.submit(new_password=NEW, confirm_password=NEW)
    offered = dict(re.findall(r'name="mobile_choice" value="([^"]+)".*?<label[^>]*>([^<]+?)\s*<span', person.text, re.DOTALL))
    assert sorted(offered.values()) == ["138****0001", "138****0002"]
    assert person.text.count('<span class="hint">进口许可证</span>') == 1
    second = next(key for key, masked in offered.items() if masked.endswith("0002"))
    person.submit(mobile_choice=second)
    with dumps.app.app_context():
        account = session.scalars(select(Account)).one()
        assert (account.mobile, account.mobile_proven_at) == ("+8613800000002", None)


@pytest.mark.requirement("R62")
@pytest.mark.requirement("R33")
def test_a_sensitive_right_of_a_merged_account_stands_locked_in_the_hall(dumps: Dumps) -> None:
    dumps.merge(export=(row(),), dual_use=(row("liangyong", STRONG),))
    person = dumps.come("liangyong", STRONG)
    person.submit(new_password=NEW, confirm_password=NEW)
    person.submit(action="later")
    person.open("/hall/licences/dual_use")
    assert "须核验身份一次后方可办理" in person.text
    person.open("/hall/licences/export")
    assert person.page.status_code == 200
    assert "须核验身份" not in person.text


# --- names ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R8")
@pytest.mark.requirement("R9")
@pytest.mark.requirement("D1")
@pytest.mark.parametrize(
    ("system", "typed", "opens"),
    [
        ("export", NAME, True),
        ("export", "beijing", False),
        ("dual_use", "beijing", True),
        ("dual_use", NAME, True),
        ("dual_use", f"{CODE}——BeiJing", True),
        ("dual_use", "ｂｅｉｊｉｎｇ ", True),
        ("mech_electrical", "beijing", True),
        ("mech_electrical", "Beijing", True),
        ("mech_electrical", NAME, False),
    ],
)
def test_which_names_reach_a_stock_user(dumps: Dumps, system: str, typed: str, *, opens: bool) -> None:
    dumps.merge(**{system: (row(key="" if system == "mech_electrical" else KEY),)})
    assert step(dumps.come(typed, EXPORT)) == ("password" if not opens else "change" if system == "export" else "contacts")


@pytest.mark.requirement("D1")
@pytest.mark.requirement("D9")
def test_the_control_applications_name_is_the_canonical_one(dumps: Dumps) -> None:
    dumps.merge(dual_use=(row("LiangYong"),))
    with dumps.app.app_context():
        account = session.scalars(select(Account)).one()
        assert (account.canonical_name, {name.name for name in account.names}) == ("LiangYong", {"LiangYong", f"{CODE}-LiangYong"})


@pytest.mark.requirement("D19")
def test_rows_without_a_key_are_accounts_of_their_own_and_can_be_told_apart(dumps: Dumps) -> None:
    dumps.merge(**{"export": (row(key=""),), "import": (row(key=""),), "dual_use": (row(),)})
    assert dumps.count(Account) == 3
    person = dumps.come(NAME, EXPORT)
    assert step(person) == "choose"
    labels = [" ".join(re.sub("<[^>]+>", " ", found).split()) for found in re.findall(r"<label[^>]*>(.*?)</label>", person.text, re.DOTALL)]
    assert len(set(labels)) == 3
    assert [label.split()[0] for label in sorted(labels)] == ["无电子钥匙的用户", "无电子钥匙的用户", "电子钥匙（尾号"]
    assert [any(system in label for label in labels) for system in ("出口许可证", "进口许可证", "两用物项")] == [True] * 3
    assert f"尾号 {KEY[-4:]}" in person.text


@pytest.mark.requirement("D19")
def test_of_two_equal_mech_electrical_names_the_later_is_refused_with_both_lines(dumps: Dumps) -> None:
    file = write(dumps.folder, row("jidian", key=""), row("JiDian", "Other-Pass-1", key="", code=CODE, mobile="13800000002"))
    with dumps.app.app_context():
        said = take(dumps.app, file, "mech_electrical")
    assert said.code == 3
    assert re.search(r"dump\.csv:3: .*first in line 2", said.err)
    dumps.merge()
    assert step(dumps.come("jidian", EXPORT)) == "contacts"
    assert step(dumps.come("jidian", "Other-Pass-1")) == "password"


@pytest.mark.requirement("D20")
def test_who_has_no_code_has_names_with_the_uscc(dumps: Dumps) -> None:
    body = "91440101MA5AAAAAX"
    uscc = body + codes.uscc_check_digit(body)
    with dumps.app.app_context(), transaction() as s:
        firm = Enterprise(uscc=uscc, name="丙")
        s.add(firm)
        s.flush()
        s.add(EKey(serial="EK9", enterprise_id=firm.id, status="active", licences=[EKeyLicence(system="export")]))
    dumps.merge(export=(row(code=uscc, key="EK9"),))
    assert step(dumps.come(f"{uscc.lower()}-beijing", EXPORT)) == "change"


@pytest.mark.requirement("R65")
@pytest.mark.parametrize("name", ["liangyong", NAME, f"{CODE}-liangyong", f"{CODE}-nobody", "1111111111111-x", "nobody"])
def test_the_control_applications_hint_goes_by_what_was_typed_and_tells_nothing(dumps: Dumps, name: str) -> None:
    dumps.merge(export=(row(key=OTHER_KEY),), dual_use=(row("liangyong", STRONG),))
    person = dumps.come(name, "wrong")
    assert person.page.status_code == 422
    main = re.sub(r'(value|data-work)="[^"]*"|/signin/[^/"]+|signin=[^"]+|captcha/[^"]+', "", person.text.partition("<main")[2])
    assert ("请使用管制应用的用户名（不带企业代码）" in main) is (name[:4].isdigit())
    other = dumps.come(f"{CODE}-whoever" if name[:4].isdigit() else "whoever", "wrong")
    assert re.sub(r'(value|data-work)="[^"]*"|/signin/[^/"]+|signin=[^"]+|captcha/[^"]+', "", other.text.partition("<main")[2]) == main
