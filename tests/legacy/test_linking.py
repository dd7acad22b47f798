"""Linking one's other account, and undoing it (R87): through the pages, on accounts that a merge has made."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pyotp
import pytest
from sqlalchemy import inspect, select

from idp.accounts import argon2id, directory, lockout, totp
from idp.accounts.models import Account, AccountKey, AccountLink, AccountRole
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.entitlements import rules
from idp.entitlements.models import Entitlement
from idp.key_register.models import EKey
from idp.legacy import link_proof, linked_rights, linking
from idp.legacy.models import LegacyRow, LegacyRun
from idp.oidc import claims
from idp.sessions.models import Session
from idp.signin.views.password import hasher
from tests import people
from tests.command_line import OPERATED, idp
from tests.conftest import SECRET
from tests.legacy.dumps import CODE, KEY, OTHER_KEY, snapshot
from tests.legacy.linkable import MINE, NEW, OTHER, OTHER_PASSWORD, PASSWORD, THIRD, TO_MINE, TO_OTHER, World
from tests.person import Person

GENERIC = "用户名或密码不正确"


def standing(world: World) -> dict[str, list[tuple[object, ...]]]:
    """What an undone link must leave as it was; `epoch` and times of change may go on, and numbers of names."""
    with world.app.app_context():
        kept = {name: snapshot()[name] for name in ("account_keys", "entitlements", "imported_contacts", "legacy_rows", "former_passwords")}
        columns = ("account_id", "name", "name_key", "canonical", "system", "local_name", "chosen_at")
        names = [tuple(getattr(each, column) for column in columns) for account in session.scalars(select(Account)) for each in account.names]
        shown = [column.key for column in inspect(Account).column_attrs if column.key not in ("epoch", "updated_at")]
        accounts = [tuple(getattr(account, column) for column in shown) for account in session.scalars(select(Account).order_by(Account.id))]
        return {**kept, "names": sorted(names, key=repr), "accounts": accounts}


# --- the whole road -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R87")
def test_the_other_account_becomes_an_alias_with_its_rights_and_both_are_told(world: World, mine: int, other: int) -> None:
    there = world.come(OTHER, OTHER_PASSWORD)
    assert there.at == "/hall"
    person = world.at_the_code()
    assert "139****9000" in person.text
    assert world.links() == 0
    person.submit(code=person.read_code())
    assert (person.at, world.links()) == ("/account/link", 1)
    assert "liangyong" in person.text
    assert "解除关联" in person.text
    with world.app.app_context():
        one, gone = world.account(mine), world.account(other)
        assert (one.status, one.canonical_name, gone.status, gone.names, gone.keys) == ("active", MINE, "linked", [], [])
        assert {key.serial for key in one.keys} == {KEY, OTHER_KEY}
        assert {right.system for right in rules.rights(mine, world.clock.now().date())} == {"export", "dual_use", "mech_electrical"}
        assert claims.userinfo(mine, one.sub, ("licence:dual_use",), "dual_use")["legacy_usernames"] == ["liangyong"]
        assert set(session.scalars(select(LegacyRow.account_id).where(LegacyRow.key_serial == OTHER_KEY))) == {mine}
    # every session of the other one is over, and its password opens nothing, under no name
    assert there.open("/hall").request.path.startswith("/signin/")
    assert world.events("session.ended")[-1]["reason"] == "linked"
    for name in (OTHER, "liangyong", "jidian"):
        assert world.come(name, OTHER_PASSWORD).at.endswith("/password")
        assert world.come(name, PASSWORD).at == "/hall"
    told = world.tell()
    until = (world.clock.now() + timedelta(days=30)).date()
    assert set(told) == {TO_MINE, TO_OTHER}
    assert all(text.startswith(f"用户 liangyong 已关联到账号 {MINE}") and f"{until} 前" in text and "12335" in text for text in told.values())
    assert world.events("account.linked") == [{"linked": other, "link": 1, "how": "password"}]


@pytest.mark.store
@pytest.mark.requirement("R87")
def test_undone_within_30_days_all_is_as_it_was(world: World, mine: int, other: int) -> None:
    before = standing(world)
    person = world.linked()
    assert standing(world) != before
    world.tell()
    world.clock.advance(days=29, hours=23)
    person = world.come()
    person.open("/account/link")
    person.client.post("/account/link/1/undo", data={"csrf_token": person.form().fields["csrf_token"]})
    assert (standing(world), world.links()) == (before, 0)
    assert world.come(OTHER, OTHER_PASSWORD).at == "/hall"
    assert world.come(OTHER, PASSWORD).at.endswith("/password")
    told = world.tell()
    assert set(told) == {TO_MINE, TO_OTHER}
    assert all("已解除" in text for text in told.values())
    assert [event["linked"] for event in world.events("account.unlinked")] == [other]
    # and may be linked anew
    world.linked()


def undo(world: World, mine: int, link: int = 1) -> bool:
    with world.app.app_context(), transaction():
        return linking.unlink(mine, link, world.app.extensions["idp"].hooks, world.clock.now())


@pytest.mark.requirement("R87")
def test_a_link_is_undone_once_in_time_and_by_its_own_account(world: World, mine: int, other: int) -> None:
    third = world.own(THIRD, NEW, None)
    world.linked()
    assert [undo(world, third), undo(world, other), undo(world, mine, 99)] == [False] * 3
    world.clock.advance(days=30)
    assert not undo(world, mine)
    person = world.come()
    assert "已过 30 天" in person.open("/account/link").text
    assert "/undo" not in person.text
    person.client.post("/account/link/1/undo", data={"csrf_token": person.form().fields["csrf_token"]})
    assert world.links() == 1
    world.clock.at -= timedelta(minutes=1)
    assert [undo(world, mine), undo(world, mine)] == [True, False]


@pytest.mark.requirement("R87")
def test_undoing_asks_who_it_is_once_more(world: World, mine: int, other: int) -> None:
    person = world.linked()
    world.clock.advance(minutes=11)
    token = person.form().fields["csrf_token"]
    answer = person.client.post("/account/link/1/undo", data={"csrf_token": token})
    assert (answer.status_code, "/signin/" in answer.location, world.links()) == (303, True, 1)
    assert "/signin/" in person.client.get("/account/link").location
    assert "/signin/" in person.client.post("/account/link", data={"csrf_token": token, "username": OTHER, "password": "x"}).location


@pytest.mark.requirement("R87")
def test_who_was_closed_meanwhile_stays_closed(world: World, mine: int, other: int) -> None:
    world.linked()
    world.write(other, lambda account: setattr(account, "status", "disabled"))
    assert undo(world, mine)
    with world.app.app_context():
        assert world.account(other).status == "disabled"


@pytest.mark.requirement("R87")
def test_a_session_that_rests_on_a_key_that_goes_back_loses_it(world: World, mine: int, other: int) -> None:
    world.linked()
    lost: list[int] = []
    hear(world, key_lost=lambda number, _now: lost.append(number))
    with world.app.app_context(), transaction():
        [row] = session.scalars(select(Session).where(Session.account_id == mine, Session.ended_at.is_(None)))
        row.ekey_at, row.ekey_serial = world.clock.now(), OTHER_KEY
        number = row.id
    assert undo(world, mine)
    with world.app.app_context():
        assert (lost, session.get_one(Session, number).ekey_at) == ([number], None)


def hear(world: World, **hooks: Callable[..., None]) -> None:
    runtime = world.app.extensions["idp"]
    world.app.extensions["idp"] = replace(runtime, hooks=replace(runtime.hooks, **hooks))


@pytest.mark.requirement("R87")
@pytest.mark.requirement("D11")
def test_systems_hear_of_it_in_the_same_commit_while_both_still_stand(world: World, mine: int, other: int) -> None:
    heard: list[tuple[str, int, int, int]] = []

    def note(word: str) -> Callable[[int, int, datetime], None]:
        def hook(old: int, new: int, _now: datetime) -> None:
            held = len(session.scalars(select(AccountKey).where(AccountKey.account_id == old)).all())
            heard.append((word, old, new, held))

        return hook

    hear(world, accounts_joined=note("joined"), accounts_parted=note("parted"))
    with world.app.app_context():
        sub = world.account(other).sub
    world.linked()
    undo(world, mine)
    assert heard == [("joined", other, mine, 1), ("parted", other, mine, 0)]
    with world.app.app_context():
        assert world.account(other).sub == sub


@pytest.mark.requirement("R87")
@pytest.mark.requirement("R66")
def test_rights_of_a_key_die_with_that_key(world: World, mine: int, other: int) -> None:
    world.linked()
    with world.app.app_context():
        today = world.clock.now().date()
        assert "dual_use" in {right.system for right in rules.rights(mine, today)}
        with transaction():
            for serial in (KEY, OTHER_KEY):
                session.get_one(EKey, serial).status = "revoked"
        assert rules.open_systems(mine, today) == {"mech_electrical"}


# --- who cannot be linked -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def foreign(world: World) -> str:
    """Somebody of another enterprise."""
    with world.app.app_context():
        made = hasher().hash(OTHER_PASSWORD)
        with transaction():
            row = people.account(people.enterprise("0100987654321"), ["0100987654321-abroad"])
            row.password_hash, row.mobile, row.mobile_proven_at = made, "+8613700137000", world.clock.now()
    return "0100987654321-abroad"


@pytest.mark.requirement("R87")
@pytest.mark.requirement("R61")
def test_one_answer_and_one_number_of_hashes_for_every_reason(
    world: World, mine: int, other: int, foreign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.own(THIRD, OTHER_PASSWORD, TO_OTHER)
    with world.app.app_context(), transaction():
        [third] = directory.candidates(THIRD)
        session.add(AccountRole(account_id=third.id, role="auditor", since=world.clock.now(), granted_by="o"))
    hashes: list[int] = []
    verify = argon2id.Hasher.verify

    def counted(self: argon2id.Hasher, typed: str, stored: str | None) -> bool:
        hashes.append(1)
        return verify(self, typed, stored)

    monkeypatch.setattr(argon2id.Hasher, "verify", counted)
    person = world.come()
    answers = set()
    for name, password in ((OTHER, "wrong"), (MINE, PASSWORD), (foreign, OTHER_PASSWORD), (THIRD, OTHER_PASSWORD), (f"{CODE}-nobody", "x")):
        person.open("/account/link")
        hashes.clear()
        person.submit(username=name, password=password)
        shown = person.text.replace(name, "NAME")
        answers.add((person.page.status_code, GENERIC in shown, len(hashes), person.at))
    assert answers == {(422, True, 1, "/account/link")}
    assert world.links() == 0


@pytest.mark.requirement("R87")
@pytest.mark.requirement("R61")
def test_guesses_are_counted_before_they_are_looked_at_and_meet_a_captcha(world: World, mine: int, other: int) -> None:
    runtime = world.app.extensions["idp"]
    world.app.extensions["idp"] = replace(runtime, settings=runtime.settings.model_copy(update={"captcha": "after_failures"}))
    person = world.come()
    for _ in range(2):
        person.open("/account/link")
        assert "captcha_id" not in person.form().fields
        person.submit(username=OTHER, password="wrong")
    assert "captcha_id" in person.form().fields
    person.submit(username=OTHER, password=OTHER_PASSWORD, captcha="00000")
    assert "验证码不正确" in person.text
    for _ in range(3):
        person.submit(username=OTHER, password="wrong")
    person.submit(username=OTHER, password=OTHER_PASSWORD)
    assert (person.page.status_code, "密码连续输错" in person.text) == (422, True)
    # the same counters as at the sign-in
    world.app.extensions["idp"] = runtime
    assert "密码连续输错" in world.come(OTHER, OTHER_PASSWORD).text


@pytest.mark.requirement("R59")
@pytest.mark.requirement("R87")
@pytest.mark.parametrize("lacking", ["password", "contact", "change"])
def test_who_has_no_proven_contact_is_sent_to_sign_in_there_first(world: World, mine: int, other: int, lacking: str) -> None:
    change = {"password": ("password_hash", None), "contact": ("mobile_proven_at", None), "change": ("change_reason", "reset")}[lacking]
    world.write(other, lambda account: setattr(account, *change))
    with world.app.app_context(), transaction():
        people.former(session.get_one(Account, other), OTHER_PASSWORD, "export")
    person = world.come()
    person.open("/account/link")
    person.submit(username=OTHER, password="Wrong-Pass-1")
    assert "请先用该账号登录一次" not in person.text, "told after the right password alone"
    person.submit(username=OTHER, password=OTHER_PASSWORD)
    assert (person.page.status_code, "请先用该账号登录一次" in person.text) == (422, True)


@pytest.mark.requirement("R87")
def test_a_closed_account_is_not_linked(world: World, mine: int, other: int) -> None:
    world.write(other, lambda account: setattr(account, "status", "disabled"))
    person = world.come()
    person.open("/account/link")
    person.submit(username=OTHER, password=OTHER_PASSWORD)
    assert "该账号已停用" in person.text


@pytest.mark.requirement("R87")
def test_links_make_no_circles_and_no_chains_that_could_not_be_undone(world: World, mine: int, other: int) -> None:
    world.own(THIRD, NEW, "+8613600136000")
    world.linked()
    person = world.come(THIRD, NEW)
    person.open("/account/link")
    # what is linked is nobody's other account any more; what has links keeps them until they are for good
    person.submit(username=OTHER, password=OTHER_PASSWORD)
    assert GENERIC in person.text
    person.submit(username=MINE, password=PASSWORD)
    assert "自身还有可以解除的关联" in person.text
    world.clock.advance(days=30)
    person = world.come(THIRD, NEW)
    person.open("/account/link")
    person.submit(username=OTHER, password=PASSWORD)
    person.submit(code=person.read_code())
    assert world.links() == 2
    assert not undo(world, mine), "the first one is for good"
    assert world.come(OTHER, NEW).at == "/hall"


# --- the code -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R87")
def test_only_the_code_that_went_to_the_other_account_links(world: World, mine: int, other: int) -> None:
    person = world.at_the_code()
    code = person.read_code()
    assert world.box.texts[-1][0] == TO_OTHER
    person.submit(code="")
    wrong = f"{(int(code) + 1) % 10**6:06}"
    assert person.submit(code=wrong).status_code == 422
    assert world.links() == 0
    # somebody else's browser has nothing of what was proven here
    stranger = world.come(MINE, PASSWORD)
    assert stranger.open("/account/link/code").request.path == "/account/link"
    for _ in range(4):
        person.submit(code=wrong)
    person.submit(code=code)
    assert (world.links(), "已失效" in person.text) == (0, True)
    world.clock.advance(minutes=1)
    person.client.post("/account/link/code", data={"csrf_token": person.form().fields["csrf_token"], "action": "send", "channel": "mobile"})
    person.open("/account/link/code")
    person.submit(code=person.read_code())
    assert world.links() == 1


@pytest.mark.requirement("R87")
def test_who_signs_in_next_at_this_browser_has_nothing_of_it(world: World, mine: int, other: int) -> None:
    world.own(THIRD, NEW, "+8613600136000")
    person = world.at_the_code()
    action, fields = person.prepare(code=person.read_code())
    person.client.post("/signout", data={"csrf_token": fields["csrf_token"]})
    person.type_password(THIRD, NEW)
    assert person.at == "/hall"
    assert person.open("/account/link/code").request.path == "/account/link"
    person.client.post(action, data={**fields, "csrf_token": person.form().fields["csrf_token"]})
    assert world.links() == 0


@pytest.mark.requirement("R87")
@pytest.mark.requirement("R75")
def test_an_authenticator_app_of_the_other_account_is_asked_for_as_at_its_sign_in(world: World, mine: int, other: int) -> None:
    with world.app.app_context(), transaction():
        device = pyotp.TOTP(totp.begin(other, "b", SECRET, world.clock.now()) or "")
        totp.confirm(other, "b", device.at(world.clock.now()), SECRET, world.clock.now())
    world.clock.advance(minutes=2)
    person = world.at_the_code()
    assert "动态口令" in person.text
    assert world.tell() == {}
    person.submit(code="000000")
    assert (person.page.status_code, world.links()) == (422, 0)
    person.submit(code=device.at(world.clock.now()))
    assert world.links() == 1


CHANGES: dict[str, Callable[[World, int, int], None]] = {
    "its password": lambda world, _mine, other: world.write(other, lambda account: setattr(account, "epoch", account.epoch + 1)),
    "my password": lambda world, mine, _other: world.write(mine, lambda account: setattr(account, "epoch", account.epoch + 1)),
    "closed": lambda world, _mine, other: world.write(other, lambda account: setattr(account, "status", "disabled")),
    "moved": lambda world, _mine, other: world.write(other, lambda account: setattr(account, "enterprise_id", abroad())),
    "late": lambda world, _mine, _other: world.clock.advance(minutes=10),
    "contact": lambda world, _mine, other: world.write(other, lambda account: setattr(account, "mobile_proven_at", None)),
}


def abroad() -> int:
    return session.scalars(select(Enterprise.id).where(Enterprise.code != CODE)).first() or 0


@pytest.mark.store
@pytest.mark.requirement("R87")
@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_between_the_two_pages_counts(world: World, mine: int, other: int, change: str) -> None:
    person = world.at_the_code()
    code = person.read_code()
    action, fields = person.prepare(code=code)
    CHANGES[change](world, mine, other)
    answer = person.client.post(action, data=fields, follow_redirects=True)
    assert (answer.status_code < 500, world.links()) == (True, 0)


@pytest.mark.store
@pytest.mark.requirement("R87")
def test_held_rows_judge_not_the_page(world: World, mine: int, other: int) -> None:
    """The rule itself, past all that the view looks at before."""
    person = world.at_the_code()
    code = person.read_code()
    with world.app.app_context():
        [present] = session.scalars(select(Session).where(Session.account_id == mine, Session.ended_at.is_(None)))
        proven = link_proof.Proven(present.id, other, world.account(other).epoch, world.clock.now().isoformat())
        asker = link_proof.Asker(mine, present.id, lockout.Caller("", "n"))
    for account_id, field, value in (
        (other, "epoch", 99),
        (mine, "epoch", 99),
        (other, "status", "disabled"),
        (other, "mobile_proven_at", None),
        (other, "enterprise_id", None),
    ):
        with world.app.app_context():
            assert not tried(world, asker, proven, code, account_id, field, value), field


def tried(world: World, asker: link_proof.Asker, proven: link_proof.Proven, code: str, account_id: int, field: str, value: object) -> bool:
    """Whether it would be linked after this change; all of it is taken back."""
    done: list[object] = []

    def change_and_complete() -> None:
        with transaction():
            setattr(session.get_one(Account, account_id), field, value)
            session.flush()
            done.append(link_proof.complete(asker, proven, "mobile", code, world.app.extensions["idp"].hooks, SECRET, world.clock.now()))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        change_and_complete()
    return isinstance(done[0], AccountLink)


@pytest.mark.store
@pytest.mark.slow
@pytest.mark.requirement("R87")
def test_of_two_accounts_that_link_the_same_one_at_once_one_wins(world: World, mine: int, other: int) -> None:
    world.own(THIRD, NEW, "+8613600136000")
    both = []
    for name, password in ((MINE, PASSWORD), (THIRD, NEW)):
        person = world.at_the_code(name, password)
        both.append((person, *person.prepare(code=person.read_code())))
        world.clock.advance(seconds=61)
    gate, answers = threading.Barrier(2), list[int]()

    def send(person: Person, action: str, fields: dict[str, str]) -> None:
        gate.wait()
        answers.append(person.client.post(action, data=fields).status_code)

    threads = [threading.Thread(target=send, args=each) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.links() == 1
    assert all(status < 500 for status in answers)


# --- rights, and the merge afterwards -------------------------------------------------------------------------------------------------------


def states(approved: str = "", blocked: str = "", held: str = "") -> linked_rights.States:
    return {"approved": set(approved), "blocked": set(blocked), "held": set(held)}


@pytest.mark.requirement("R87")
@pytest.mark.requirement("R62")
@pytest.mark.requirement("D15")
@pytest.mark.parametrize(
    ("mine", "other", "had", "gave", "after"),
    [
        (states(), states(approved="m"), "", "m", states(approved="m")),
        (states(), states(blocked="x"), "", "", states(blocked="x")),
        (states(), states(blocked="x"), "x", "", states()),
        (states(blocked="x"), states(), "", "x", states()),
        (states(blocked="x"), states(), "", "", states(blocked="x")),
        (states(), states(held="x"), "", "x", states(held="x")),
        (states(), states(held="x"), "x", "x", states(held="x")),
        (states(), states(held="x"), "x", "", states()),
        (states(held="x"), states(), "", "x", states()),
        (states(held="x"), states(), "x", "x", states(held="x")),
        (states(held="x"), states(held="x"), "", "x", states(held="x")),
        (states(held="x"), states(), "", "", states(held="x")),
    ],
)
def test_what_becomes_of_what_was_decided(
    mine: linked_rights.States, other: linked_rights.States, had: str, gave: str, after: linked_rights.States
) -> None:
    assert linked_rights.together(mine, other, set(had), set(gave)) == after


@pytest.mark.requirement("R87")
@pytest.mark.requirement("R62")
def test_a_proof_given_while_linked_opens_nothing_at_the_other_one_afterwards(world: World, mine: int, other: int) -> None:
    held = (other, "dual_use", "held")
    with world.app.app_context():
        assert session.get(Entitlement, held) is not None
    world.linked()
    with world.app.app_context(), transaction():
        session.delete(session.get_one(Entitlement, (mine, "dual_use", "held")))
    undo(world, mine)
    with world.app.app_context():
        assert session.get(Entitlement, held) is not None
        assert "approved" not in session.scalars(select(Entitlement.state).where(Entitlement.account_id == mine))


@pytest.mark.store
@pytest.mark.requirement("R87")
@pytest.mark.requirement("D15")
def test_a_merge_after_it_changes_nothing_and_sees_the_rows_of_both_together(world: World, mine: int, other: int) -> None:
    world.linked()
    with world.app.app_context():
        before = snapshot("audit_events", "legacy_runs", "legacy_batches", "accounts", "legacy_rows")
        with transaction():
            session.query(LegacyRow).update({"unmerged": True})
        assert idp(world.app, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0
        assert snapshot("audit_events", "legacy_runs", "legacy_batches", "accounts", "legacy_rows") == before
        # all users of the other one are disabled by a later dump: this account stays, without what was theirs alone
        with transaction():
            session.query(LegacyRow).filter_by(key_serial=OTHER_KEY).update({"enabled": False, "unmerged": True})
        assert idp(world.app, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0
        assert world.account(mine).status == "active"
        blocked = set(session.scalars(select(Entitlement.system).where(Entitlement.account_id == mine, Entitlement.state == "blocked")))
        assert {"dual_use", "mech_electrical"} <= blocked
        assert "export" not in blocked


@pytest.mark.requirement("R87")
def test_what_a_later_import_changed_is_merged_anew_once_they_part(world: World, mine: int, other: int) -> None:
    world.linked()
    world.clock.advance(days=1)
    with world.app.app_context(), transaction():
        run = LegacyRun(kind="import", started_at=world.clock.now())
        session.add(run)
        session.flush()
        session.query(LegacyRow).filter_by(username="liangyong").update({"run_id": run.id, "unmerged": False})
    undo(world, mine)
    with world.app.app_context():
        assert session.scalars(select(LegacyRow.username).where(LegacyRow.unmerged)).all() == ["liangyong"]


@pytest.mark.requirement("R87")
def test_no_form_makes_a_fault_of_ours(world: World, mine: int, other: int) -> None:
    person = world.come()
    token = person.open("/account/link") and person.form().fields["csrf_token"]
    for path in ("/account/link", "/account/link/code", "/account/link/9999999999999999999999/undo", "/account/link/0/undo"):
        for fields in (
            {},
            {"username": "\x00" * 200, "password": "x" * 3000, "action": "send", "code": "x" * 999},
            {"username": "a\ud800", "password": "b"},
        ):
            answer = person.client.post(path, data={"csrf_token": token, **{k: v.encode("utf-8", "surrogatepass") for k, v in fields.items()}})
            assert answer.status_code < 500, path
