"""Slack's limits as its documentation states them, kept apart from the adapter's own numbers.

`message_problem` and `view_problem` answer with Slack's error name and the reasons, or None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
TEXT = 40_000
TOTAL = 12_000  # the live service refuses 12,001 characters
BLOCKS_TOTAL = 13_200

_IN_MESSAGES = {
    "actions", "context", "context_actions", "divider", "header", "image", "markdown",
    "rich_text", "section",
}  # fmt: skip
_IN_VIEWS = {"actions", "context", "divider", "header", "image", "input", "rich_text", "section"}
_PING = re.compile(r"<(!channel|!here|!everyone|!subteam\^[A-Z0-9]+|@[UW][A-Z0-9]+)(?:\|[^>]*)?>")


def message_problem(text: str, blocks: Sequence[Json]) -> tuple[str, list[str]] | None:
    """Slack's error and why, for a message; `text` and `blocks` as given to the Web API."""
    if not text and not blocks:
        return "no_text", ["neither text nor blocks"]
    if len(text) > TEXT:
        return "msg_too_long", [f"text has {len(text)} characters"]
    if not blocks and len(text) > TOTAL:
        return "msg_too_long", [f"text has {len(text)} characters"]
    shown = sum(len(t) for t in texts(blocks))
    if shown > BLOCKS_TOTAL:
        return "msg_blocks_too_long", [f"blocks hold {shown} characters"]
    if shown > TOTAL:
        return "msg_too_long", [f"blocks hold {shown} characters"]
    wrong = list(_blocks(blocks, MESSAGE_BLOCKS, _IN_MESSAGES))
    return ("invalid_blocks", wrong) if wrong else None


def view_problem(view: Json) -> tuple[str, list[str]] | None:
    """Slack's error and why, for a modal or a Home tab."""
    wrong = list(_blocks(view.get("blocks", []), VIEW_BLOCKS, _IN_VIEWS))
    if view.get("type") not in {"modal", "home"}:
        wrong.append(f"type is {view.get('type')!r}")
    if view.get("type") == "modal":
        wrong += _plain(view.get("title"), 24, "title")
        for name in ("submit", "close"):
            if name in view:
                wrong += _plain(view[name], 24, name)
        if any(b.get("type") == "input" for b in view.get("blocks", [])) and "submit" not in view:
            wrong.append("a modal with inputs needs a submit button")
    if len(view.get("private_metadata", "")) > 3000:
        wrong.append("private_metadata is longer than 3000")
    if len(view.get("callback_id", "")) > 255:
        wrong.append("callback_id is longer than 255")
    return ("invalid_arguments", wrong) if wrong else None


def pings(text: str, blocks: Sequence[Json]) -> set[str]:
    """Who would be notified: `!channel`, `!here`, `!everyone`, `!subteam^S…`, `@U…`."""
    found = set(_PING.findall(text))
    for node in _walk(blocks):
        if node.get("type") == "mrkdwn":
            found |= set(_PING.findall(node.get("text", "")))
        elif node.get("type") == "user":
            found.add(f"@{node['user_id']}")
        elif node.get("type") == "broadcast":
            found.add(f"!{node['range']}")
        elif node.get("type") == "usergroup":
            found.add(f"!subteam^{node['usergroup_id']}")
    return found


def texts(blocks: Sequence[Json]) -> Iterator[str]:
    """Every text that a reader sees in the blocks, buttons included."""
    for node in _walk(blocks):
        if isinstance(node.get("text"), str):
            yield node["text"]


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _walk(value)


def _blocks(blocks: Sequence[Json], most: int, known: set[str]) -> Iterator[str]:
    if len(blocks) > most:
        yield f"{len(blocks)} blocks, at most {most}"
    ids = [b["block_id"] for b in blocks if "block_id" in b]
    if len(ids) != len(set(ids)):
        yield "block_id is not unique"
    for block in blocks:
        kind = block.get("type")
        if kind not in known:
            yield f"a block of type {kind!r} is not known here"
            continue
        if len(block.get("block_id", "")) > 255:
            yield "block_id is longer than 255"
        yield from _BLOCK[kind](block)


def _section(block: Json) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield "a section needs text or fields"
    if "text" in block:
        yield from _text(block["text"], 3000, "section.text")
    fields = block.get("fields", [])
    if len(fields) > 10:
        yield "a section has at most 10 fields"
    for one in fields:
        yield from _text(one, 2000, "section.fields")
    if "accessory" in block:
        yield from _element(block["accessory"])


def _header(block: Json) -> Iterator[str]:
    yield from _plain(block.get("text"), 150, "header")


