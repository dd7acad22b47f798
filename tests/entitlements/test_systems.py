from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from idp.db import session, transaction
from idp.entitlements import systems
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput
from idp.legacy import mapping

CODES = ["export", "import", "auto_import", "mech_electrical", "dual_use", "agri_quota", "fertiliser_quota", "textile_origin"]


@pytest.mark.requirement("R1")
def test_the_eight_systems_stand_in_the_order_of_the_register(context: Flask) -> None:
    with transaction():
        assert systems.load() == 8
    found = list(session.scalars(select(BusinessSystem).order_by(BusinessSystem.position)))
    assert [system.code for system in found] == CODES
    assert [system.code for system in found if system.right_from == "approval"] == ["mech_electrical"]
    assert [system.code for system in found if system.sensitive] == ["dual_use"]


@pytest.mark.store
def test_loading_again_updates_and_keeps_addresses_and_ninth_systems(context: Flask) -> None:
    with transaction() as s:
        systems.load()
        s.get_one(BusinessSystem, "export").start_url = "https://export.example/start"
        s.get_one(BusinessSystem, "export").name = "old"
        s.add(BusinessSystem(code="wine", position=9, name="x", name_en="x", short_name="x", short_name_en="x", icon="x", right_from="ekey"))
    with transaction():
        systems.load()
    export = session.get_one(BusinessSystem, "export")
    assert (export.name, export.start_url) == ("出口许可证", "https://export.example/start")
    assert session.get(BusinessSystem, "wine")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('right_from = "ekey"', 'right_from = "luck"', "export.right_from"),
        ('name = "出口许可证"\n', "", "export.name"),
        ('icon = "export"', 'icon = "export"\ncolour = 1', "export.colour"),
        ("[export]", "[export", ""),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_its_field(tmp_path: Path, old: str, new: str, field: str) -> None:
    file = tmp_path / "systems.toml"
    file.write_text(systems.FILE.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(BadInput, match=rf"systems\.toml: {field}"):
        systems.read(file)


@pytest.mark.parametrize("code", CODES)
def test_each_system_has_a_mapping(code: str) -> None:
    assert mapping.load(code).columns.username
