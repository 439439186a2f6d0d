"""Looks at notebooks as students see them: in JupyterLab, wide and narrow, light and dark.

    python tests/pages.py notebooks/week06_jitter_buffer.ipynb --into pages

opens each notebook in a JupyterLab of its own (a folder, a token and a port that nobody else has),
runs all cells, and writes the whole page into the folder as PNG pictures, in pieces that can be
read: `week06_jitter_buffer-wide-light-01.png` and so on. What a program can see of an ugly page it
prints, and ends with 1 if there was anything: cells in error, words on the error output, pictures
and text that are cut off, horizontal scroll bars, pictures without a description, text in a colour
too near to what is behind it. Whether a page is pleasant to read, it leaves to who looks at it.
"""

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from jupyterpage import chromium, jupyter_lab
from playwright.async_api import Page

WIDTHS = {"wide": (1400, 1100), "narrow": (700, 1100)}
"""Of the browser's window in CSS pixels, and so of each piece of the page."""
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SETTINGS = Path("config/lab/user-settings/@jupyterlab/notebook-extension")
WHOLE = '{"windowingMode": "none", "scrollPastEnd": false}'
"""Draw all cells at once, and not only those in sight."""

MODEL = "() => jupyterapp.shell.currentWidget.content.model.toJSON()"
ARRANGE = """() => {  // no side bars, and every folded answer open
    jupyterapp.shell.collapseLeft();
    jupyterapp.shell.collapseRight();
    for (const answer of jupyterapp.shell.currentWidget.node.querySelectorAll('details'))
        answer.open = true;
}"""
CALM = """async () => {  // nothing has changed for a second, or fifteen are over
    const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
    const page = jupyterapp.shell.currentWidget.content.node;
    let quiet = 0;
    const watch = new MutationObserver(() => { quiet = 0; });
    watch.observe(page, {childList: true, subtree: true, attributes: true});
    for (let waited = 0; quiet < 10 && waited < 150; waited++) { await pause(100); quiet++; }
    watch.disconnect();
}"""
SCROLL = """to => {  // to a height; true if the end was not reached
    const outer = jupyterapp.shell.currentWidget.content.outerNode;
    outer.scrollTop = to;
    return outer.scrollTop + outer.clientHeight < outer.scrollHeight - 1;
}"""
HEIGHT = "() => jupyterapp.shell.currentWidget.content.outerNode.clientHeight"
LOOK = r"""() => {
    const found = [];
    const name = node => {
        const kind = (node.getAttribute('class') || '').split(/\s+/).filter(Boolean)[0];
        const text = (node.innerText || '').trim().replace(/\s+/g, ' ').slice(0, 40);
        return node.tagName.toLowerCase() + (kind ? '.' + kind : '') + (text ? ` “${text}”` : '');
    };
    const seen = node => {
        if (node.classList.contains('cm-widgetBuffer')) return false;
        const box = node.getBoundingClientRect();
        return box.width > 1 && box.height > 1 && node.checkVisibility({visibilityProperty: true});
    };
    const colour = text => (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const light = rgb => {  // relative luminance, WCAG 2
        const [r, g, b] = rgb.map(x => x / 255)
            .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = node => {
        for (let at = node; at; at = at.parentElement) {
            const style = getComputedStyle(at);
            if (style.backgroundImage !== 'none') return null;  // a picture: not for us to say
            const back = colour(style.backgroundColor);
            if (back.length < 4 || back[3] === 1) return back;
            if (back[3] > 0) return null;
        }
        return [255, 255, 255];
    };
    const around = '.jp-InputPrompt, .jp-OutputPrompt, .jp-Toolbar, .jp-Collapser, button';
    const notebook = jupyterapp.shell.currentWidget.content;
    notebook.widgets.forEach(cell => {
        const says = (what, node) => found.push([cell.model.id, what, node ? name(node) : '']);
        const column = cell.node.getBoundingClientRect();
        for (const node of cell.node.querySelectorAll('img, svg, canvas, iframe, video, audio')) {
            if (node.closest(around)) continue;
            const picture = node.tagName === 'IMG';
            if (picture && node.complete && !node.naturalWidth)
                says('a picture that is not there', node);
            if (picture && node.closest('.jp-MarkdownOutput') && !node.alt.trim())
                says('a picture without alt text', node);
            if (node.tagName === 'AUDIO' && node.error) says('sound that does not play', node);
            if (!seen(node)) continue;
            if (node.getBoundingClientRect().right > column.right + 1)
                says('wider than the column', node);
            if (picture && node.naturalWidth > 300 && node.clientWidth < node.naturalWidth / 3)
                says(`shrunk to ${node.clientWidth} of ${node.naturalWidth} pixels`, node);
        }
        if (cell.node.querySelector('mjx-merror, .MathJax_Error')) says('mathematics in error');
        for (const node of cell.node.querySelectorAll('*')) {
            if (!seen(node) || node.closest(`svg, ${around}`)) continue;
            const style = getComputedStyle(node);
            if (node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0) {
                const over = `${node.scrollWidth} in ${node.clientWidth} pixels`;
                if (node.closest('.cm-editor') && innerWidth < 1000) continue;  // code may scroll
                if (['auto', 'scroll'].includes(style.overflowX))
                    says(`a horizontal scroll bar, ${over}`, node);
                else if (['hidden', 'clip'].includes(style.overflowX)
                         && !node.closest('select, input, .widget-readout'))
                    says(`cut off, ${over}`, node);
            }
            const own = [...node.childNodes].some(x => x.nodeType === 3 && x.data.trim());
            if (!own || node.closest('.cm-editor, [class^=ansi]')) continue;
            const back = behind(node), front = colour(style.color);
            if (!back || (front.length === 4 && front[3] < 1)) continue;
            const [a, b] = [light(back.slice(0, 3)), light(front.slice(0, 3))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 3) says(`text that is hard to see, contrast ${ratio.toFixed(1)}`, node);
        }
    });
    return found;
}"""
"""Cell, what is wrong, and with which element: as a browser measures it."""

