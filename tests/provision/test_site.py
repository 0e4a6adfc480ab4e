"""One inventory and one playbook make a gateway of an empty Debian: it is called, upgraded and taken back.

`make test-provision` runs this, on Debian 12; GATEWAY_SUITES="bookworm trixie" on both.  In order: each test goes on
with the machine as the one before left it.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab.roles import REPOSITORY
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until
from tests.peers.aiortc_wic import TONE_HZ
from tests.provision.machine import Machine
from tests.provision.network import Network
from tests.provision.operator import Operator, make_certificate
from tests.provision.roots import RELAY, root_of
from tests.provision.site import MOST_EXPOSED, Page, exposure_of, heard_both_ways, make_releases, page
from tests.provision.world import TOLERANCE_HZ

pytestmark = [pytest.mark.provision, pytest.mark.timeout(900)]

SUITES: Final = os.environ.get("GATEWAY_SUITES", "bookworm").split()
ADDRESS: Final = "10.199.7.2"
ORIGIN: Final = f"https://{ADDRESS}"
SERVICES: Final = (
    "kamailio",
    "haproxy",
    "rtpengine-daemon",
    "redis-server",
    "redis-sentinel",
    "webrtc-ims-web",
    "webrtc-ims-media-agent",
    "webrtc-ims-firewall",
)
PROGRAMS: Final = SERVICES[:-1]
"""Those that go on running."""


@dataclass
class Site:
    """One machine, who provisions it, and where the world around it writes."""

    machine: Machine
    operator: Operator
    run_dir: Path
    releases: tuple[Path, Path]

    def call(self) -> dict[str, Any]:
        """Let a page and a phone call each other."""
        said: dict[str, Any] = json.loads(
            self.world("call", str(self.run_dir), f"wss://{ADDRESS}/sip", ORIGIN)
        )
        return said

    def world(self, *arguments: str) -> str:
        """Run a program of the world in the machine's network; return what it said."""
        done = subprocess.run(
            self.machine.in_network(sys.executable, "-m", "tests.provision.world", *arguments),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:] + self.machine.journal()
        return done.stdout

    def page(self, *arguments: str, given: str = "") -> AbstractContextManager[Page]:
        """Let a page do something beside the rest."""
        return page(self.machine.in_network(), *arguments, given=given)

    def handshake_status(self) -> str:
        """Return the status of the answer to a page's handshake."""
        fields = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Origin": ORIGIN,
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": "sip",
        }
        headers = [argument for name, value in fields.items() for argument in ("-H", f"{name}: {value}")]
        options = ("--insecure", "--silent", "--http1.1", "--output", "/dev/null", "--max-time", "2")
        command = ("curl", *options, "--write-out", "%{http_code}", *headers, f"{ORIGIN}/sip")
        return self.machine.network.run(*command, check=False).stdout

    @property
    def current(self) -> str:
        """The release that counts on the machine."""
        return self.machine.run("readlink", "/opt/webrtc-ims-gateway/current").stdout.strip()