def _context(block: Json) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 1 <= len(elements) <= 10:
        yield "context has 1 to 10 elements"
    for one in elements:
        yield from _text(one, 2000, "context")


def _actions(block: Json) -> Iterator[str]:
    yield from _elements(block, 25)


def _context_actions(block: Json) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 1 <= len(elements) <= 5:
        yield "context_actions has 1 to 5 elements"
    for one in elements:
        if one.get("type") not in {"feedback_buttons", "icon_button"}:
            yield f"{one.get('type')} is not allowed in context_actions"
    yield from _unique(elements)
    for one in elements:
        yield from _element(one)


def _elements(block: Json, most: int) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 1 <= len(elements) <= most:
        yield f"{block['type']} has 1 to {most} elements"
    yield from _unique(elements)
    for one in elements:
        yield from _element(one)


def _unique(elements: Iterable[Json]) -> Iterator[str]:
    ids = [e["action_id"] for e in elements if "action_id" in e]
    if len(ids) != len(set(ids)):
        yield "action_id is not unique"


def _input(block: Json) -> Iterator[str]:
    yield from _plain(block.get("label"), 2000, "input.label")
    yield from _element(block.get("element", {}))


def _markdown(block: Json) -> Iterator[str]:
    if len(block.get("text", "")) > 12_000:
        yield "markdown is longer than 12000"


def _image(block: Json) -> Iterator[str]:
    if not block.get("alt_text"):
        yield "an image needs alt_text"


def _rich_text(block: Json) -> Iterator[str]:
    if not block.get("elements"):
        yield "rich_text needs elements"
    for node in _walk(block.get("elements")):
        if node.get("type") == "text" and not node.get("text"):
            yield "rich_text has an empty text"
        if node.get("type") == "link" and not _is_web(node.get("url", "")):
            yield "rich_text has a link that is no address"


_BLOCK = {
    "section": _section, "header": _header, "context": _context, "actions": _actions,
    "context_actions": _context_actions, "input": _input, "markdown": _markdown, "image": _image,
    "rich_text": _rich_text, "divider": lambda block: iter(()),
}  # fmt: skip


def _element(element: Json) -> Iterator[str]:
    if len(element.get("action_id", "")) > 255:
        yield "action_id is longer than 255"
    match element.get("type"):
        case "button":
            yield from _plain(element.get("text"), 75, "button.text")
            if len(element.get("value", "")) > 2000:
                yield "button.value is longer than 2000"
            if "url" in element and not (_is_web(element["url"]) and len(element["url"]) <= 3000):
                yield "button.url is no address of at most 3000"
            if len(element.get("accessibility_label", "")) > 75:
                yield "accessibility_label is longer than 75"
            if element.get("style", "primary") not in {"primary", "danger"}:
                yield "button.style is not known"
        case "feedback_buttons":
            for name in ("positive_button", "negative_button"):
                button = element.get(name, {})
                yield from _plain(button.get("text"), 75, name)
                if not 1 <= len(button.get("value", "")) <= 2000:
                    yield f"{name}.value has 1 to 2000 characters"
                if len(button.get("accessibility_label", "")) > 75:
                    yield "accessibility_label is longer than 75"
        case "radio_buttons" | "static_select" | "overflow":
            most = {"radio_buttons": 10, "static_select": 100, "overflow": 5}[element["type"]]
            options = element.get("options", [])
            if not 1 <= len(options) <= most:
                yield f"{element['type']} has 1 to {most} options"
            for option in options:
                yield from _text(option.get("text"), 75, "option.text")
                if not 1 <= len(option.get("value", "")) <= 150:
                    yield "option.value has 1 to 150 characters"
        case "plain_text_input":
            if element.get("max_length", 1) > 3000:
                yield "plain_text_input.max_length is more than 3000"
            if "placeholder" in element:
                yield from _plain(element["placeholder"], 150, "placeholder")
        case other:
            yield f"an element of type {other!r} is not known"


def _text(node: Any, most: int, where: str) -> Iterator[str]:
    if not isinstance(node, Mapping) or node.get("type") not in {"plain_text", "mrkdwn"}:
        yield f"{where} is no text object"
    elif not 1 <= len(node.get("text", "")) <= most:
        yield f"{where} has {len(node.get('text', ''))} characters, 1 to {most} are allowed"


def _plain(node: Any, most: int, where: str) -> list[str]:
    if not isinstance(node, Mapping) or node.get("type") != "plain_text":
        return [f"{where} must be plain_text"]
    return list(_text(node, most, where))


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://", "mailto:"))
