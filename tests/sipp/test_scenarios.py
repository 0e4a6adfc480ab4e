"""Every scenario, with one gateway for all but those that need other settings; and the runner's own honesty."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from kemi.core.trunk.trunk import Trunk, check_trunks
from kemi.state.routing_document import check_document, document_from_json
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.world import info_to_file
from tests.sipp.__main__ import main, table
from tests.sipp.existing import fixed_plan, gateway_at, operator_settings
from tests.sipp.places import Plan
from tests.sipp.process import Sipp, SippFailed
from tests.sipp.report import Report, ScenarioFailed
from tests.sipp.scenario import FOLDER, Folder, folders
from tests.sipp.site import TIMERS, own_gateway, own_plan, play
from tests.sipp.stage import Gateway, Stage

SHARED = [folder for folder in folders() if folder.scenario.shares_gateway]
ALONE = [folder for folder in folders() if not folder.scenario.shares_gateway]
BY_NAME = {folder.name: folder for folder in folders()}


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Ports and numbers of all scenarios."""
    return own_plan()


@pytest.fixture(scope="module")
def gateway(plan: Plan) -> Iterator[Gateway]:
    """One gateway with the trunks of all scenarios that can share it."""
    with own_gateway(SHARED, plan, short=True) as shared:
        yield shared


@pytest.mark.lab
@pytest.mark.parametrize("folder", SHARED, ids=lambda folder: folder.name)
async def test_a_scenario_goes_as_expected(
    folder: Folder, gateway: Gateway, plan: Plan, tmp_path: Path
) -> None:
    await play(gateway, folder, plan, Report(print), tmp_path, short=True)


@pytest.mark.lab
@pytest.mark.parametrize("folder", ALONE, ids=lambda folder: folder.name)
async def test_a_scenario_with_settings_of_its_own_goes_as_expected(
    folder: Folder, plan: Plan, tmp_path: Path
) -> None:
    with own_gateway([folder], plan, short=True) as alone:
        await play(alone, folder, plan, Report(print), tmp_path, short=True)


@pytest.mark.lab
async def test_what_a_carrier_does_otherwise_fails_the_scenario(
    gateway: Gateway, plan: Plan, tmp_path: Path
) -> None:
    """The carrier of another scenario refuses what should be answered."""
    said: list[str] = []
    wrong = tmp_path / "call_out"
    wrong.mkdir()
    (wrong / "carrier.xml").write_text((FOLDER / "refused" / "busy.xml").read_text())
    good = BY_NAME["call-out"]
    with pytest.raises(ScenarioFailed, match=r"hears 200\nhappened: SIP/2\.0 486 Busy Here"):
        await play(
            gateway, Folder(good.name, wrong, good.scenario, good.play), plan, Report(said.append), tmp_path
        )
    assert said[-1].startswith("FAILED    expected: the page hears 200\n          happened: SIP/2.0 486")


@pytest.mark.lab
async def test_what_a_page_cannot_read_fails_the_scenario(
    gateway: Gateway, plan: Plan, tmp_path: Path
) -> None:
    """Also where nobody waits for anything after it."""

    async def play_on(stage: Stage) -> None:
        page = await stage.page()
        page.trace.fail(ValueError("no SIP"))

    good = BY_NAME["call-out"]
    with pytest.raises(ScenarioFailed, match="no SIP"):
        await play(
            gateway, Folder(good.name, good.path, good.scenario, play_on), plan, Report(print), tmp_path
        )


