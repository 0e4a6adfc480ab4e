"""The inventory `example`, as it is: seven machines become a site, which is called through both of its gateways.

`make test-provision` runs this, on the Debian that GATEWAY_SUITES names.  In order: each test goes on with the machines
as the one before left them.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.lab.roles import REPOSITORY
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until
from tests.provision.machine import Machine
from tests.provision.network import Network
from tests.provision.operator import ANSIBLE, Operator
from tests.provision.roots import RELAY, root_of
from tests.provision.site import (
    MOST_EXPOSED,
    Page,
    exposure_of,
    heard_both_ways,
    make_releases,
    page,
)

pytestmark = [pytest.mark.provision, pytest.mark.timeout(1800)]

SUITES: Final = os.environ.get("GATEWAY_SUITES", "bookworm").split()
NAME: Final = "gateway.example.com"
ORIGIN: Final = f"https://{NAME}"
# Pages have their place in 192.0.2.0/24, the core has its in the machines' own network, in a part without machines.
PAGES: Final = "192.0.2.1/24"
CORE: Final = "198.51.100.101"
GATEWAYS: Final = {"sig1": "192.0.2.11", "sig2": "192.0.2.12"}
BOOTED_AT_A_TIME: Final = 3
FAIL_OVER_S: Final = 5.0
ROUTES: Final = "/var/lib/webrtc-ims-gateway/routing"
TABLE: Final = {"routes": [{"id": "people", "number": f"sip:*@{REALM}", "to": "core"}]}
# More than the time between two looks of a play that waits for calls.
LOOKS_S: Final = 6.0
SERVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "signalling": ("kamailio", "haproxy", "webrtc-ims-media-agent"),
    "media": ("rtpengine-daemon",),
    "web": ("webrtc-ims-web",),
    "redis": ("redis-server", "redis-sentinel"),
}


@dataclass
class Site:
    """Machines by their names in the inventory, who provisions them, and where the world around them writes."""

    machines: Mapping[str, Machine]
    operator: Operator
    run_dir: Path
    releases: tuple[Path, Path]

    def run(self, *arguments: str, given: str = "", timeout_s: float = 120) -> str:
        """Run a command of this system in the network of core and pages; return what it said."""
        done = subprocess.run(
            self.operator.network.inside(*arguments),
            cwd=REPOSITORY,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        journals = "".join(self.machines[name].journal() for name in GATEWAYS) if done.returncode else ""
        assert done.returncode == 0, done.stderr[-3000:] + journals
        return done.stdout

    def call(self, gateway: str) -> dict[str, Any]:
        """Let a page that is at this gateway and a phone call each other."""
        url = f"wss://{GATEWAYS[gateway]}/sip"
        program = (sys.executable, "-m", "tests.provision.world", "call", str(self.run_dir), url, ORIGIN)
        said: dict[str, Any] = json.loads(self.run(*program))
        return said

    def page(self, *arguments: str) -> AbstractContextManager[Page]:
        """Let a page do something beside the rest."""
        return page(self.operator.network.inside(), *arguments)

    def relays(self, gateway: str) -> dict[str, dict[str, Any]]:
        """Return what a gateway knows of the relay nodes, by their addresses."""
        command = "cd /opt/webrtc-ims-gateway/current && exec .venv/bin/python -B -m rtpengine nodes --json"
        said = json.loads(self.machines[gateway].run("sh", "-c", command).stdout)
        return {node["node"]: node for node in said["nodes"]}

    def current(self, name: str) -> str:
        """The release that counts on a machine."""
        return self.machines[name].run("readlink", "/opt/webrtc-ims-gateway/current").stdout.strip()

    def answers(self, kind: str, host: str, port: int) -> bool:
        """Tell whether somebody answers there to one who is no machine of the site."""
        said = self.run(sys.executable, "-m", "tests.provision.knock", kind, host, str(port))
        return said.strip() == "answered"

    def status(self, gateway: str, path: str, jar: Path, document: object = None) -> str:
        """Ask the web service by this gateway's front, with a browser's cookies; return the status."""
        options = ["--insecure", "--silent", "--output", "/dev/null", "--max-time", "10"]
        options += ["--cookie", str(jar), "--cookie-jar", str(jar), "--write-out", "%{http_code}"]
        options += ["--resolve", f"{NAME}:443:{GATEWAYS[gateway]}"]
        options += ["--header", f"Origin: {ORIGIN}", "--header", "X-CSRF-Protection: 1"]
        if document is not None:
            options += ["--header", "Content-Type: application/json", "--data", "@-"]
        return self.run("curl", *options, f"{ORIGIN}{path}", given=json.dumps(document))


def _inventory() -> dict[str, dict[str, Any]]:
    """Return what the inventory says of each machine, with its groups."""
    groups = yaml.safe_load((ANSIBLE / "inventories/example/hosts.yml").read_text())["all"]["children"]
    hosts: dict[str, dict[str, Any]] = {}
    for group, members in groups.items():
        for name, variables in members["hosts"].items():
            host = hosts.setdefault(name, {"groups": []})
            host.update(variables or {})
            host["groups"].append(group)
    return hosts


INVENTORY: Final = _inventory()


@pytest.fixture(scope="module", params=SUITES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Empty machines, and a core with a phone in their network."""
    folder = tmp_path_factory.mktemp("operator")
    releases = make_releases(folder)
    root = root_of(request.param)
    with ExitStack() as stack:
        network = stack.enter_context(Network(PAGES, f"{CORE}/24"))
        empty = {
            name: Machine(
                root,
                network,
                *(f"{host[kind]}/24" for kind in ("ansible_host", "public_address") if kind in host),
            )
            for name, host in INVENTORY.items()
        }
        with ThreadPoolExecutor(BOOTED_AT_A_TIME) as pool:
            list(pool.map(stack.enter_context, empty.values()))
        run_dir = folder / "lab"
        program = (sys.executable, "-m", "tests.provision.world", "run", str(run_dir), "--address", CORE)
        world = stack.enter_context(
            subprocess.Popen(
                network.inside(*program),
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert world.stdout is not None
        assert world.stdin is not None
        icscf = world.stdout.readline().strip()
        assert icscf.startswith(f"sip:{CORE}:")
        variables = {
            "gateway_realm": REALM,
            "gateway_icscf_uris": [icscf],
            "common_release_archive": str(releases[0]),
            "common_wheelhouse": str(root.wheelhouse),
            "gateway_rtpengine_nodes": [
                {"address": host["ansible_host"], "port": 2223, "version": RELAY[request.param]}
                for host in INVENTORY.values()
                if "media" in host["groups"]
            ],
            # What a namespace without CAP_SYS_RESOURCE can hold.
            "kamailio_pages": 200,
            "haproxy_max_connections": 2000,
            "webapp_api_event_listeners": 100,
        }
        operator = Operator(network, "example", folder, certificate_names=f"DNS:{NAME}", variables=variables)
        yield Site(empty, operator, run_dir, releases)
        world.stdin.close()


def test_one_playbook_makes_a_site_whose_gateways_are_both_called_through(site: Site) -> None:
    played = site.operator.play()
    assert played.returncode == 0, played.output[-6000:]
    for gateway in GATEWAYS:
        said = site.call(gateway)
        assert said["registered"] == 200
        assert heard_both_ways(said), (gateway, said)


@pytest.mark.parametrize("name", sorted(INVENTORY))
def test_the_services_of_a_machine_have_few_rights(site: Site, name: str) -> None:
    services = [service for group in INVENTORY[name]["groups"] for service in SERVICES[group]]
    exposures = {service: exposure_of(site.machines[name], service) for service in services}
    assert services
    assert max(exposures.values()) <= MOST_EXPOSED, exposures


@pytest.mark.parametrize("name", ["sig1", "web1"])
def test_settings_are_checked_where_they_are(site: Site, name: str) -> None:
    assert site.machines[name].run("gwctl", "check").returncode == 0


def test_strangers_reach_what_is_for_them_and_no_more(site: Site) -> None:
    assert site.answers("stun", GATEWAYS["sig1"], 5060)
    assert site.answers("tcp", GATEWAYS["sig1"], 443)
    # From the core's network, but not one of the machines.
    sig1, media1, web1 = (INVENTORY[name]["ansible_host"] for name in ("sig1", "media1", "web1"))
    assert site.answers("sip", sig1, 5060)
    open_to_them = [
        (kind, host, port)
        for kind, host, port in (
            ("sip", GATEWAYS["sig1"], 5060),
            ("tcp", sig1, 8080),
            ("tcp", sig1, 8081),
            ("ng", media1, 2223),
            ("tcp", web1, 8000),
            ("tcp", web1, 6379),
            ("tcp", web1, 26379),
        )
        if site.answers(kind, host, port)
    ]
    assert not open_to_them


def test_a_login_counts_at_all_fronts_and_outlives_a_web_node(site: Site, tmp_path: Path) -> None:
    password, jar = secrets.token_hex(16), tmp_path / "jar"
    command = ("sh", "-c", 'printf "%s\\n" "$0" | gwctl users add alice', password)
    site.machines["web1"].run(*command)
    login = {"name": "alice", "password": password}
    assert site.status("sig1", "/api/session", jar, login) == "201"
    assert site.status("sig2", "/api/tokens", jar, {}) == "200"
    site.machines["web2"].run("systemctl", "stop", "webrtc-ims-web")
    assert [site.status(gateway, "/api/tokens", jar, {}) for gateway in GATEWAYS] == ["200", "200"]
    site.machines["web2"].run("systemctl", "start", "webrtc-ims-web")


def test_the_death_of_the_redis_master_is_survived_and_needs_no_play(site: Site, tmp_path: Path) -> None:
    first = site.machines["web1"]
    first.run("systemctl", "stop", "redis-server")
    began = time.monotonic()
    jar = tmp_path / "jar"
    wait_until(
        lambda: site.status("sig1", "/api/session", jar, {"name": "bob", "password": "x"}) == "401",
        "logins are judged again",
        20,
    )
    took_s = time.monotonic() - began
    assert heard_both_ways(site.call("sig2"))
    assert took_s < FAIL_OVER_S
    first.run("systemctl", "start", "redis-server")


def test_a_second_run_changes_nothing(site: Site) -> None:
    """Nor does it take back what the Sentinels have decided."""
    played = site.operator.play()
    assert (played.returncode, played.changes) == (0, [])
    assert heard_both_ways(site.call("sig1"))


def test_a_first_machine_that_is_new_follows_the_master_of_the_moment(site: Site, tmp_path: Path) -> None:
    password = secrets.token_hex(16)
    login = {"name": "carol", "password": password}
    site.machines["web2"].run("sh", "-c", 'printf "%s\\n" "$0" | gwctl users add carol', password)
    first = site.machines["web1"]
    first.run("systemctl", "stop", "redis-server", "redis-sentinel")
    first.run("sh", "-c", "rm -rf /var/lib/redis/*")
    played = site.operator.play()
    assert played.returncode == 0, played.output[-6000:]
    assert "Restart Redis" not in played.changes  # of nobody: only what was stopped is started
    for name in ("web1", "web2", "state1"):
        current = site.operator.environment["GATEWAY_REDIS_PASSWORD"]
        wait_until(partial(_sees_the_master, site, name, current), "the Sentinel sees the master", 20)
    assert site.status("sig1", "/api/session", tmp_path / "jar", login) == "201"


def test_a_check_tells_the_difference_and_makes_none(site: Site) -> None:
    limit = ("--limit", "signalling")
    played = site.operator.play("site", "--check", "--diff", *limit, haproxy_client_connections=77)
    assert played.returncode == 0, played.output[-4000:]
    assert played.output.count("sc0_conn_cur gt 77") == len(GATEWAYS)
    changes = ["haproxy : Write HAProxy's configuration", "haproxy : Reload HAProxy"]
    assert sorted(played.changes) == sorted(changes * len(GATEWAYS))


def _master(site: Site, name: str, password: str) -> str:
    """Return what the Sentinel of a machine says of the master to one with this password."""
    place = ("-h", str(INVENTORY[name]["ansible_host"]), "-p", "26379")
    command = ("env", f"REDISCLI_AUTH={password}", "redis-cli", *place, "sentinel", "master", "gateway")
    said = site.machines[name].run(*command, check=False)
    return " ".join((said.stdout + said.stderr).split())


def _sees_the_master(site: Site, name: str, password: str) -> bool:
    said = _master(site, name, password)
    return "flags master link" in said and "num-slaves 2" in said and "num-other-sentinels 2" in said


def test_a_new_password_and_quorum_reach_redis_and_sentinels(site: Site) -> None:
    old, new = site.operator.environment["GATEWAY_REDIS_PASSWORD"], secrets.token_hex(32)
    site.operator.environment["GATEWAY_REDIS_PASSWORD"] = new
    played = site.operator.play(redis_sentinel_quorum=3)
    assert played.returncode == 0, played.output[-4000:]
    assert not {old, new} & set(re.findall(r"[0-9a-f]{64}", played.output))
    for name in ("web1", "web2", "state1"):
        wait_until(partial(_sees_the_master, site, name, new), "the Sentinel sees the master", 20)
        assert "quorum 3" in _master(site, name, new)
        assert "WRONGPASS" in _master(site, name, old)
    assert heard_both_ways(site.call("sig1"))
    played = site.operator.play(redis_sentinel_quorum=3)
    assert (played.returncode, played.changes) == (0, [])
    assert site.operator.play(redis_sentinel_quorum=2).returncode == 0


def test_a_drained_relay_node_gets_no_new_call(site: Site) -> None:
    media1 = f"{INVENTORY['media1']['ansible_host']}:2223"
    assert site.operator.play("drain", "--limit", "media1").returncode == 0
    for gateway, address in GATEWAYS.items():
        with site.page("talk", str(site.run_dir), ORIGIN, f"wss://{address}/sip") as talking:
            assert talking.says() == "talking"
            assert site.relays(gateway)[media1]["drained"]
            assert site.relays(gateway)[media1]["calls"] == 0
            assert len(talking.end()) == 1
    assert site.operator.play("drain", "--limit", "media1", drain=False).returncode == 0
    assert [site.relays(gateway)[media1]["drained"] for gateway in GATEWAYS] == [False, False]


def test_a_drain_of_a_relay_node_waits_for_its_calls(site: Site) -> None:
    def busy() -> str | None:
        calls = site.relays("sig1")
        return next((name for name in ("media1", "media2") if calls[ng_address(name)]["calls"]), None)

    def ng_address(name: str) -> str:
        return f"{INVENTORY[name]['ansible_host']}:2223"

    with site.page("talk", str(site.run_dir), ORIGIN, f"wss://{GATEWAYS['sig1']}/sip") as talking:
        assert talking.says() == "talking"
        wait_until(lambda: busy() is not None, "a relay has the call", 20)
        node = busy()
        assert node is not None
        played = site.operator.play("drain", "--limit", node, rtpengine_drain_deadline_s=3)
        assert played.returncode == 0, played.output[-4000:]
        assert f"{node} is not empty (calls: 1)" in re.sub(r"\s+", " ", played.output)
        assert json.loads(talking.end()[-1])["ended"] == 200
    played = site.operator.play("drain", "--limit", node)
    assert played.returncode == 0, played.output[-4000:]
    assert "the play goes on" not in played.output
    assert site.operator.play("drain", "--limit", node, drain=False).returncode == 0


def test_an_upgrade_sends_pages_from_node_to_node_and_waits_for_calls(site: Site) -> None:
    first, second = (f"wss://{address}/sip" for address in GATEWAYS.values())
    with (
        site.page("wander", "dave", ORIGIN, first, second) as here,
        site.page("wander", "web1", ORIGIN, second, first) as there,
        site.page("talk", str(site.run_dir), ORIGIN, first) as talking,
        ThreadPoolExecutor(1) as pool,
    ):
        assert [here.says(), there.says()] == [first, second]
        assert talking.says() == "talking"
        before = site.current("sig1")
        playing = pool.submit(site.operator.play, "upgrade", common_release_archive=str(site.releases[1]))
        assert here.says() == second
        time.sleep(LOOKS_S)
        assert site.current("sig1") == before, "a node with a call was not waited for"
        (ended,) = map(json.loads, talking.end())
        assert ended["ended"] == 200
        played = playing.result()
        assert played.returncode == 0, played.output[-6000:]
        assert "the play goes on" not in played.output
        # The second gateway was left for the first one, new by then.
        assert here.end() == [first]
        assert there.end() == [first]
    assert {site.current(name) for name in ("sig1", "sig2", "web1", "web2")} == {"releases/99.0"}
    for gateway in GATEWAYS:
        assert heard_both_ways(site.call(gateway))


def test_an_upgrade_without_anything_new_leaves_nobody_drained(site: Site) -> None:
    again = str(site.releases[1])
    played = site.operator.play("upgrade", "--limit", "sig1", common_release_archive=again)
    assert played.returncode == 0, played.output[-6000:]
    assert heard_both_ways(site.call("sig1"))


def test_a_gateway_keeps_the_routing_table_while_it_does_not_run(site: Site) -> None:
    """As over a reboot: what is in /run is gone by then."""
    site.machines["web1"].run(
        "sh", "-c", 'printf "%s" "$0" | gwctl routes load /dev/stdin', json.dumps(TABLE)
    )
    sig1 = site.machines["sig1"]

    def kept(folder: str) -> str:
        return sig1.run("sh", "-c", f"ls {folder} | grep sqlite$", check=False).stdout

    wait_until(lambda: kept(ROUTES) != "", "the gateway has the table", 20)
    sig1.run("systemctl", "stop", "kamailio")
    assert kept(ROUTES)
    assert sig1.run("stat", "-c", "%U %a", ROUTES).stdout.split() == ["kamailio", "750"]
    assert not kept("/run/webrtc-ims-gateway")
    sig1.run("systemctl", "start", "kamailio")
    assert site.operator.play("check").returncode == 0


def test_a_web_node_that_redis_does_not_let_in_yet_gets_its_routing_table(site: Site) -> None:
    """As one that is new, or has another address."""
    rules, address = "/etc/webrtc-ims-gateway/nft.d/gateway.nft", INVENTORY["web1"]["ansible_host"]
    for name in (name for name, host in INVENTORY.items() if "redis" in host["groups"]):
        site.machines[name].run("sed", "-i", f"s/{re.escape(address)}/192.0.2.250/", rules)
        site.machines[name].run("systemctl", "reload", "webrtc-ims-firewall")
    played = site.operator.play(gateway_routing_table=TABLE)
    assert played.returncode == 0, played.output[-4000:]
    assert "firewall : Write the rules" in played.changes
