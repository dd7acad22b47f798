"""Pictures of strangers: drawn anew in a process of its own, whatever they are; what would cost much is refused by its bytes."""

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from PIL import Image

from idp.oidc import pictures
from idp.oidc.pictures import Unfit, drawn, drawn_apart


def picture(kind: str = "PNG", size: tuple[int, int] = (600, 300), mode: str = "RGB", **how: Any) -> bytes:
    out = BytesIO()
    Image.new(mode, size, "red" if mode != "1" else 1).save(out, kind, **how)
    return out.getvalue()


def bomb() -> bytes:
    """A PNG of 60,000 × 60,000 pixels in few bytes."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)


def wide_canvas() -> bytes:
    """An animated WebP that names a canvas of 16,384 × 16,384."""
    sent = bytearray(picture("WEBP", (8, 8), save_all=True, append_images=[Image.new("RGB", (8, 8))]))
    assert sent[12:16] == b"VP8X"
    sent[24:30] = b"\xff\x3f\x00" * 2
    return bytes(sent)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("size", [(600, 300), (1, 1), (2000, 3), (256, 256)])
def test_pictures_become_small_pngs_of_ours(kind: str, size: tuple[int, int]) -> None:
    png = drawn(picture(kind, size))
    assert isinstance(png, bytes)
    with Image.open(BytesIO(png)) as again:
        assert (again.format, again.mode) == ("PNG", "RGBA")
        assert max(again.size) <= 256
        assert again.size == size or max(again.size) == 256


def test_nothing_but_pixels_is_kept() -> None:
    comment, profile = b"<script>alert(1)</script>", b"p" * 200
    for sent in (picture("JPEG", comment=comment, icc_profile=profile), picture("GIF", comment=comment), picture("PNG", icc_profile=profile)):
        png = drawn(sent)
        assert isinstance(png, bytes)
        assert {png[at + 4 : at + 8] for at in _chunks(png)} == {b"IHDR", b"IDAT", b"IEND"}


def _chunks(png: bytes) -> list[int]:
    at, found = 8, []
    while at < len(png):
        found.append(at)
        at += 12 + int(struct.unpack(">I", png[at : at + 4])[0])
    return found


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "format"),
        (b"<!doctype html><script>alert(1)</script>", "format"),
        (b"%PDF-1.7", "format"),
        (picture("BMP", (20, 10)), "format"),
        (picture("TIFF", (20, 10)), "format"),
        (picture("ICO", (16, 16)), "format"),
        (picture()[:200], "picture"),
        (picture("JPEG")[:600], "picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 100, "format"),
        (bomb(), "pixels"),
        (wide_canvas(), "pixels"),
        (picture(size=(1025, 1024)), "pixels"),
        (picture("GIF", (60_000, 100)), "pixels"),
        (picture() + b"\x00" * pictures.MAX_BYTES, "size"),
    ],
)
def test_everything_else_is_refused(sent: bytes, reason: str) -> None:
    found = drawn(sent)
    assert isinstance(found, Unfit)
    # Pillow itself may stop a bomb before we do
    assert found.reason in {reason, "picture"} if reason in ("pixels", "format") else found.reason == reason


def test_a_bomb_is_never_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpacked(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", unpacked)
    for sent in (picture(size=(1025, 1024)), picture("GIF", (60_000, 100)), picture("JPEG", (1025, 1024)), wide_canvas()):
        assert drawn(sent) == Unfit("pixels")


@pytest.mark.slow
@settings_of(max_examples=400, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8), st.data())
def test_no_bytes_kill_the_worker(kind: str, changes: list[tuple[int, int]], data: st.DataObject) -> None:
    sent = bytearray(picture(kind, (40, 30), "P" if kind == "GIF" else "RGB"))
    for place, value in changes:
        sent[place % len(sent)] = value
    found = drawn(bytes(sent[: data.draw(st.integers(0, len(sent)))]))
    assert isinstance(found, bytes | Unfit)


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def scans(count: int, side: int = 1024) -> bytes:
    """A grey progressive JPEG whose scans, a few bytes each, go over all its blocks again and again."""
    blocks = (side // 8) ** 2
    # tables of one code each: no difference; the band of 2^14 + 14 bits more blocks is over
    head = segment(0xDB, b"\x00" + b"\x01" * 64) + segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00")
    tables = segment(0xC4, b"\x00\x01" + bytes(15) + b"\x00") + segment(0xC4, b"\x10\x01" + bytes(15) + b"\xe0")
    dc = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(blocks // 8)
    run = int(f"0{blocks - 2**14:014b}1", 2).to_bytes(2, "big")
    first = segment(0xDA, b"\x01\x01\x00\x01\x3f\x01") + run
    again = segment(0xDA, b"\x01\x01\x00\x01\x3f\x10") + run
    return b"\xff\xd8" + head + tables + dc + first + again * (count - 2) + b"\xff\xd9"


def test_a_jpeg_of_many_scans_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(drawn(scans(pictures.MAX_SCANS)), bytes)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    for count in (pictures.MAX_SCANS + 1, 15_000):
        assert drawn(scans(count)) == Unfit("scans")


def test_pictures_of_cameras_and_sites_have_few_scans() -> None:
    for mode in ("L", "RGB", "CMYK"):
        noise = Image.effect_noise((500, 400), 80).convert(mode)
        out = BytesIO()
        noise.save(out, "JPEG", progressive=True)
        assert isinstance(drawn(out.getvalue()), bytes)


@pytest.mark.parametrize("how", [{"lossless": True}, {"lossless": False}])
def test_a_plain_webp_that_names_a_huge_canvas_is_not_opened(monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]) -> None:
    sent = bytearray(picture("WEBP", (64, 64), **how))
    if how["lossless"]:
        assert sent[12:16] == b"VP8L"
        sent[21:25] = struct.pack("<I", 16382 | 16382 << 14)
    else:
        assert sent[12:16] == b"VP8 "
        sent[26:30] = struct.pack("<HH", 16383, 16383)
    assert isinstance(drawn(picture("WEBP", (64, 64), **how)), bytes)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    assert drawn(bytes(sent)) == Unfit("pixels")


def test_of_what_moves_the_first_picture_is_drawn() -> None:
    out = BytesIO()
    Image.new("RGB", (9, 9), "red").save(out, "GIF", save_all=True, append_images=[Image.new("RGB", (9, 9), "blue")] * 3)
    png = drawn(out.getvalue())
    assert isinstance(png, bytes)
    with Image.open(BytesIO(png)) as again:
        assert again.getpixel((4, 4)) == (255, 0, 0, 255)


# --- the process --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent", [picture(), picture("JPEG"), b"", b"<svg/>", scans(30), picture(size=(1025, 1024)), b"x" * pictures.MAX_BYTES + b"x"]
)
def test_the_process_says_what_the_function_says(sent: bytes) -> None:
    assert drawn_apart(sent) == drawn(sent)


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    file = tmp_path / "draws.py"
    file.write_text(script)
    monkeypatch.setattr(pictures, "__file__", str(file))


@pytest.mark.parametrize("script", ["import os; os.abort()", "raise MemoryError", "", "import sys; sys.stderr.write('<b>'); sys.exit(3)"])
def test_a_process_that_dies_leaves_no_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    stand_in(monkeypatch, tmp_path, script)
    assert drawn_apart(picture()) == Unfit("picture")


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "import signal; signal.pause()")
    monkeypatch.setattr(pictures, "WALL_SECONDS", 0.2)
    assert drawn_apart(picture()) == Unfit("picture")


def test_the_process_knows_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IDP_SECRET_KEY", "sample")
    stand_in(monkeypatch, tmp_path, "import os; print(os.environ.get('IDP_SECRET_KEY'), end='')")
    assert drawn_apart(picture()) == b"None"


@pytest.mark.slow
@pytest.mark.parametrize("does", ["while True: pass", "bytearray(p.MEMORY_BYTES)"])
def test_the_process_ends_with_its_limits(does: str) -> None:
    script = f"from idp.oidc import pictures as p\np.CPU_SECONDS = 1\ndef much(_):\n    {does}\np.drawn = much\np.main()"
    done = subprocess.run([sys.executable, "-c", script], input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode < 0 if "while" in does else b"MemoryError" in done.stderr