@pytest.fixture(scope="module", params=SUITES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An empty machine with a core and a phone in its network."""
    folder = tmp_path_factory.mktemp("operator")
    releases = make_releases(folder)
    root = root_of(request.param)
    with Network("10.199.7.1/24") as network, Machine(root, network, f"{ADDRESS}/24") as machine:
        run_dir = folder / "lab"
        program = (sys.executable, "-m", "tests.provision.world", "run", str(run_dir))
        with subprocess.Popen(
            machine.in_network(*program),
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as world:
            assert world.stdout is not None
            assert world.stdin is not None
            icscf = world.stdout.readline().strip()
            assert icscf.startswith("sip:")
            variables = {
                "ansible_host": ADDRESS,
                "gateway_realm": REALM,
                "common_release_archive": str(releases[0]),
                "common_wheelhouse": str(root.wheelhouse),
                "gateway_icscf_uris": [icscf],
                # The core is on the machine's own loopback here.
                "gateway_core_networks": ["127.0.0.0/8"],
                "rtpengine_ims_address": "127.0.0.1",
                "gateway_rtpengine_nodes": [
                    {"address": "127.0.0.1", "port": 2223, "version": RELAY[request.param]}
                ],
                # Redis by its Sentinel, which is alone here.
                "redis_sentinel_port": 26379,
                "redis_sentinel_quorum": 1,
                "gateway_redis_url": "redis+sentinel://127.0.0.1:26379/gateway",
                "webapp_api_redis_url": "redis+sentinel://127.0.0.1:26379/gateway",
                "kamailio_pages": 200,
                "haproxy_max_connections": 2000,
                "webapp_api_event_listeners": 100,
            }
            operator = Operator(
                network, "lab", folder, certificate_names=f"IP:{ADDRESS}", variables=variables
            )
            yield Site(machine, operator, run_dir, releases)
            world.stdin.close()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(
            {"gateway_icscf_uris": ["sip:127.0.0.1:9"]},
            "No entry point of the home network answers OPTIONS",
            id="silent-core",
        ),
        pytest.param(
            {"kamailio_control_port": 8000},
            "kamailio_control_port and webapp_api_listen_port are both 8000/tcp",
            id="one-port-for-two",
        ),
        pytest.param(
            {"gateway_rtpengine_nodes": [{"address": "127.0.0.1", "port": 2223, "version": "9.5"}]},
            "Versions are not spoken to alike",
            id="another-relay",
        ),
    ],
)
def test_a_fault_leaves_an_empty_machine_as_it_was(site: Site, fault: dict[str, Any], said: str) -> None:
    played = site.operator.play(**fault)
    assert played.returncode != 0
    assert said in re.sub(r"\s+", " ", played.output)
    assert played.changed == 0
    assert not site.machine.has("/etc/webrtc-ims-gateway")


def test_a_check_of_an_empty_machine_tells_what_would_be_and_makes_nothing(site: Site) -> None:
    packages = site.machine.run("dpkg-query", "--show").stdout
    played = site.operator.play("site", "--check", "--diff")
    assert played.returncode == 0, played.output[-4000:]
    assert {"kamailio : Install Kamailio", "common : Make it the one that counts"} <= set(played.changes)
    assert "gateway.toml" in played.output
    assert site.machine.run("dpkg-query", "--show").stdout == packages
    made = ("/etc/webrtc-ims-gateway", "/opt/webrtc-ims-gateway", "/etc/systemd/journald.conf.d")
    assert not [path for path in made if site.machine.has(path)]


def test_one_playbook_makes_a_gateway_that_page_and_phone_call_through(site: Site) -> None:
    played = site.operator.play()
    assert played.returncode == 0, played.output[-4000:]
    said = site.call()
    assert said["registered"] == 200
    assert heard_both_ways(said), said


def test_a_second_run_changes_nothing(site: Site) -> None:
    played = site.operator.play()
    assert (played.returncode, played.changes) == (0, [])


def test_a_restart_that_got_lost_is_made_up_for(site: Site) -> None:
    site.machine.run("touch", "/etc/webrtc-ims-gateway/gateway.toml", "/etc/haproxy/certs/site.pem")
    played = site.operator.play()
    assert played.returncode == 0, played.output[-4000:]
    assert set(played.changes) == {
        "common : Look for files that are newer than kamailio",
        "common : Look for files that are newer than haproxy",
        "kamailio : Restart Kamailio",
        "haproxy : Reload HAProxy",
    }
    played = site.operator.play()
    assert (played.returncode, played.changes) == (0, [])


def test_a_new_certificate_comes_alone(site: Site, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, names=f"IP:{ADDRESS}", name="renewed")
    new: dict[str, Any] = {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}
    played = site.operator.play("certificate", common_release_archive=str(site.releases[1]), **new)
    assert played.returncode == 0, played.output[-4000:]
    assert set(played.changes) == {
        "tls : Write the certificate and its key",
        "common : Look for files that are newer than haproxy",
        "haproxy : Reload HAProxy",
    }
    assert certificate.read_text().strip() in site.machine.run("cat", "/etc/haproxy/certs/site.pem").stdout
    played = site.operator.play("certificate", **new)
    assert (played.returncode, played.changes) == (0, [])
    # The next run has the one of before.
    assert site.operator.play("certificate").returncode == 0


def test_a_check_tells_the_difference_and_makes_none(site: Site) -> None:
    played = site.operator.play("site", "--check", "--diff", haproxy_client_connections=77)
    assert played.returncode == 0, played.output[-4000:]
    assert "sc0_conn_cur gt 77" in played.output
    assert played.changes == ["haproxy : Write HAProxy's configuration", "haproxy : Reload HAProxy"]
    assert "gt 77" not in site.machine.run("cat", "/etc/webrtc-ims-gateway/haproxy.cfg").stdout


@pytest.mark.parametrize("service", [pytest.param(service, id=service) for service in SERVICES])
def test_a_service_has_few_rights(site: Site, service: str) -> None:
    assert exposure_of(site.machine, service) <= MOST_EXPOSED


def test_no_secret_is_in_arguments_or_environments(site: Site) -> None:
    known = [site.operator.environment[name] for name in site.operator.environment if "SECRET" in name]
    command = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; ps -eo args; journalctl --no-pager"
    seen = site.machine.run("sh", "-c", command, check=False).stdout
    assert "kamailio" in seen
    assert not [secret for secret in known if secret in seen]
    readable = site.machine.run("find", "/etc/webrtc-ims-gateway", "-name", "*.toml", "-perm", "/o=r").stdout
    assert not readable


def test_rules_of_others_stay(site: Site) -> None:
    site.machine.run("nft", "add", "table", "inet", "of_others")
    site.machine.run("systemctl", "reload", "webrtc-ims-firewall")
    tables = site.machine.run("nft", "list", "tables").stdout
    assert {"of_others", "webrtc_ims_gateway", "eims_agw"} <= set(tables.split())


def _tables(site: Site) -> set[str]:
    return set(site.machine.run("nft", "list", "tables").stdout.split())


def test_our_rules_outlast_debians_filter(site: Site) -> None:
    site.machine.run("systemctl", "restart", "nftables")
    wait_until(lambda: {"webrtc_ims_gateway", "eims_agw"} <= _tables(site), "our rules are back", 5)
    site.machine.run("systemctl", "stop", "nftables")


def test_rules_that_were_flushed_come_back(site: Site) -> None:
    site.machine.run("systemctl", "start", "webrtc-ims-firewall")
    site.machine.run("nft", "flush", "ruleset")
    played = site.operator.play()
    assert played.returncode == 0, played.output[-4000:]
    assert set(played.changes) == {
        "firewall : Look whether the rules are loaded",
        "firewall : Load the packet filter",
    }
    assert {"webrtc_ims_gateway", "eims_agw"} <= _tables(site)


def test_an_upgrade_and_the_way_back(site: Site) -> None:
    before = site.current
    played = site.operator.play("upgrade", common_release_archive=str(site.releases[1]))
    assert played.returncode == 0, played.output[-4000:]
    assert site.current == "releases/99.0"
    assert heard_both_ways(site.call())
    played = site.operator.play("rollback", rollback_to="0.0-typo")
    assert played.returncode != 0
    assert "There is no release 0.0-typo to go back to" in re.sub(r"\s+", " ", played.output)
    assert (site.current, site.handshake_status(), played.changes) == ("releases/99.0", "101", [])
    played = site.operator.play("rollback")
    assert played.returncode == 0, played.output[-4000:]
    assert site.current == before
    assert heard_both_ways(site.call())


def test_a_drained_node_takes_no_page_and_keeps_its_call_over_the_deadline(site: Site) -> None:
    with site.page("talk", str(site.run_dir), ORIGIN, f"wss://{ADDRESS}/sip") as talking:
        assert talking.says() == "talking"
        played = site.operator.play("drain", kamailio_drain_deadline_s=3)
        assert played.returncode == 0, played.output[-4000:]
        assert "is not empty (calls: 1, pages: 1, requests: 0)" in re.sub(r"\s+", " ", played.output)
        assert site.handshake_status() == "503"
        # Who is there stays there, on the only node.
        assert json.loads(talking.end()[-1])["ended"] == 200
    # The gateway is asked with the secret that it has, whatever this shell has.
    played = site.operator.play("drain", gateway_control_secret="x" * 32)
    assert played.returncode == 0, played.output[-4000:]
    assert "the play goes on" not in played.output
    assert site.handshake_status() == "503"
    assert site.operator.play("drain", drain=False).returncode == 0
    assert site.handshake_status() == "101"
    assert heard_both_ways(site.call())


def test_a_drain_does_not_wait_for_a_gateway_that_is_dead(site: Site) -> None:
    site.machine.run("systemctl", "stop", "kamailio")
    began = time.monotonic()
    played = site.operator.play("drain", kamailio_drain_deadline_s=600)
    assert played.returncode == 0, played.output[-4000:]
    assert "does not answer; the play goes on" in re.sub(r"\s+", " ", played.output)
    assert time.monotonic() - began < 300
    site.machine.run("systemctl", "start", "kamailio")
    assert site.operator.play("drain", drain=False).returncode == 0
    assert heard_both_ways(site.call())


def test_a_backup_has_state_and_configuration(site: Site, tmp_path: Path) -> None:
    played = site.operator.play("backup", backup_dir=str(tmp_path / "backup"))
    assert played.returncode == 0, played.output[-4000:]
    fetched = tmp_path / "backup/gateway"
    assert (fetched / "redis.rdb").read_bytes().startswith(b"REDIS")
    assert "flow_secret" in (fetched / "webrtc-ims-gateway/gateway.toml").read_text()
    assert not (tmp_path / "backup").stat().st_mode & 0o077


def test_a_backup_is_put_back(site: Site, tmp_path: Path) -> None:
    names = ("gwctl", "users", "list")
    command = ("sh", "-c", 'printf "%s\n" "$0" | gwctl users add keeper', secrets.token_hex(16))
    site.machine.run(*command)
    assert site.operator.play("backup", backup_dir=str(tmp_path)).returncode == 0
    site.machine.run("gwctl", "users", "remove", "keeper")
    assert "keeper" not in site.machine.run(*names).stdout
    played = site.operator.play("restore", restore_state=str(tmp_path / "gateway/webrtc-ims-gateway"))
    assert played.returncode != 0
    assert "no state of Redis on this machine" in re.sub(r"\s+", " ", played.output)
    played = site.operator.play("restore", restore_state=str(tmp_path / "gateway/redis.rdb"))
    assert played.returncode == 0, played.output[-4000:]
    assert "keeper" in site.machine.run(*names).stdout
    # It is kept, as anything else.
    site.machine.run("systemctl", "restart", "redis-server")
    wait_until(lambda: "keeper" in site.machine.run(*names, check=False).stdout, "the account is there", 10)
    assert heard_both_ways(site.call())


def test_programs_have_limits_and_their_logs_are_in_a_journal_that_does_not_grow(site: Site) -> None:
    settings = site.machine.run("systemd-analyze", "cat-config", "systemd/journald.conf").stdout
    assert {"SystemMaxUse=1G", "MaxRetentionSec=30day"} <= set(settings.splitlines())
    for service in PROGRAMS:
        shown = site.machine.run("systemctl", "show", service, "-p", "LimitNOFILE,LimitCORE,TasksMax").stdout
        limits = dict(line.split("=", 1) for line in shown.splitlines())
        assert limits["LimitCORE"] == "0", (service, limits)
        assert "infinity" not in limits.values(), (service, limits)
        said = site.machine.run(
            "journalctl", "--no-pager", "-n", "1", "-o", "cat", f"_SYSTEMD_UNIT={service}.service"
        )
        assert said.stdout.strip(), f"{service} says nothing in the journal"
    files = site.machine.run("sh", "-c", "readlink /proc/[0-9]*/fd/* 2>/dev/null", check=False).stdout.split()
    assert "/dev/null" in files
    assert not [path for path in files if path.startswith("/var/log/") and "/journal/" not in path]


def test_without_a_core_pages_call_each_other(site: Site) -> None:
    variables: dict[str, Any] = {
        "gateway_standalone": True,
        "gateway_registration_schemes": ["bearer"],
        # Nobody is there to be asked.
        "gateway_icscf_uris": ["sip:127.0.0.1:9"],
    }
    played = site.operator.play(**variables)
    assert played.returncode == 0, played.output[-4000:]
    accounts = [(name, secrets.token_hex(16), f"sip:{name}@{REALM}") for name in ("alice", "bob")]
    for name, password, _ in accounts:
        add = ("sh", "-c", 'printf "%s\\n" "$0" | gwctl users add "$1"', password, name)
        site.machine.run(*add)
    with site.page("meet", ORIGIN, f"wss://{ADDRESS}/sip", given=json.dumps(accounts)) as meeting:
        (said,) = map(json.loads, meeting.end())
    assert said["ended"] == 200
    assert all(abs(said[f"{who}_heard_hz"] - TONE_HZ) <= TOLERANCE_HZ for who in ("caller", "callee"))
    played = site.operator.play(**variables)
    assert (played.returncode, played.changes) == (0, [])
