"""The little of DER (X.690) that certificates need where no library takes SM2 keys: taking apart and putting together."""


def tlv(tag: int, *content: bytes) -> bytes:
    """One element with a one-byte tag."""
    whole = b"".join(content)
    if len(whole) < 0x80:
        return bytes([tag, len(whole)]) + whole
    length = len(whole).to_bytes((len(whole).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + whole


def _span(encoded: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends."""
    if at + 2 > len(encoded):
        raise ValueError("cut off")
    first, begin = encoded[at + 1], at + 2
    if first >= 0x80:
        begin += first & 0x7F
        first = int.from_bytes(encoded[at + 2 : begin], "big")
    if begin + first > len(encoded):
        raise ValueError("cut off")
    return begin, begin + first


def value(encoded: bytes) -> bytes:
    """The content of an element; ValueError if it is cut off or followed by something."""
    begin, end = _span(encoded, 0)
    if end != len(encoded):
        raise ValueError("something behind it")
    return encoded[begin:end]


def parts(encoded: bytes) -> list[bytes]:
    """The elements that a constructed element holds, each whole."""
    content, found, at = value(encoded), [], 0
    while at < len(content):
        _, end = _span(content, at)
        found.append(content[at:end])
        at = end
    return found
