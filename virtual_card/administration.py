"""Who may write keys and objects: whoever proves the management key; the card proves it too (SP 800-73-4 part 1, §5.4; part 2, appendix A.1)."""

import secrets
from hmac import compare_digest

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from virtual_card.apdu import Refused, tlv
from virtual_card.card_file import Management

REFERENCE = 0x9B
TRIPLE_DES = 0x03  # also known as 0
BLOCKS = {TRIPLE_DES: 8, 0x08: 16, 0x0A: 16, 0x0C: 16}  # bytes; the AES ones are of 128, 192 and 256 bits (SP 800-78-4, table 6-2)
WITNESS, CHALLENGE, RESPONSE = 0x80, 0x81, 0x82
SECURITY, WRONG_DATA, WRONG_PARAMETERS = 0x6982, 0x6A80, 0x6A86


def _cipher(management: Management) -> Cipher[ECB]:
    key = bytes.fromhex(management.key)
    # one block of random bytes: what ECB gives away of longer texts does not arise
    return Cipher(TripleDES(key) if management.algorithm == TRIPLE_DES else AES(key), ECB())  # noqa: S305  # the standard's own


def _encrypted(management: Management, block: bytes) -> bytes:
    if len(block) != BLOCKS[management.algorithm]:
        raise Refused(WRONG_DATA)
    return _cipher(management).encryptor().update(block)


def answer(management: Management, algorithm: int, parts: dict[int, bytes], witness: bytes) -> tuple[bytes, bytes]:
    """What the card answers to one of the two commands of the proof, and the witness that it now waits for (b"": proven).

    `witness` is the one that it waited for before. Refused(6A86) for another algorithm, (6982) for a wrong answer, (6A80) for anything else.
    """
    if (algorithm or TRIPLE_DES) != management.algorithm:
        raise Refused(WRONG_PARAMETERS)
    if parts == {WITNESS: b""}:
        fresh = secrets.token_bytes(BLOCKS[management.algorithm])
        return tlv(0x7C, tlv(WITNESS, _encrypted(management, fresh))), fresh
    if not witness or not {WITNESS, CHALLENGE} <= set(parts):
        raise Refused(WRONG_DATA)
    if not compare_digest(parts[WITNESS], witness):
        raise Refused(SECURITY)
    return tlv(0x7C, tlv(RESPONSE, _encrypted(management, parts[CHALLENGE]))), b""
