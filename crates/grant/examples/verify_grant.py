#!/usr/bin/env python3
"""Verifies the signed grants of a deepid-edge door: an example for a listener in Python.

in   the bytes of a message, the time where it is known, the nonce that was sent last
out  the claims of a grant that was taken, or Refused with the one word that docs/wire/grant.md gives
     for the first reason

PyJWT verifies the signature, with one algorithm and one key that were chosen before the message came.
By itself it takes what the contract refuses, so that everything around it is checked here: size, one
writing of base64, one header, claims that stand there twice, numbers that are none, keys and R of small
order. verify_grant_test.py beside it holds it to the table of forgeries. Deliberately absent: MQTT, the
making of nonces (secrets.token_urlsafe(16) makes one), and keeping largest_seq over a restart, which a
listener without nonces must do before it opens.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections import deque
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MESSAGE_BYTES_MAX = 1024
LIFETIME_S_MAX = 5
REMEMBERED_IDS = 16
DEPTH_MAX = 8
NONCES_MAX = 8
MODES = ("clock", "nonce", "nonce_and_clock", "nonce_and_clock_if_known")
HEADER = {"alg", "kid", "typ"}
CLAIMS = ("iss", "sub", "jti", "iat", "exp", "seq", "boot")

DOOR = re.compile(r"[a-z0-9_-]{1,32}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NONCE = re.compile(r"[A-Za-z0-9_-]{16,43}")
BASE64URL = re.compile(rb"[A-Za-z0-9_-]*")

# The prime of the field, and the y of the points whose order divides 8: under such a key, or with such
# an R, a signature says nothing. libcrypto takes them.
P = 2**255 - 19
ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER_Y = {0, 1, P - 1, ORDER_8_Y, P - ORDER_8_Y}


class Refused(Exception):
    """Why a message was not taken; its text is the word of the contract."""


class WrongValue(ValueError):
    """A verifier cannot be set up like this."""


class Pairs(list):
    """The members of a JSON object, also those that are there twice."""


class NoWhole:
    """A number that is no whole one, or below zero."""


@dataclass
class Verifier:
    """Verifies the grants of one door, and remembers what was taken.

    ``keys`` are the ``x`` of the door's JWKs, configured by hand; ``mode`` is one of MODES;
    ``tolerance_s`` (0 to 5) is by how much the clocks may differ; ``largest_seq`` comes from before a
    restart, where it was kept.
    """

    door: str
    keys: list[str]
    mode: str = "nonce_and_clock_if_known"
    tolerance_s: int = 2
    largest_seq: int | None = None
    nonce: str | None = None
    _trusted: dict[str, Ed25519PublicKey] = field(default_factory=dict, repr=False)
    _ids: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED_IDS), repr=False)

    def __post_init__(self) -> None:
        if not DOOR.fullmatch(self.door):
            raise WrongValue("a door's id is 1 to 32 of a-z 0-9 _ -")
        if not 1 <= len(self.keys) <= 4:
            raise WrongValue("there must be one key to trust, and at most four")
        if self.mode not in MODES or not 0 <= self.tolerance_s <= 5:
            raise WrongValue("mode or tolerance_s")
        self._trusted = {thumbprint(x): public_key(x) for x in self.keys}

    def set_nonce(self, nonce: str) -> None:
        """The nonce that was sent last; the one before is worth nothing any more."""
        if not NONCE.fullmatch(nonce):
            raise WrongValue("a nonce is 16 to 43 characters of base64url")
        self.nonce = nonce

    def verify(self, message: bytes, now: int | None) -> dict:
        """Takes a grant, once. ``now``: seconds since 1970 by a clock that is right, or None.

        Raises Refused with the first reason; nothing is then changed.
        """
        header, payload, signature = taken_apart(message)
        kid = checked_header(header)
        key = self._trusted.get(kid)
        if key is None:
            raise Refused("unknown_key")
        if len(signature) != 64 or small_order(signature[:32]):
            raise Refused("bad_signature")
        try:
            jwt.PyJWS(algorithms=["EdDSA"]).decode(message.decode("ascii"), key=key, algorithms=["EdDSA"])
        except jwt.InvalidTokenError:
            raise Refused("bad_signature") from None
        claims = checked_claims(payload)
        if claims["iss"] != self.door:
            raise Refused("other_door")
        self._check_time(claims["iat"], claims["exp"], now)
        if self.mode != "clock":
            if "nonce" not in claims:
                raise Refused("missing_nonce")
            if self.nonce is None or self.nonce not in claims["nonce"]:
                raise Refused("other_nonce")
        seen = self.largest_seq is not None and claims["seq"] <= self.largest_seq
        if seen or claims["jti"] in self._ids:
            raise Refused("replayed")
        self.largest_seq = claims["seq"]
        self._ids.append(claims["jti"])
        self.nonce = None
        return claims

    def _check_time(self, issued: int, expires: int, now: int | None) -> None:
        if expires - issued > LIFETIME_S_MAX:
            raise Refused("lifetime_too_long")
        if self.mode == "nonce" or (now is None and self.mode == "nonce_and_clock_if_known"):
            return
        if now is None:
            raise Refused("expired")
        if now + self.tolerance_s < issued:
            raise Refused("not_yet_valid")
        if now > expires + self.tolerance_s:
            raise Refused("expired")


def taken_apart(message: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, payload and signature, decoded."""
    if len(message) > MESSAGE_BYTES_MAX:
        raise Refused("oversized")
    parts = message.split(b".")
    if len(parts) != 3:
        raise Refused("malformed")
    header, payload, signature = map(decoded, parts)
    return header, payload, signature


