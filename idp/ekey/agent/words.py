"""Every text that the agent shows to a person, in Chinese and English."""

from collections.abc import Mapping

CHINESE: Mapping[str, str] = {
    "title": "电子钥匙 PIN 码",
    "who": "{username}，您正在登录：",
    "note": "PIN 码是电子钥匙的口令，不是登录密码。还可以输错 {tries} 次，之后将锁定。",
    "last": "只剩最后一次机会：再输错一次，电子钥匙将被锁定，须到发证机构解锁。仍要继续吗？",
    "pin": "PIN 码（6 到 8 位）",
    "sign": "签名",
    "cancel": "取消",
    "yes": "y",
}
ENGLISH: Mapping[str, str] = {
    "title": "PIN of the e-key",
    "who": "{username}, you are signing in at:",
    "note": "The PIN belongs to the e-key; it is not your password. After {tries} more wrong PINs the e-key is locked.",
    "last": "This is the last try: one more wrong PIN locks the e-key, and only the office that issued it can unlock it. Go on?",
    "pin": "PIN (6 to 8 characters)",
    "sign": "Sign",
    "cancel": "Cancel",
    "yes": "y",
}
LANGUAGES = {"zh": CHINESE, "en": ENGLISH}


def language(locale: str) -> str:
    """The language for a locale such as "en_GB.UTF-8": English where it is asked for, otherwise Chinese."""
    return "en" if locale.lower().startswith("en") else "zh"
