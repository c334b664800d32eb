"""Cross-signing keys: signatures that verify, a seal that only the credential opens."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

from adapters.matrix_signing import SigningKeys, public_key, unseal

USER, DEVICE = "@lotse:ort.de", "GERAET"
DEVICE_KEYS: dict[str, Any] = {
    "user_id": USER,
    "device_id": DEVICE,
    "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
    "keys": {f"ed25519:{DEVICE}": "öffentlich"},
    "signatures": {USER: {f"ed25519:{DEVICE}": "eigene"}},
    "unsigned": {"device_display_name": "OZG-Lotse"},
}


def verify(signed: dict[str, Any], public: str) -> None:
    """Raises `ValueError` where `public` did not sign; by the spec, not by our code."""
    bare = {k: v for k, v in signed.items() if k not in ("signatures", "unsigned")}
    text = json.dumps(bare, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    signature = base64.b64decode(signed["signatures"][USER][f"ed25519:{public}"] + "==")
    key = eddsa.import_public_key(base64.b64decode(public + "="))
    eddsa.new(key, "rfc8032").verify(text, signature)


def test_master_signs_the_others() -> None:
    keys = SigningKeys.new()
    upload = keys.upload(USER)
    for name in ("self_signing_key", "user_signing_key"):
        verify(upload[name], keys.identity)
    assert list(upload["master_key"]["keys"].values()) == [keys.identity]
    assert {u["usage"][0] for u in upload.values()} == {"master", "self_signing", "user_signing"}


def test_self_signing_key_vouches_for_the_device() -> None:
    keys = SigningKeys.new()
    signed = keys.vouch(USER, DEVICE, DEVICE_KEYS)[USER][DEVICE]
    verify(signed, public_key(keys.self_signing))
    assert signed["signatures"][USER][f"ed25519:{DEVICE}"] == "eigene"
    assert keys.has_vouched(USER, signed)
    assert not keys.has_vouched(USER, DEVICE_KEYS)
    assert not SigningKeys.new().has_vouched(USER, signed)


def test_public_key_is_that_of_the_seed() -> None:
    seed = bytes(range(32))
    raw = ECC.construct(curve="Ed25519", seed=seed).public_key().export_key(format="raw")
    assert base64.b64decode(public_key(seed) + "=") == raw


def test_seal_opens_with_the_credential_only() -> None:
    keys = SigningKeys.new()
    sealed = keys.seal(USER, "Kennwort")
    assert unseal(sealed, USER, "Kennwort") == keys
    assert unseal(sealed, USER, "anderes") is None
    assert unseal(sealed, "@wer:ort.de", "Kennwort") is None
    for seed in (keys.master, keys.self_signing):
        assert base64.b64encode(seed).decode() not in sealed


@pytest.mark.parametrize("junk", ["", "{}", "[]", '{"master": 5}', '{"master": "YQ=="}', "null"])
def test_junk_is_a_value_error(junk: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011, any of them
        SigningKeys.from_json(junk)


def test_seeds_stay_out_of_representations() -> None:
    assert "SigningKeys" in repr(SigningKeys.new())
    assert "\\x" not in repr(SigningKeys.new())
