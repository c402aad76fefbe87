"""SHA-256 of texts, with OpenSSL and without."""

import subprocess
import sys

import pytest

from broker.protocol.digests import text_digest

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
WITHOUT = "import sys; sys.modules['_hashlib'] = None; from broker.protocol.digests import text_digest; print(text_digest(b''))"
LATER = """
import sys
from broker.service.supervised import import_hashlib
from broker.protocol.digests import text_digest
import_hashlib()
import hashlib, hmac
before = "_hashlib" in sys.modules
print(before, hashlib.sha256(b"").hexdigest() == text_digest(b""), "_hashlib" in sys.modules, text_digest(b""))
"""


def test_a_digest_is_sha_256() -> None:
    assert text_digest(b"") == EMPTY


@pytest.mark.parametrize(("program", "said"), [(WITHOUT, [EMPTY]), (LATER, ["False", "True", "True", EMPTY])])
def test_it_is_the_same_without_openssl_and_where_it_comes_later(program: str, said: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == said, done.stderr
