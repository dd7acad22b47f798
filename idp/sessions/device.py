"""What a browser calls itself, as two words of ours: `chrome.windows`. Nothing else of the User-Agent header is kept."""

# the first mark that is found counts: most browsers also carry the names of older ones
BROWSERS = (
    *(("wechat", "MicroMessenger/"), ("qq", "QQBrowser/"), ("360", "QIHU"), ("360", "360SE"), ("360", "360EE"), ("edge", "Edg/"), ("edge", "Edge/")),
    *(("opera", "OPR/"), ("firefox", "Firefox/"), ("chrome", "Chrome/"), ("safari", "Safari/")),
)
SYSTEMS = (
    *(("harmony", "HarmonyOS"), ("android", "Android"), ("ios", "iPhone"), ("ios", "iPad"), ("windows", "Windows"), ("mac", "Mac OS X")),
    *(("kylin", "Kylin"), ("uos", "UOS"), ("linux", "Linux")),
)
OTHER = "other"
LONGEST = 1000


def read(user_agent: str) -> str:
    """`<browser>.<system>`, each `other` where it is none that we know."""
    text = user_agent[:LONGEST]
    return f"{_first(BROWSERS, text)}.{_first(SYSTEMS, text)}"


def _first(marks: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for name, mark in marks if mark in text), OTHER)
