"""The npm package as `npm pack` makes it: its content, in strict TypeScript, and in a page without a bundler."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, async_playwright

from tests.browser.firefox import PREFERENCES
from tests.browser.firefox_for_playwright import launch_options
from tests.browser.sdk.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.browser.sdk.gateway import ScriptedGateway
from tests.browser.sdk.test_readme import STAGE, example, refused_call
from tests.browser.sdk.test_typescript import NODE, SDK, run_node

pytestmark = pytest.mark.browser

NAME: Final = "@webrtc-ims/sdk"
BY_ADDRESS: Final = "/static/dist/sdk.js"
"""Where the README's examples import from."""

STRICT: Final = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noUncheckedIndexedAccess": True,
    "skipLibCheck": False,
    "noEmit": True,
    "target": "ES2022",
    "lib": ["ES2022", "DOM", "DOM.Iterable"],
    "types": [],
}
# What must not compile says so: had the types come to nothing, there would be no error to expect.
CONSUMER: Final = """
import { connect, login, IncomingCall, PhoneError, SipError, type Call, type PhoneErrorKind } from "@webrtc-ims/sdk";

export async function callSomebody(audio: HTMLAudioElement, password: string): Promise<Call> {
  const { credentials } = await login({ name: "alice", password });
  const phone = await connect({ configUrl: "/config.json", ...credentials, reconnect: { giveUpAfterS: 60 } });
  await phone.register();
  phone.on("call", (incoming) => void incoming.answer({ video: incoming.offersVideo }));
  const call = phone.call("+15550100100", { audio: { deviceId: "headset" } });
  audio.srcObject = call.remoteStream;
  call.on("end", ({ cause, error }) => console.log(cause === "hangup", error?.advice));
  call.on("hold", ({ local }) => console.log(local));
  await call.sendDtmf("12#", { gapMs: 80 });
  await call.addVideo();
  await call.useDevice("audio", { deviceId: "other" });
  await call.transfer("carol");
  const loss: number = (await call.stats()).inbound[0]?.packetsLost ?? 0;
  console.log(loss, call.diagnostics().candidates.length, call instanceof IncomingCall);
  // @ts-expect-error there is no such event
  call.on("nonsense", () => undefined);
  // @ts-expect-error a target is a text
  phone.call(17);
  // @ts-expect-error what the SDK does inside is nobody's business
  call.socketLost(new Error());
  return call;
}

export function advice(error: unknown): string {
  if (error instanceof SipError && error.status === 486) return "later";
  const kind: PhoneErrorKind | undefined = error instanceof PhoneError ? error.kind : undefined;
  return kind === "media-permission" ? "allow the microphone" : "";
}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed, as npm would unpack it."""
    folder = tmp_path_factory.mktemp("project")
    environment = {**os.environ, "PATH": f"{NODE.parent}:{os.environ['PATH']}"}
    subprocess.run(
        ["npm", "pack", "--pack-destination", folder],
        cwd=SDK,
        env=environment,
        check=True,
        capture_output=True,
    )
    (archive,) = folder.glob("*.tgz")
    place = folder / "node_modules" / NAME
    place.parent.mkdir(parents=True)
    shutil.unpack_archive(archive, folder)
    (folder / "package").rename(place)
    return folder


@pytest.fixture
def package(project: Path) -> Path:
    """The package's folder there."""
    return project / "node_modules" / NAME


def test_it_has_all_that_is_needed_and_nothing_else(package: Path) -> None:
    assert sorted(path.name for path in package.iterdir()) == [
        "LICENSE",
        "LICENSE-SIP.js",
        "README.md",
        "dist",
        "package.json",
    ]
    described: dict[str, Any] = json.loads((package / "package.json").read_text())
    assert not described.keys() & {"dependencies", "private"}
    for place in (*described["exports"]["."].values(), described["types"]):
        assert (package / place).is_file(), place
    assert (package / "LICENSE").read_text() == (SDK.parents[1] / "LICENSE").read_text()
    sipjs = SDK / "node_modules" / "sip.js" / "LICENSE.md"
    assert (package / "LICENSE-SIP.js").read_text() == sipjs.read_text()
    files = [path for path in (package / "dist").rglob("*") if path.is_file()]
    assert {path.name.partition(".")[2] for path in files} == {"js", "d.ts"}
    assert not [path.name for path in files if path.suffix == ".ts" and "sip.js" in path.read_text()]


@pytest.mark.parametrize(
    ("module", "resolution"), [("ESNext", "bundler"), ("NodeNext", "nodenext")], ids=["bundler", "nodenext"]
)
def test_a_strict_typescript_project_can_use_it(project: Path, module: str, resolution: str) -> None:
    (project / "package.json").write_text('{"type": "module"}')
    (project / "consumer.ts").write_text(CONSUMER)
    options = {**STRICT, "module": module, "moduleResolution": resolution}
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["consumer.ts"]}))
    result = run_node("node_modules/typescript/bin/tsc", "-p", project)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest_asyncio.fixture(params=["Chromium", "Firefox"])
async def page(request: pytest.FixtureRequest, gateway: ScriptedGateway) -> AsyncIterator[Page]:
    """A page with what the examples take for granted, with its content security policy."""
    async with async_playwright() as playwright:
        with launch_options(PREFERENCES) as firefox:
            browser = (
                await playwright.firefox.launch(**firefox)
                if request.param == "Firefox"
                else await playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_ARGUMENTS])
            )
            try:
                page = await browser.new_page()
                await page.goto(gateway.origin)
                await page.evaluate(STAGE)
                yield page
            finally:
                await browser.close()


async def test_a_page_can_import_it_without_a_bundler(
    page: Page, gateway: ScriptedGateway, package: Path
) -> None:
    served = {
        "/package.js": (package / "dist" / "sdk.js").read_text(),
        "/example.js": example("call").replace(BY_ADDRESS, "/package.js"),
    }

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(gateway.origin)
        await route.fulfill(body=served[path], content_type="text/javascript")

    for path in served:
        await page.route(gateway.origin + path, serve)
    running = asyncio.create_task(page.evaluate("() => void import('/example.js')"))
    await refused_call(page, gateway)
    await running
