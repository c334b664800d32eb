"""The bot's cross-signing keys: with them it vouches for its own devices, so that clients which
share keys with signed devices only (Element's default) hear it and show no red shield.

matrix-nio has no cross-signing.  The three seeds are kept apart from the crypto store: a lost
store is replaced by a new device that the same identity signs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from Crypto.Cipher import AES
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

Signed = dict[str, Any]

_NONCE, _TAG = 16, 16
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}  # the credential may be a password that people chose


@dataclass(frozen=True, slots=True, repr=False)
class SigningKeys:
    """The seeds (32 bytes each) of one account's cross-signing keys."""

    master: bytes
    self_signing: bytes
    user_signing: bytes

    @classmethod
    def new(cls) -> SigningKeys:
        return cls(os.urandom(32), os.urandom(32), os.urandom(32))

    @classmethod
    def from_json(cls, text: str) -> SigningKeys:
        """Raises `ValueError` where the text is not what `to_json` wrote."""
        data = json.loads(text)
        try:
            keys = cls(*(base64.b64decode(data[k]) for k in cls.__slots__))
        except (KeyError, TypeError) as error:
            raise ValueError("not the cross-signing keys of this program") from error
        if any(len(seed) != 32 for seed in (keys.master, keys.self_signing, keys.user_signing)):
            raise ValueError("a seed has not 32 bytes")
        return keys

    def to_json(self) -> str:
        return json.dumps({k: base64.b64encode(getattr(self, k)).decode() for k in self.__slots__})

    @property
    def identity(self) -> str:
        """The public master key."""
        return public_key(self.master)

    def upload(self, user: str) -> Signed:
        """The body of `POST /keys/device_signing/upload`."""
        master = _cross_signing_key(user, "master", self.master)
        return {
            "master_key": sign(master, user, self.master),
            "self_signing_key": sign(
                _cross_signing_key(user, "self_signing", self.self_signing), user, self.master
            ),
            "user_signing_key": sign(
                _cross_signing_key(user, "user_signing", self.user_signing), user, self.master
            ),
        }

    def vouch(self, user: str, device: str, keys: Mapping[str, Any]) -> Signed:
        """The body of `POST /keys/signatures/upload` that signs one's own device."""
        return {user: {device: sign(keys, user, self.self_signing)}}

    def has_vouched(self, user: str, keys: Mapping[str, Any]) -> bool:
        """Whether the device keys already carry our signature."""
        signatures = (keys.get("signatures") or {}).get(user) or {}
        return f"ed25519:{public_key(self.self_signing)}" in signatures

    def seal(self, user: str, credential: str) -> str:
        """The keys for the shared store: readable only with the account's credential."""
        nonce = os.urandom(_NONCE)
        cipher = AES.new(_sealing_key(user, credential), AES.MODE_GCM, nonce=nonce)
        text, tag = cipher.encrypt_and_digest(self.to_json().encode())
        return base64.b64encode(nonce + tag + text).decode()


def unseal(sealed: str, user: str, credential: str) -> SigningKeys | None:
    """The keys that `seal` closed; None under another credential."""
    raw = base64.b64decode(sealed)
    nonce, tag, text = raw[:_NONCE], raw[_NONCE : _NONCE + _TAG], raw[_NONCE + _TAG :]
    cipher = AES.new(_sealing_key(user, credential), AES.MODE_GCM, nonce=nonce)
    try:
        return SigningKeys.from_json(cipher.decrypt_and_verify(text, tag).decode())
    except ValueError:
        return None


def public_key(seed: bytes) -> str:
    """The public ed25519 key of a seed, unpadded base64 as Matrix writes it."""
    key = ECC.construct(curve="Ed25519", seed=seed).public_key()
    return _unpadded(key.export_key(format="raw"))


def sign(thing: Mapping[str, Any], user: str, seed: bytes) -> Signed:
    """`thing` with one more signature; existing ones stay, `unsigned` is not signed."""
    bare = {k: v for k, v in thing.items() if k not in ("signatures", "unsigned")}
    text = json.dumps(bare, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    key = ECC.construct(curve="Ed25519", seed=seed)
    signature = _unpadded(eddsa.new(key, "rfc8032").sign(text.encode()))
    signatures = {u: dict(s) for u, s in (thing.get("signatures") or {}).items()}
    signatures.setdefault(user, {})[f"ed25519:{public_key(seed)}"] = signature
    return {**bare, "signatures": signatures}


def _cross_signing_key(user: str, usage: str, seed: bytes) -> Signed:
    public = public_key(seed)
    return {"user_id": user, "usage": [usage], "keys": {f"ed25519:{public}": public}}


def _sealing_key(user: str, credential: str) -> bytes:
    return hashlib.scrypt(credential.encode(), salt=f"lotse:{user}".encode(), dklen=32, **_SCRYPT)


def _unpadded(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")
