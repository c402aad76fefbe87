"""SHA-256 of a large message's text, by OpenSSL: seven times as fast as Python's own for what is long.

The broker imports hashlib without it (broker.__main__): with OpenSSL it would be 4 MB larger, and most have no large messages.
"""


def text_digest(text: bytes) -> str:
    """64 hex digits."""
    try:
        from _hashlib import openssl_sha256 as sha256
    except ImportError:  # a Python without OpenSSL
        from hashlib import sha256
    return sha256(text).hexdigest()
