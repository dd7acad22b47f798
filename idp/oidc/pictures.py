"""A stranger's picture drawn anew as a small PNG; run as a script, in a process of its own with little time and memory.

What a picture costs is judged by its bytes before anything is unpacked; what that overlooks meets the limits of the process. This file imports
nothing of ours, so that the process starts fast and knows no secret.
"""

import resource
import struct
import subprocess  # see drawn_apart
import sys
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_BYTES = 256 * 1024
# of the sent picture
MAX_PIXELS = 1024 * 1024
# of a JPEG: each scan goes over all its pixels again; a progressive one has about ten
MAX_SCANS = 20
# of ours, on each side
SIDE = 256
# the worst that passes the judge takes about a second
CPU_SECONDS = 5
WALL_SECONDS = 15
MEMORY_BYTES = 512 * 1024 * 1024
REASONS = frozenset({"size", "format", "pixels", "scans", "picture"})
# how the process ends that found its picture unfit
UNFIT = 3


@dataclass(frozen=True)
class Unfit:
    """No logo; `reason` is a stable code: size, format, pixels, scans, picture; or why its server gave none."""

    reason: str


def drawn(sent: bytes) -> bytes | Unfit:
    """The picture as a PNG of ours, at most SIDE × SIDE, with nothing in it but pixels; what it is, its bytes say, not its server."""
    reason = _too_much(sent)
    if reason is not None:
        return Unfit(reason)
    try:
        with Image.open(BytesIO(sent), formats=FORMATS) as picture:
            # the header alone was read: a bomb is never unpacked
            if picture.width * picture.height > MAX_PIXELS:
                return Unfit("pixels")
            # JPEG: libjpeg leaves out what a smaller picture does not need
            picture.draft("RGB", (SIDE, SIDE))
            # of what moves, the first picture
            own = picture.convert("RGBA")
        own.thumbnail((SIDE, SIDE))
        own.info.clear()
        out = BytesIO()
        own.save(out, "PNG")
    except UnidentifiedImageError:
        return Unfit("format")
    except Exception:  # noqa: BLE001  # decoders raise whatever they stumble on
        return Unfit("picture")
    return out.getvalue()


def _too_much(sent: bytes) -> str | None:
    """What the bytes show to be too much before any decoder sees them."""
    if len(sent) > MAX_BYTES:
        return "size"
    size = _webp_size(sent)
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        return "pixels"
    # ITU T.81 §B.1.1.5: within a scan's data 0xFF is never followed by a marker's code
    return "scans" if sent[:3] == b"\xff\xd8\xff" and sent.count(b"\xff\xda") > MAX_SCANS else None


def _webp_size(sent: bytes) -> tuple[int, int] | None:
    """Width and height that a WebP names: its decoder makes the canvas as soon as it is opened (RFC 9649 §2.5–2.7)."""
    head = sent[:30].ljust(30, b"\0")
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        width, high, height, top = struct.unpack("<HBHB", head[24:30])
        return (width | high << 16) + 1, (height | top << 16) + 1
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def drawn_apart(sent: bytes) -> bytes | Unfit:
    """The same in a process of its own, which ends with its limits; OSError if none can be started."""
    try:
        # this very file, without environment; the bytes are its input and no argument
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", __file__], input=sent, capture_output=True, timeout=WALL_SECONDS, env={}, check=False
        )
    except subprocess.TimeoutExpired:
        return Unfit("picture")
    if done.returncode == 0 and done.stdout:
        return done.stdout
    said = done.stderr.decode("ascii", "replace")
    return Unfit(said if done.returncode == UNFIT and said in REASONS else "picture")


def main() -> int:
    """Picture on standard input → PNG on standard output, or UNFIT and the reason on standard error."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    found = drawn(sys.stdin.buffer.read(MAX_BYTES + 1))
    if isinstance(found, Unfit):
        sys.stderr.write(found.reason)
        return UNFIT
    sys.stdout.buffer.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