def decoded(part: bytes) -> bytes:
    """The bytes of canonical base64url without padding: whatever has a second writing is refused."""
    if not BASE64URL.fullmatch(part):
        raise Refused("malformed")
    try:
        data = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        raise Refused("malformed") from None
    if encoded(data).encode() != part:
        raise Refused("malformed")
    return data


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def json_object(data: bytes) -> Pairs:
    """The members of exactly one JSON object, strictly."""

    def refuse(_: str) -> None:
        raise Refused("malformed")

    try:
        # Decoded first: by itself json guesses UTF-16. parse_constant: NaN and Infinity are no JSON.
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=Pairs,
            parse_int=lambda text: NoWhole() if text.startswith("-") else int(text),
            parse_float=lambda _: NoWhole(),
            parse_constant=refuse,
        )
    except (ValueError, RecursionError):
        raise Refused("malformed") from None
    if not isinstance(value, Pairs) or depth(value) > DEPTH_MAX + 1 or not whole_text(value):
        raise Refused("malformed")
    return value


def depth(value: object) -> int:
    """How deep arrays and objects lie."""
    if isinstance(value, Pairs):
        return 1 + max((depth(inner) for _, inner in value), default=0)
    if isinstance(value, list):
        return 1 + max((depth(inner) for inner in value), default=0)
    return 0


def whole_text(value: object) -> bool:
    """Whether no text has half a surrogate pair, which json lets pass."""
    if isinstance(value, str):
        return not any(0xD800 <= ord(letter) <= 0xDFFF for letter in value)
    if isinstance(value, Pairs):
        return all(whole_text(name) and whole_text(inner) for name, inner in value)
    return not isinstance(value, list) or all(map(whole_text, value))


def checked_header(data: bytes) -> str:
    """The kid."""
    members = json_object(data)
    header = dict(members)
    if len(header) != len(members):
        raise Refused("unsupported_header")
    if header.get("alg") != "EdDSA":
        raise Refused("unsupported_algorithm")
    if set(header) != HEADER or header["typ"] != "deepid-grant+jwt" or not isinstance(header["kid"], str):
        raise Refused("unsupported_header")
    return header["kid"]


def checked_claims(data: bytes) -> dict:
    """The claims, each of its type and in its range."""
    members = json_object(data)
    claims = dict(members)
    if len(claims) != len(members):
        raise Refused("duplicate_claim")
    if not all(name in claims for name in CLAIMS):
        raise Refused("missing_claim")
    texts = (("iss", DOOR.fullmatch), ("sub", is_subject), ("jti", UUID.fullmatch), ("boot", UUID.fullmatch))
    right = all(type(claims[name]) is str and holds(claims[name]) for name, holds in texts)
    # `type`, not `isinstance`: true is an int to Python.
    right = right and all(type(claims[name]) is int and claims[name] < 2**64 for name in ("iat", "exp", "seq"))
    if not right or claims["exp"] <= claims["iat"] or not are_nonces(claims.get("nonce", ["0" * 16])):
        raise Refused("wrong_claim")
    return claims


def is_subject(text: str) -> bool:
    """1 to 64 characters, none of them a control character."""
    return 1 <= len(text) <= 64 and not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text)


def are_nonces(value: object) -> bool:
    """An array of 1 to 8 texts that look like nonces."""
    if type(value) is not list or not 1 <= len(value) <= NONCES_MAX:
        return False
    return all(type(one) is str and NONCE.fullmatch(one) for one in value)


def small_order(point: bytes) -> bool:
    """Whether 32 bytes stand for a point whose order divides 8."""
    y = int.from_bytes(point, "little") & (2**255 - 1)
    return y % P in SMALL_ORDER_Y


def public_key(x: str) -> Ed25519PublicKey:
    """The key whose JWK has this x."""
    try:
        data = decoded(x.encode())
    except Refused:
        raise WrongValue("a key is 43 characters of base64url") from None
    if len(data) != 32 or int.from_bytes(data, "little") & (2**255 - 1) >= P or small_order(data):
        raise WrongValue("this is no Ed25519 key that can be trusted")
    return Ed25519PublicKey.from_public_bytes(data)


def thumbprint(x: str) -> str:
    """The kid of a key (RFC 7638)."""
    jwk = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"))
    return encoded(hashlib.sha256(jwk.encode()).digest())
