"""A real JupyterLab, and Chromium in front of it with a microphone that is a file.

The server takes any free port and a token; it and the browser are ended with the block. What a cell
says is read from the kernel by a second client, so that nothing of the page is taken for granted.
"""

import ast
import asyncio
import json
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelClient
from playwright.async_api import Page, async_playwright

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
EARS = """
window.heard = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode) {
        const ear = new AnalyserNode(this.context, {fftSize: 8192, smoothingTimeConstant: 0});
        connect.call(this, ear);
        window.heard.push(ear);
    }
    return connect.call(this, to, ...rest);
};
window.loudest = () => {  // in Hz and dB, of what is played now
    const ear = window.heard.at(-1);
    const bins = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(bins);
    const at = bins.indexOf(Math.max(...bins));
    return [at * ear.context.sampleRate / ear.fftSize, bins[at]];
};
"""
"""An analyser beside everything that is connected to the speakers: the page's own ear."""


RUN_ALL = "notebook:run-all-cells"
QUIET_PAGE = {"@jupyterlab/apputils-extension:announcements": True, "@jupyter/nbgrader": True}
QUIET_SERVER = dict.fromkeys(
    [
        "jupyter_lsp", "jupyter_server_terminals", "notebook",
        *(f"nbgrader.server_extensions.{name}" for name in
          ("assignment_list", "course_list", "formgrader", "validate_assignment")),
    ],
    False,
)  # fmt: skip
"""What a laboratory has and this test needs not: a third of the time to start."""
READY = """async command => {
    const pause = () => new Promise(resolve => setTimeout(resolve, 50));
    const notebook = () => window.jupyterapp?.shell.currentWidget?.sessionContext;
    while (!notebook() || !jupyterapp.commands.hasCommand(command)) await pause();
    await jupyterapp.shell.currentWidget.revealed;
    await notebook().ready;
    await notebook().session.kernel.info;
}"""
"""The notebook is there, and its kernel has said who it is."""


class Lab:
    """A server, and what was made with it."""

    def __init__(self, folder: Path, address: dict[str, object]) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{address['port']}"
        self.token = address["token"]

    def notebook(self, name: str, *cells: str) -> None:
        """Write one, to be opened."""
        made = [nbformat.v4.new_code_cell(cell) for cell in cells]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(
            nbformat.v4.new_notebook(cells=made, metadata=metadata), self.folder / f"{name}.ipynb"
        )

    async def open(self, page: Page, name: str) -> None:
        """Open a notebook, until its kernel waits for us."""
        await page.goto(f"{self.url}/lab/tree/{name}.ipynb?reset&token={self.token}")
        async with asyncio.timeout(45):
            await page.evaluate(READY, RUN_ALL)

    @staticmethod
    async def command(page: Page, name: str, **arguments: object) -> None:
        """A command of JupyterLab, such as a menu entry has; done when it is done."""
        await page.evaluate(
            "([name, its]) => jupyterapp.commands.execute(name, its)", [name, arguments]
        )

    async def run_all(self, page: Page) -> None:
        """Run every cell, to the end."""
        await self.command(page, RUN_ALL)

    @asynccontextmanager
    async def kernel(self) -> AsyncIterator["Kernel"]:
        """A second client of the only kernel."""
        (file,) = (self.folder / "runtime").glob("kernel-*.json")
        client = AsyncKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=20)
            yield Kernel(client)
        finally:
            client.stop_channels()


class Kernel:
    """Runs code beside the notebook."""

    def __init__(self, client: AsyncKernelClient) -> None:
        self.client = client

    async def value(self, expression: str, *, before: str = "pass") -> Any:
        """What `expression` is, by way of JSON, after `before` was run."""
        code = {"it": f"__import__('json').dumps({expression})"}
        reply = await self.client.execute(before, user_expressions=code, reply=True, timeout=30)
        content = reply["content"]
        assert content["status"] == "ok", content
        found = content["user_expressions"]["it"]
        assert found["status"] == "ok", found
        return json.loads(ast.literal_eval(found["data"]["text/plain"]))

    async def until(self, expression: str, seconds: float = 45) -> Any:
        """Its value as soon as it is true."""
        async with asyncio.timeout(seconds):
            while not (found := await self.value(expression)):
                await asyncio.sleep(0.1)
        return found


@asynccontextmanager
async def jupyter_lab(folder: Path) -> AsyncIterator[Lab]:
    """JupyterLab with `folder` as its home."""
    config = folder / "config" / "labconfig"
    config.mkdir(parents=True)
    (config / "page_config.json").write_text(json.dumps({"disabledExtensions": QUIET_PAGE}))
    quiet_server = {"ServerApp": {"jpserver_extensions": QUIET_SERVER}}
    (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(quiet_server))
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "HOME": "home"}
    environment = os.environ | {name: str(folder / place) for name, place in places.items()}
    environment |= {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "JUPYTER_DATA_DIR": str(folder / "data")}
    (folder / "home").mkdir()
    with (folder / "server.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
            "--ServerApp.port=0", f"--IdentityProvider.token={secrets.token_hex(16)}",
            f"--ServerApp.root_dir={folder}", "--LabApp.extension_manager=readonly",
            "--LabApp.expose_app_in_browser=True",
            cwd=folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield Lab(folder, await _address(folder / "runtime", server))
        finally:
            if server.returncode is None:
                server.terminate()
            try:
                await asyncio.wait_for(server.wait(), 10)
            except TimeoutError:
                server.kill()
                await server.wait()


async def _address(runtime: Path, server: asyncio.subprocess.Process) -> dict[str, object]:
    async with asyncio.timeout(40):
        while not (found := list(runtime.glob("jpserver-*.json"))):
            assert server.returncode is None, "JupyterLab did not start: see server.log"
            await asyncio.sleep(0.05)
    address: dict[str, object] = json.loads(found[0].read_text())
    return address


@asynccontextmanager
async def chromium(microphone: Path | None = None, *arguments: str) -> AsyncIterator[Page]:
    """A page of a headless Chromium that hears `microphone`, a WAV file, over and over."""
    fake = [f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
    async with async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*ARGUMENTS, *fake, *arguments]
        )
        try:
            context = await browser.new_context(
                viewport={"width": 1280, "height": 900}, permissions=["microphone"]
            )
            await context.add_init_script(EARS)
            yield await context.new_page()
        finally:
            await browser.close()
