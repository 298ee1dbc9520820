"""The encryption of cosign's private keys: ``secretbox`` of NaCl, which few libraries have.

Source: D. J. Bernstein, "Extending the Salsa20 nonce"; NaCl, ``crypto_secretbox_xsalsa20poly1305``.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

_SIGMA: Final = struct.unpack("<4I", b"expand 32-byte k")
_MASK: Final = 0xFFFFFFFF
_TAG: Final = 16
# The quarter rounds of a column round, then those of a row round.
_QUARTERS: Final = (
    *((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)),
    *((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)),
)


def open_box(key: bytes, nonce: bytes, box: bytes, poly1305: Callable[[bytes, bytes], bytes]) -> bytes:
    """Return what is in *box*; *poly1305* gives the tag of a message, from a key and the message.

    Raises:
        ValueError: the key is another one, or the box was changed.
    """
    stream = _stream(key, nonce, len(box) + 32)
    if not hmac.compare_digest(poly1305(stream[:32], box[_TAG:]), box[:_TAG]):
        message = "it cannot be decrypted with this password"
        raise ValueError(message)
    return bytes(one ^ other for one, other in zip(box[_TAG:], stream[32:], strict=False))


def _stream(key: bytes, nonce: bytes, size: int) -> bytes:
    """Return the first *size* bytes of XSalsa20's stream, for a key of 32 bytes and a nonce of 24."""
    start = _rounds(_block(key, nonce[:16]))
    subkey = struct.pack("<8I", *(start[at] for at in (0, 5, 10, 15, 6, 7, 8, 9)))
    stream = b""
    for number in count():
        if len(stream) >= size:
            break
        block = _block(subkey, nonce[16:] + number.to_bytes(8, "little"))
        stream += struct.pack("<16I", *((a + b) & _MASK for a, b in zip(block, _rounds(block), strict=True)))
    return stream[:size]


def _block(key: bytes, words: bytes) -> list[int]:
    k, n, s = struct.unpack("<8I", key), struct.unpack("<4I", words), _SIGMA
    return [s[0], *k[:4], s[1], *n, s[2], *k[4:], s[3]]


def _rounds(block: Sequence[int]) -> list[int]:
    """Return the state after 20 rounds."""
    x = list(block)
    for _ in range(10):
        for a, b, c, d in _QUARTERS:
            for target, one, other, by in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                word = (x[one] + x[other]) & _MASK
                x[target] ^= (word << by | word >> (32 - by)) & _MASK
    return x
