"""The sliders of the labs, dragged with a mouse in a real JupyterLab: what moves is the kernel's.

One server, one page, one kernel: starting them is what takes the time.
"""

import asyncio

import pytest

import labkit

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from jupyterpage import Kernel, chromium, jupyter_lab
from playwright.async_api import Locator, Page

pytestmark = [pytest.mark.live, pytest.mark.peer]

LABS = sorted(name for name in dir(labkit) if name.endswith("Lab"))
HELPERS = """
import hashlib
import ipywidgets as widgets
import labkit

def within(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from within(child)

def shown(lab):
    "What is seen and heard, as a few letters."
    media = [w.value for w in within(lab) if isinstance(w, (widgets.Image, widgets.Audio))]
    return hashlib.sha1(b"".join(media)).hexdigest()

def set_to(lab):
    return [w.value for w in within(lab) if hasattr(w, "continuous_update")]
"""


def test_there_are_sliders():
    assert len(LABS) >= 10


@pytest.mark.timeout(240)
def test_each_slider_that_is_dragged_draws_another_picture(tmp_path, need):
    need("chromium")

    async def all_of_them():
        async with jupyter_lab(tmp_path) as lab, chromium() as page:
            troubles = []
            page.on("pageerror", lambda error: troubles.append(str(error)))
            # So tall that every cell is in sight: the notebook draws no others.
            await page.set_viewport_size({"width": 1280, "height": 12_000})
            cells = [f"{name} = labkit.{name}()\n{name}" for name in LABS]
            lab.notebook("sliders", HELPERS, *cells)
            await lab.open(page, "sliders")
            await lab.run_all(page)
            async with lab.kernel() as kernel:
                for number, name in enumerate(LABS, 1):
                    await drag(page, kernel, name, page.locator(".jp-CodeCell").nth(number))
            assert troubles == []

    asyncio.run(all_of_them())


async def drag(page: Page, kernel: Kernel, name: str, cell: Locator) -> None:
    """The first slider to its other half; the picture, here and in the page, is another one."""
    before, values = await kernel.value(f"[shown({name}), set_to({name})]")
    picture = await cell.locator("img").first.get_attribute("src")
    handle = cell.locator(".noUi-handle").first
    track = await cell.locator(".noUi-target").first.bounding_box()
    begin = await handle.bounding_box()
    assert track is not None
    assert begin is not None
    x, y = (begin["x"] + begin["width"] / 2, begin["y"] + begin["height"] / 2)
    to_the_left = x > track["x"] + track["width"] / 2
    end = track["x"] + track["width"] * (0.2 if to_the_left else 0.8)
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(end, y, steps=4)
    assert await kernel.value(f"shown({name})") == before, f"{name} counts while it is dragged"
    await page.mouse.up()
    await kernel.until(f"shown({name}) != {before!r}")
    assert await kernel.value(f"set_to({name})") != values, name
    async with asyncio.timeout(10):
        while await cell.locator("img").first.get_attribute("src") == picture:
            await asyncio.sleep(0.05)
