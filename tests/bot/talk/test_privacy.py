"""What is personal is masked, what is public or a plain number stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.talk.privacy import mask


@pytest.mark.parametrize(
    ("text", "masked", "kind"),
    [
        ("Mail an eva.muster@stadt-x.de bitte", "Mail an [E-Mail-Adresse] bitte", "mail"),
        ("Rückruf 0391 5671030", "Rückruf [Telefonnummer]", "phone"),
        ("Tel. +49 (0)391 567-1030.", "Tel. [Telefonnummer].", "phone"),
        ("0151/23456789", "[Telefonnummer]", "phone"),
        ("Aktenzeichen 32.1-4711/26 offen", "Aktenzeichen [Aktenzeichen] offen", "file"),
        ("Az.: 12 O 345/21", "Az.: [Aktenzeichen]", "file"),
        ("wegen 32.1-4711/26 bitte", "wegen [Aktenzeichen] bitte", "file"),
        ("Az 61.2/2026-15", "Az [Aktenzeichen]", "file"),
        ("Herr Müller fragt", "Herr [Name] fragt", "name"),
        ("an Frau Dr. Anna Schmidt-Lang.", "an Frau Dr. [Name].", "name"),
    ],
)
def test_masks(text: str, masked: str, kind: str) -> None:
    found = mask(text)
    assert found.text == masked
    assert found.kinds == (kind,)


@pytest.mark.parametrize(
    "text",
    [
        "Was bedeuten 7.416 LeiKa-Leistungen und 582 OZG-Leistungen?",
        "Stand 18.08.2021, Leitfaden 1.2, S. 12",
        "Phase 2 und Phase 3 am 24.11.2026 um 10:30",
        "§ 16 Abs. 2 OZG",
        "39108 Magdeburg",
        "Was macht die Frau am Schalter?",
        "20 von 467 Leistungen, 2021 bis 2026",
        "Az. unbekannt",
    ],
)
def test_leaves_what_is_not_personal(text: str) -> None:
    assert mask(text).text == text
    assert mask(text).kinds == ()


def test_public_contacts_stay() -> None:
    text = "Gilt amt@land.de und 0391 567 1030 noch?"
    assert mask(text, ["amt@land.de", "+49 391 567 1030"]).text == text


@given(st.text(max_size=300))
def test_is_idempotent(text: str) -> None:
    once = mask(text)
    assert mask(once.text) == once
