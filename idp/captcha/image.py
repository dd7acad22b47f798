"""The picture of a captcha: dark digits on a pale ground, as PNG.

Drawn pale on dark and inverted, because the library fades dark colours until they miss the contrast of 4.5:1 (WCAG 1.4.3).
"""

from functools import lru_cache
from io import BytesIO

from captcha.image import ImageCaptcha
from PIL import ImageOps

WIDTH, HEIGHT = 160, 60  # pixels; the page shows them at twice the size (R60)
INK, GROUND = (228, 205, 170), (12, 10, 6)  # inverted: dark blue on nearly white


@lru_cache(maxsize=1)
def _painter() -> ImageCaptcha:
    return ImageCaptcha(WIDTH, HEIGHT, font_sizes=(44, 48, 52))


def draw(answer: str) -> bytes:
    """PNG bytes of `answer`, another distortion each time."""
    picture = ImageOps.invert(_painter().generate_image(answer, bg_color=GROUND, fg_color=INK))
    out = BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()
