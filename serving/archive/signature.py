"""Detached ed25519 signatures: NAME-VERSION.mar.sig beside the archive proves who made it."""

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from serving.archive.reader import Archive
from serving.errors import InputError, SignatureError
from storage import atomic_write

SUFFIX = ".sig"
PUBLIC_SUFFIX = ".pub"
# The signed message names its purpose, so that a signature made for something else cannot be passed off as one.
PURPOSE = b"headswap archive sha256 "


def make_keys(private_file: Path) -> Path:
    """Write a new private key, readable by its owner only, and its public key beside it; return the latter's path.

    Raises:
        InputError: one of the two files exists already or cannot be written.
    """
    public_file = private_file.with_name(private_file.name + PUBLIC_SUFFIX)
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write_new(private_file, private, mode=0o600)
    _write_new(public_file, public, mode=0o644)
    return public_file


def sign(archive: Archive, private_file: Path) -> Path:
    """Write the archive's signature beside it and return its path.

    Raises:
        InputError: the key cannot be used, or the signature cannot be written.
    """
    try:
        key = serialization.load_pem_private_key(private_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _invalid_key(private_file, "private", error) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _invalid_key(private_file, "private", None)
    target = signature_of(archive.path)
    try:
        atomic_write(target, base64.b64encode(key.sign(_message(archive))) + b"\n")
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}.") from None
    return target


def verify(archive: Archive, public_file: Path) -> None:
    """Return if the archive has a signature made with the private half of the key.

    Raises:
        SignatureError: it has none, or it was made with another key or for another archive.
        InputError: the key cannot be used.
    """
    try:
        key = serialization.load_pem_public_key(public_file.read_bytes())
    except (OSError, ValueError) as error:
        raise _invalid_key(public_file, "public", error) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _invalid_key(public_file, "public", None)
    file = signature_of(archive.path)
    try:
        signature = base64.b64decode(file.read_bytes().strip(), validate=True)
    except OSError:
        raise SignatureError(
            f"{archive.path} is not signed: there is no {file.name} beside it; headswap sign makes one."
        ) from None
    except binascii.Error:
        raise SignatureError(f"{file} does not hold a signature in base64.") from None
    try:
        key.verify(signature, _message(archive))
    except InvalidSignature:
        raise SignatureError(
            f"{file} was not made for this archive with the private half of {public_file}: the signature, the archive "
            "or the key is not the right one."
        ) from None


def signature_of(archive_path: Path) -> Path:
    """Return where an archive's signature lies, whether or not it exists."""
    return archive_path.with_name(archive_path.name + SUFFIX)


def _message(archive: Archive) -> bytes:
    return PURPOSE + archive.sha256.encode()


def _write_new(file: Path, content: bytes, *, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}; name a new file.") from None
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)


def _invalid_key(file: Path, half: str, error: Exception | None) -> InputError:
    reason = getattr(error, "strerror", None) or "it must hold one in PEM, without a password"
    return InputError(
        f"{file} is not an ed25519 {half} key: {reason}; headswap keygen makes a pair."
    )
