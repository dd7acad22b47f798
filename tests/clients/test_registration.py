import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clients.__main__ import register
from clients.relying_party.app import create_app
from clients.relying_party.registration import FOLDER, WrongRegistration, demanding_the_key, for_platform, private_key, read, read_all
from clients.relying_party.signed_in import Memory

PORTS = {
    "export": 8001,
    "import": 8002,
    "auto_import": 8003,
    "mech_electrical": 8004,
    "dual_use": 8005,
    "agri_quota": 8006,
    "fertiliser_quota": 8007,
    "textile_origin": 8008,
}


@pytest.mark.requirement("R1")
def test_eight_systems_on_their_fixed_ports() -> None:
    assert {one.system: urlsplit(one.origin).port for one in read_all()} == PORTS


def test_each_system_is_called_what_the_platform_calls_it() -> None:
    register_of_systems = tomllib.loads((FOLDER.parent / "idp" / "entitlements" / "systems.toml").read_text("utf-8"))
    for one in read_all():
        known = register_of_systems[one.system]
        assert (one.client["client_name"], one.client["client_name#en"]) == (known["name"], known["name_en"])
        assert (one.page["name"], one.page["name_en"]) == (known["name"], known["name_en"])


def test_each_system_asks_only_for_itself() -> None:
    for one in read_all():
        assert one.client["scope"] == f"openid profile enterprise licence:{one.system}"
        assert one.client["first_party"] is True
        assert one.client["id_token_signed_response_alg"] == "ES256"
        for name in ("redirect_uris", "post_logout_redirect_uris"):
            assert [url.startswith(one.origin + "/") for url in one.client[name]] == [True]
        assert one.client["initiate_login_uri"] == f"{one.origin}/login"


def test_each_system_has_its_own_cookie(tmp_path: Path) -> None:
    apps = [create_app(one, "http://127.0.0.1:8000", key=private_key(tmp_path / one.system)) for one in read_all()]
    assert len({app.config["SESSION_COOKIE_NAME"] for app in apps}) == len(PORTS)


def test_ports_can_move_in_the_same_order() -> None:
    moved = read_all(18100)
    assert [urlsplit(one.origin).port for one in moved] == list(range(18100, 18108))
    assert moved[0].client["redirect_uris"] == ["http://127.0.0.1:18100/callback"]


def test_the_platform_gets_the_public_half_only(tmp_path: Path) -> None:
    register(read_all(), tmp_path / "keys", tmp_path / "out")
    for one in read_all():
        text = (tmp_path / "out" / f"{one.system}.toml").read_text()
        given = tomllib.loads(text)
        key = given.pop("jwks")["keys"][0]
        assert given == one.client
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert (tmp_path / "keys" / f"{one.system}.pem").stat().st_mode & 0o777 == 0o600


def test_a_system_may_demand_the_key(tmp_path: Path) -> None:
    systems = [demanding_the_key(one) if one.system == "dual_use" else one for one in read_all()]
    register(systems, tmp_path / "keys", tmp_path / "out")
    demands = {one.system: tomllib.loads((tmp_path / "out" / f"{one.system}.toml").read_text()).get("require_acr") for one in systems}
    assert demands == {**dict.fromkeys(PORTS), "dual_use": "urn:licence:acr:ekey"}


def test_a_second_registration_keeps_the_key(tmp_path: Path) -> None:
    one = read(FOLDER / "export")
    first = for_platform(one, private_key(tmp_path / "k.pem"))
    assert for_platform(one, private_key(tmp_path / "k.pem")) == first


def test_a_broken_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongRegistration, match=r"client\.toml"):
        read(tmp_path)
    (tmp_path / "client.toml").write_text('client_id = "x"\n')
    (tmp_path / "page.toml").write_text("")
    with pytest.raises(WrongRegistration, match="redirect_uris"):
        read(tmp_path)


def test_memory_is_bounded_and_forgets() -> None:
    memory = Memory(20)
    memory.set("over", 1, -1)
    assert memory.get("over") is None
    handles = [memory.keep(number, 60) for number in range(21)]
    assert memory.get(handles[0]) is None
    assert memory.get(handles[-1]) == 20
    memory.delete(handles[-1])
    assert memory.get(handles[-1]) is None