@pytest.mark.lab
def test_a_lab_without_the_scenarios_trunks_keeps_its_table(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    with Lab(LabOptions(parts=frozenset({Part.REDIS, Part.RTPENGINE, Part.GATEWAY}), phones=())) as lab:
        info_to_file(lab.info, path)
        result = CliRunner().invoke(main, ["call-out", "--lab", str(path)])
        assert (result.exit_code, "SIPP=1" in result.output) == (1, True), result.output
        assert not RoutesStore(connect(lab.info.redis_url)).version()
    result = CliRunner().invoke(main, ["call-out", "--lab", str(path)])
    assert (result.exit_code, "does not run" in result.output) == (1, True), result.output


async def test_a_sipp_that_is_never_called_is_not_content(tmp_path: Path) -> None:
    xml = BY_NAME["call-out"].path / "carrier.xml"
    sipp = await Sipp.start(xml, tmp_path, name="lonely", address=LOOPBACK, port=own_port(), timeout_s=1)
    with pytest.raises(SippFailed, match="lonely heard nothing"):
        await sipp.done()


async def test_a_scenario_file_that_is_none_is_said(tmp_path: Path) -> None:
    bad = tmp_path / "bad.xml"
    bad.write_text("<scenario><recv/></scenario>")
    with pytest.raises(SippFailed, match=r"bad\.xml"):
        await Sipp.start(bad, tmp_path, name="bad", address=LOOPBACK, port=own_port())


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_a_folder_says_what_it_is_and_holds_nothing_that_is_not_used(folder: Folder) -> None:
    readme = " ".join((folder.path / "README.md").read_text().split())
    assert readme.startswith(f"# {folder.name} Expected: {folder.scenario.expects}. ")
    assert readme.endswith(f" .venv/bin/python -m tests.sipp {folder.name}")
    script = (folder.path / "play.py").read_text()
    texts = script + "".join(path.read_text() for path in folder.path.glob("*.xml"))
    for path in folder.path.glob("*.xml"):
        ElementTree.fromstring(path.read_text())
        default = path.name in ("carrier.xml", "caller.xml") and f".{path.stem}(" in script
        assert path.name in texts or re.sub(r"_\d+\.xml$", "_{status}.xml", path.name) in script or default
    known = {"README.md", "play.py", "__init__.py", "__pycache__"}
    for path in folder.path.iterdir():
        assert path.suffix == ".xml" or path.name in known or path.name in texts, path.name


def test_the_table_of_the_readme_is_that_of_the_folders() -> None:
    """Written anew by `python -m tests.sipp --table`."""
    readme = (FOLDER / "README.md").read_text()
    assert table() in readme, dedent("`python -m tests.sipp --table` prints the right one")


def test_an_operator_can_use_the_settings_that_are_printed() -> None:
    """For a gateway that is not a lab's: they are what its own programs take."""
    text = operator_settings(fixed_plan("192.0.2.7"), folders(), "sip:alice@example.com")
    variables, _, document = text.partition("# routing table")
    assert '"load"' not in document
    settings = yaml.safe_load(variables)
    assert TIMERS.items() <= settings.items()
    trunks = msgspec.convert(settings["gateway_trunks"], list[Trunk])
    check_trunks(trunks, {profile["name"] for profile in settings["gateway_media_profiles"]})
    table = document_from_json(document.partition("\n")[2])
    check_document(table)
    assert {name for group in table.trunk_groups.values() for name in group} == {one.name for one in trunks}
    assert len({uri for trunk in trunks for uri in trunk.uris}) == len(trunks)


def test_the_origin_of_a_page_is_that_of_its_address() -> None:
    for url in ("wss://gw.example", "wss://gw.example/sip"):
        found = gateway_at("192.0.2.1", 5060, url, "sip:alice@example.com", "alice", "secret")
        assert found.handshake.origin == "https://gw.example"


SETTINGS = ["--settings", "--address", "192.0.2.7", "--aor", "sip:alice@example.com"]
STRANGER = [
    *("--gateway", "192.0.2.1:5060", "--wss", "wss://gw.example/sip", "--address", "192.0.2.7"),
    *("--aor", "sip:alice@example.com", "--impi", "alice", "--password", "secret"),
]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such"], "known: announcement,"),
        (["call-out", "--gateway", "192.0.2.1:5060"], "--gateway needs --wss"),
        (["--settings"], "--settings needs --address"),
        (["register", *SETTINGS], "register: it starts the gateway again"),
        (["load", *SETTINGS], "load: it looks at the inside"),
        (["session-timer", "--lab", __file__], "session-timer: it needs settings of its own"),
        (["load", *STRANGER], "load: it looks at the inside"),
        (["session-timer", *STRANGER], "session-timer: it needs settings of its own"),
        (["--lab", __file__, *STRANGER], "--lab and --gateway are two gateways"),
        ([*STRANGER, "--gateway", "gw.example"], "gw.example is not HOST:PORT"),
        (["--wss", "wss://gw.example/sip"], "--wss without --gateway"),
        ([*SETTINGS, "--address", "2001:db8::7"], "2001:db8::7 is no IPv4 address"),
        ([*STRANGER, "--address", "nonsense"], "nonsense is no IPv4 address"),
    ],
)
def test_the_command_says_what_it_lacks(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert said in result.output
