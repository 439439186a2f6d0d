"""What a notebook's run has left, as a page can show it that has no kernel behind it.

Pictures and sounds become files beside the page, so that it is small and a sound is loaded when it
is played; a picture is described by the words that its cell has for it. Sliders stand still where
they stood, with the picture and the sound that belong there: they move in JupyterLab.
"""

import base64
import hashlib
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
DATA = re.compile(r"data:(audio|image)/([a-z]+);base64,([A-Za-z0-9+/=]+)")
MOVED = '<p class="still">In JupyterLab these can be moved.</p>'
ANSWERED = '<p class="still">In JupyterLab these can be answered.</p>'

Widgets = dict[str, dict[str, Any]]


def still(notebook: NotebookNode, files: Path, page: str) -> NotebookNode:
    """The same notebook, its outputs as HTML; `files` are reached from `page` by _static/."""
    keep = Keeper(files, "../" * page.count("/") + "_static/")
    widgets: Widgets = notebook.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if WIDGET in data:
                shown = Shown(widgets, keep)(data[WIDGET]["model_id"])
                hint = MOVED if 'type="range"' in shown else ANSWERED if "<input" in shown else ""
                output.data = {"text/html": f'<div class="widgets">{shown}{hint}</div>'}
            elif "image/png" in data:
                words = html.escape(described(data.get("text/plain", "")))
                source = keep(base64.b64decode(data["image/png"]), "png")
                output.data = {"text/html": f'<img src="{source}" alt="{words}" loading="lazy">'}
            elif "text/html" in data:
                output.data = {"text/html": keep.all_of("".join(data["text/html"]))}
    return notebook


def described(text: str) -> str:
    """What `<Picture: two receivers>` says: two receivers."""
    match = re.fullmatch(r"<\w+:? (.*)>", text.strip(), re.DOTALL)
    return match[1] if match else text.strip()


class Keeper:
    """Makes files of what was carried in the page; the same one only once."""

    def __init__(self, files: Path, way: str) -> None:
        self.files, self.way = files, way
        files.mkdir(parents=True, exist_ok=True)

    def __call__(self, data: bytes, kind: str) -> str:
        """Its address, seen from the page."""
        name = f"{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
        (self.files / name).write_bytes(data)
        return self.way + name

    def all_of(self, text: str) -> str:
        """HTML whose pictures and sounds have become addresses."""
        return DATA.sub(lambda found: self(base64.b64decode(found[3]), found[2]), text)


class Shown:
    """Widgets as HTML: each kind in its way, those of which nothing is known by what they hold."""

    def __init__(self, widgets: Widgets, keep: Keeper) -> None:
        self.widgets, self.keep = widgets, keep

    def __call__(self, name: str) -> str:
        """The HTML of one of them, and of what is in it."""
        model = self.widgets.get(name.removeprefix("IPY_MODEL_"))
        if model is None:
            return ""
        kind = str(model["model_name"]).removesuffix("Model")
        state = dict(model["state"])
        for buffer in model.get("buffers", []):
            state[buffer["path"][0]] = base64.b64decode(buffer["data"])
        if state.get("layout") and self._hidden(state["layout"]):
            return ""
        show: Callable[[dict[str, Any]], str] = getattr(self, f"_{kind.lower()}", self._other)
        return show(state)

    def _hidden(self, layout: str) -> bool:
        its = self.widgets.get(layout.removeprefix("IPY_MODEL_"), {}).get("state", {})
        return its.get("display") == "none" or its.get("visibility") == "hidden"

    def _other(self, state: dict[str, Any]) -> str:
        """A box, a slider, or neither."""
        if "children" in state:
            return f'<div class="box">{"".join(map(self, state["children"]))}</div>'
        if "min" in state and "max" in state:
            return self._slider(state)
        words = state.get("description") or ""
        chosen = state.get("value", "")
        if "_options_labels" in state and state.get("index") is not None:
            chosen = state["_options_labels"][state["index"]]
        told = f"{words}: {chosen}" if words and chosen != "" else f"{words}{chosen}"
        return f"<span>{html.escape(told)}</span>"

    @staticmethod
    def _text(state: dict[str, Any]) -> str:
        words, written = (html.escape(state.get(x) or "") for x in ("description", "value"))
        return f'<label>{words} <input type="text" size="8" disabled value="{written}"></label>'

    @staticmethod
    def _slider(state: dict[str, Any]) -> str:
        words = html.escape(state.get("description", ""))
        value = html.escape(str(state["value"]))
        return (
            f'<label>{words} <input type="range" disabled min="{state["min"]}" '
            f'max="{state["max"]}" step="{state.get("step") or "any"}" value="{value}"> '
            f"<output>{value}</output></label>"
        )

    @staticmethod
    def _checkbox(state: dict[str, Any]) -> str:
        tick = " checked" if state["value"] else ""
        words = html.escape(state["description"])
        return f'<label><input type="checkbox" disabled{tick}> {words}</label>'

    @staticmethod
    def _button(state: dict[str, Any]) -> str:
        return f"<button disabled>{html.escape(state.get('description', ''))}</button>"

    def _image(self, state: dict[str, Any]) -> str:
        source = self.keep(state["value"], state["format"] or "png")
        return f'<img src="{source}" alt="What the values above lead to" loading="lazy">'

    def _audio(self, state: dict[str, Any]) -> str:
        source = self.keep(state["value"], state["format"] or "flac")
        return f'<audio controls preload="metadata" src="{source}"></audio>'

    def _html(self, state: dict[str, Any]) -> str:
        return f"<div>{self.keep.all_of(state['value'])}</div>"