Finding = tuple[str, str, str]


async def look(
    path: Path, into: Path, widths: list[str], themes: list[str]
) -> dict[Finding, set[str]]:
    """Open, run and picture one notebook; each finding with the views that it was found in."""
    findings: dict[Finding, set[str]] = {}
    page_errors: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pages-") as folder:
        home = Path(folder)
        (home / SETTINGS).mkdir(parents=True)
        (home / SETTINGS / "tracker.jupyterlab-settings").write_text(WHOLE)
        shutil.copy(path, home)
        async with jupyter_lab(home) as lab, chromium() as page:
            page.set_default_timeout(0)
            page.on("pageerror", lambda error: page_errors.append(str(error)))
            await lab.open(page, path.stem)
            await lab.run_all(page)
            await page.evaluate(CALM)
            for finding in said(await page.evaluate(MODEL)):
                findings[finding] = set()
            for theme in themes:
                await lab.command(page, "apputils:change-theme", theme=THEMES[theme])
                for width in widths:
                    await arrange(page, *WIDTHS[width])
                    for finding in await page.evaluate(LOOK):
                        findings.setdefault(tuple(finding), set()).add(f"{width} {theme}")
                    await picture(page, into / f"{path.stem}-{width}-{theme}")
    findings |= {("the page", error, ""): set() for error in page_errors}
    return findings


def said(notebook: dict[str, Any]) -> list[Finding]:
    """Errors, and words on the error output, as the notebook itself holds them after the run."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                found.append((cell["id"], f"{output['ename']}: {output['evalue']}", ""))
            elif output.get("name") == "stderr":
                found.append((cell["id"], "on the error output", "".join(output["text"])[:300]))
        if cell["cell_type"] == "code" and cell["source"] and cell["execution_count"] is None:
            found.append((cell["id"], "was not run", ""))
        if cell["cell_type"] == "markdown" and re.search(r"!\[\s*\]\(", "".join(cell["source"])):
            found.append((cell["id"], "a picture without alt text", ""))
    return found


async def arrange(page: Page, width: int, height: int) -> None:
    """A window of that size, with nothing in it but the notebook, which has come to rest."""
    await page.set_viewport_size({"width": width, "height": height})
    await page.evaluate(ARRANGE)
    await page.mouse.move(0, 0)
    await page.evaluate(CALM)


async def picture(page: Page, name: Path) -> None:
    """The page from top to bottom, as name-01.png and so on; each begins where the last ended."""
    step = await page.evaluate(HEIGHT)
    panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer")
    more, number = True, 0
    while more:
        more = await page.evaluate(SCROLL, number * step)
        await page.wait_for_timeout(150)  # for what is drawn when it comes into sight
        number += 1
        await panel.screenshot(
            path=f"{name}-{number:02}.png", animations="disabled", timeout=60_000
        )


def main() -> int:
    """The command."""
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary, epilog=rest.split("\n\n")[-1])
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--into", type=Path, default=Path("pages"), help="folder of the pictures")
    parser.add_argument("--width", action="append", choices=WIDTHS, help="only this one")
    parser.add_argument("--theme", action="append", choices=THEMES, help="only this one")
    chosen = parser.parse_args()
    chosen.into.mkdir(parents=True, exist_ok=True)
    widths, themes = chosen.width or list(WIDTHS), chosen.theme or list(THEMES)
    many = 0
    for path in chosen.notebooks:
        for old in chosen.into.glob(f"{path.stem}-*-*-[0-9][0-9].png"):
            old.unlink()
        findings = asyncio.run(look(path, chosen.into, widths, themes))
        made = len(list(chosen.into.glob(f"{path.stem}-*-*-[0-9][0-9].png")))
        print(f"{path.name}: {made} pictures in {chosen.into}, {len(findings)} findings")
        for (cell, what, where), views in findings.items():
            views_told = f"  [{', '.join(sorted(views))}]" if views else ""
            print(f"  {cell}: {what}{': ' * bool(where)}{where}{views_told}")
        many += len(findings)
    return 1 if many else 0


if __name__ == "__main__":
    sys.exit(main())
