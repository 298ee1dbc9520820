"""Source of the vector: NaCl, ``tests/secretbox.c`` and ``tests/secretbox.out``."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from buildpush.provenance.secretbox import open_box

KEY = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
NONCE = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
MESSAGE = bytes.fromhex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f4"
    "1db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52"
    "f0a089bc76897040e082f937763848645e0705"
)
BOX = bytes.fromhex(
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b"
    "4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da"
    "99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
)


def test_a_box_is_opened():
    assert open_box(KEY, NONCE, BOX, Poly1305.generate_tag) == MESSAGE


@pytest.mark.parametrize("box", [b"", BOX[:20], BOX[:-1], BOX[:40] + b"\0" + BOX[41:]])
def test_a_box_that_was_changed_is_refused(box):
    with pytest.raises(ValueError, match="cannot be decrypted"):
        open_box(KEY, NONCE, box, Poly1305.generate_tag)
