"""The subset and nothing else; a whole reply as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat import Option, Outcome, Reply, Source
from bot.markup import (
    Break,
    Bullets,
    Code,
    Emphasis,
    Link,
    Paragraph,
    Strong,
    Text,
    allowed,
    escape,
    foreign,
    parse,
    plain,
    plain_text,
    refused,
)


def test_the_tree_of_everything_in_the_subset() -> None:
    tree = parse(
        "**fett** *kursiv* `code` [x](https://a.de/)\\\nneu\n\n1. eins\n   - tief\n2. zwei"
    )
    assert tree == (
        Paragraph(
            (
                Strong((Text("fett"),)),
                Text(" "),
                Emphasis((Text("kursiv"),)),
                Text(" "),
                Code("code"),
                Text(" "),
                Link("https://a.de/", (Text("x"),)),
                Break(),
                Text("neu"),
            )
        ),
        Bullets(
            (
                (Paragraph((Text("eins"),)), Bullets(((Paragraph((Text("tief"),)),),))),
                (Paragraph((Text("zwei"),)),),
            ),
            start=1,
        ),
    )


def test_a_line_end_is_a_space() -> None:
    assert plain_text("eine\nZeile") == "eine Zeile"


@pytest.mark.parametrize(
    "text",
    [
        "# Überschrift",
        "<b>fett</b>",
        "<script>alert(1)</script>",
        "&lt;",
        "~~weg~~",
        "Bürger*innen und Mitarbeiter*innen",
        "snake_case_name",
        "2*3*4",
        "> Zitat",
        "---",
        "[x]: https://a.de",
    ],
)
def test_anything_else_stays_the_text_that_it_is(text: str) -> None:
    assert plain_text(text) == text


REFUSED = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "javascript&#58;alert(1)",
    "&#106;avascript:alert(1)",
    "javascript&colon;alert(1)",
    "vbscript:x",
    "data:text/html,x",
    "data:image/png;base64,x",
    "data:image/svg+xml,x",
    "file:///etc/passwd",
    "blob:https://a.de/1",
    "//evil.example",
    "/relativ",
    "relativ",
    "#anker",
    "?frage",
    "https:",
    "https:///pfad",
    "https://",
    "https://gut.de@evil.example/",
    "https://gut.de:pw@evil.example/",
    "https://[::1",
    "intent://x",
    "ms-word:ofe|u|https://a.de",
    "tel:115",
    "ftp://a.de",
    "ws://a.de",
    "mailto:",
    "mailto:niemand",
    "mailto://a@b.de",
    "matrix:u/a:b",
    "slack://user",
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_tricky_target_is_no_link_and_is_reported(url: str) -> None:
    text = f"[hier](<{url}>)"
    assert not any(isinstance(i, Link) for b in parse(text) for i in b.children)  # type: ignore[union-attr]
    assert refused(text)


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u2066", "\0", "\t", " ", "\\"])
def test_hidden_characters_never_pass(hidden: str) -> None:
    assert not allowed(f"https://a.de/{hidden}x")
    assert hidden not in "".join(_links(parse(f"[hier](<https://a.de/{hidden}x>)")))


@pytest.mark.parametrize(
    "url",
    [
        "https://ozg.sachsen-anhalt.de/",
        "http://a.de",
        "https://a.de/b?c=d&e=f#g",
        "mailto:ozg-mf@sachsen-anhalt.de",
        "https://münchen.de/ü",
        "https://a.de:8443/(x)",
        "HTTPS://A.DE/",
    ],
)
def test_a_harmless_target_is_a_link(url: str) -> None:
    assert not refused(f"[hier](<{url}>)")
    assert "hier (" in plain_text(f"[hier](<{url}>)")


def test_an_image_is_reported_and_not_shown() -> None:
    assert refused("![x](javascript:1)")
    assert foreign("![x](https://a.de/x.png)") == ("ein Bild",)


def test_only_targets_are_reported() -> None:
    assert refused("3. [a](https://a.de) <b>\n4. [c]()") == ("",)


def test_foreign_markdown_is_named() -> None:
    text = "# a\n\n> b\n\n---\n\n|a|b|\n|-|-|\n|1|2|\n\n<div>\n\n```\nx\n```\n\n~~weg~~"
    assert set(foreign(text)) >= {
        "eine Überschrift (#)",
        "ein Zitatblock (>)",
        "eine Trennlinie (---)",
        "eine Tabelle",
        "HTML",
        "ein Codeblock (```)",
        "Durchstreichung (~~)",
    }
    assert foreign("**a** *b* `c`\n\n- d\n- e\n\n1. f") == ()


def test_link_targets_are_written_out_once() -> None:
    assert plain_text("[Seite](https://a.de/)") == "Seite (https://a.de/)"
    assert plain_text("<https://a.de/>") == "https://a.de/"
    assert plain_text("[a@b.de](mailto:a@b.de)") == "a@b.de"


@given(st.text(max_size=400))
def test_any_text_has_a_tree_and_a_plain_form(text: str) -> None:
    parse(text)
    assert isinstance(plain_text(text), str)
    foreign(text)
    refused(text)


def _links(blocks: object) -> list[str]:
    if isinstance(blocks, Link):
        return [blocks.url]
    if isinstance(blocks, tuple):
        return [url for block in blocks for url in _links(block)]
    inner = getattr(blocks, "children", getattr(blocks, "items", ()))
    return _links(inner)


markdown = st.lists(
    st.sampled_from(
        [
            "[a](",
            ")",
            "<",
            ">",
            "https://a.de",
            "javascript:x",
            "**",
            "*",
            "`",
            "\n",
            "- ",
            "![",
            "\\",
            "&#58;",
            " ",
        ]
    ),
    max_size=30,
).map("".join)


@given(markdown)
def test_no_link_escapes_the_rule(text: str) -> None:
    assert all(allowed(url) for url in _links(parse(text)))


words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cf"]), min_size=1)


@given(st.lists(words, min_size=1, max_size=6).map(" ".join))
def test_escaped_text_shows_as_it_was(text: str) -> None:
    assert plain_text(escape(text)) == text


PHASE_2 = Reply(
    Outcome.ANSWER,
    "Prüfen, ob es passt.\n1. **Teilnahme** in der Allianz\n2. Prüfung",
    title="Phase 2 – Prüfung Nachnutzung",
    lead="@Anna, für Sie von Ben:",
    sources=(
        Source(
            "12. OZG-Sprechstunde, „Projektphasen“",
            url="https://a.de/",
            page="S. 12",
            date="2021-08-18",
            version="Leitfaden 1.2",
        ),
    ),
    notices=(
        "⚠ älter als 2 Jahre, bitte Aktualität prüfen",
        "Zuständigkeiten können sich geändert haben.",
    ),
    prompt="Weiter:",
    options=(Option(1, "Phase 3 – Planung", "phase-3-planung"), Option(2, "Rollen", "rollen")),
    closing="Hilfreich? „ja“ / „nein“",
)


def test_a_whole_answer_reads_as_the_design_shows_it() -> None:
    assert plain(PHASE_2) == (
        "@Anna, für Sie von Ben:\n"
        "\n"
        "Phase 2 – Prüfung Nachnutzung\n"
        "Prüfen, ob es passt.\n"
        "1. Teilnahme in der Allianz\n"
        "2. Prüfung\n"
        "\n"
        "Quelle: 12. OZG-Sprechstunde, „Projektphasen“ (S. 12), Leitfaden 1.2 – https://a.de/\n"
        "Stand: 18.08.2021 · ⚠ älter als 2 Jahre, bitte Aktualität prüfen\n"
        "Zuständigkeiten können sich geändert haben.\n"
        "Weiter: 1 Phase 3 – Planung · 2 Rollen\n"
        "Hilfreich? „ja“ / „nein“"
    )


def test_choices_stand_below_each_other() -> None:
    options = (Option(1, "Phase 2"), Option(2, "Phase 3"), Option(0, "nichts davon"))
    reply = Reply(Outcome.CHOICES, "Das passt zu mehreren Themen:", options=options)
    assert (
        plain(reply) == "Das passt zu mehreren Themen:\n\n1. Phase 2\n2. Phase 3\n0. nichts davon"
    )


def test_sources_of_different_dates_carry_their_own() -> None:
    sources = (
        Source("Folien", date="2021-08-18", quote="Wortlaut\nder Folie"),
        Source("Webseite", date="2025-04-02", version="1.2"),
    )
    assert plain(Reply(Outcome.ANSWER, "x", sources=sources)) == (
        "x\n\nQuellen:\n- Folien, Stand 18.08.2021\nBeleg: „Wortlaut der Folie“\n"
        "- Webseite, Version 1.2, Stand 02.04.2025"
    )
