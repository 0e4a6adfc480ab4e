"""What stops a play before it changes anything: every kind of fault once, each as a machine of one inventory.

Runs the roles' own pre-flight on this machine, as many machines, in one play; nothing is installed or changed.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab.ports import LOOPBACK, PortBlocks, PortMode, port_is_free
from tests.lab.waiting import wait_until
from tests.provision.operator import ANSIBLE, make_certificate
from tests.provision.relay_faults import RELAY_FAULTS
from tests.provision.remarks import KAMAILIO, SECRET, TOLD
from tests.provision.site_faults import GROUPS, SITE_FAULTS

pytestmark = pytest.mark.timeout(600)  # one play for some thirty machines: a minute of an idle processor

PLAY: Final = """
- name: Pre-flight of one role
  hosts: all
  gather_facts: false
  vars:
    ansible_facts:
      all_ipv4_addresses: ["{{ the_address | default('192.0.2.10') }}"]
      all_ipv6_addresses: []
      distribution: Debian
      distribution_major_version: "{{ the_debian | default('12') }}"
      distribution_version: "{{ the_debian | default('12') }}"
      python_version: "{{ the_python | default('3.11.2') }}"
      service_mgr: systemd
  environment:
    SSH_CONNECTION: "{{ the_connection | default('') }}"
  tasks:
    - name: Pre-flight
      ansible.builtin.include_role:
        name: "{{ the_role }}"
        tasks_from: preflight
      when: the_tasks is not defined
""" + "".join(
    # One include for each: Ansible takes two of one role for the same, whatever tasks they name.
    f"""
    - name: Pre-flight of its own
      ansible.builtin.include_role:
        name: common
        tasks_from: {tasks}
      when: the_tasks | default('') == '{tasks}'
"""
    for tasks in ("preflight_release", "preflight_redis", "preflight_clashes")
)
_FAILURE: Final = re.compile(
    r"^(?:fatal|failed): \[([\w-]+)\].*?(?=^\w+: \[|^TASK|^PLAY|^\[ERROR\]|\Z)", re.MULTILINE | re.DOTALL
)
_TOLD: Final = re.compile(
    r"^ok: \[([\w-]+)\] => ?\n +msg:(.*?)(?=^\w+: \[|^TASK|^PLAY|\Z)", re.MULTILINE | re.DOTALL
)
PASSWORD: Final = "correct-horse-battery"


def faults(
    folder: Path, open_folder: Path, taken: int, silent: int, redis: int
) -> dict[str, tuple[dict[str, Any], str]]:
    """Return, by machine, its variables and what the play has to say of them."""
    certificate, key = make_certificate(folder, names="IP:10.199.7.2")
    _, other_key = make_certificate(folder, names="IP:10.199.7.2", name="other")
    tls = {
        "the_role": "tls",
        "tls_certificate_file": str(certificate),
        "tls_key_file": str(key),
        "tls_names": ["10.199.7.2"],
    }
    # Where Kamailio's account reaches them.
    trunk_certificate, trunk_key = make_certificate(open_folder, names="IP:10.199.7.2")
    trunk_key.chmod(0o644)
    trunks = {
        "kamailio_tls_port": 5061,
        "kamailio_tls_certificate": str(trunk_certificate),
        "kamailio_tls_key": str(trunk_key),
        "kamailio_tls_ca": str(trunk_certificate),
    }
    key_of_root = Path(shutil.copy(trunk_key, open_folder / "root.key"))
    key_of_root.chmod(0o600)
    with_redis = {
        "the_role": "common",
        "the_tasks": "preflight_redis",
        "common_redis_variable": "gateway_redis_url",
        "common_redis_check": True,  # which it is where there is no group redis
    }
    empty, filled = folder / "redis-empty", folder / "redis-filled"
    (filled / "appendonlydir").mkdir(parents=True)
    empty.mkdir()
    (filled / "appendonlydir" / "appendonly.aof.1.incr.aof").write_bytes(bytes(2000))
    # Of Sentinels that there are no more.
    (empty / "sentinel.conf").write_text("sentinel monitor gateway 192.0.2.50 6379 2\n")
    archive, wheels = folder / "webrtc-ims-gateway-1.tar.gz", folder / "wheels"
    archive.touch()
    wheels.mkdir()
    (wheels / "msgspec-0.22.0-cp311-cp311-manylinux2014_x86_64.whl").touch()
    release = {
        "the_role": "common",
        "the_tasks": "preflight_release",
        "common_release_archive": str(archive),
    }
    clashes = {"the_role": "common", "the_tasks": "preflight_clashes", "common_media_ports": [30000, 40000]}
    web = {"variable": "webapp_api_listen_port", "port": 8000, "proto": "tcp", "address": LOOPBACK}
    no_secret = {"the_role": "redis", "redis_address": "192.0.2.10"}
    return {
        "good-gateway": (
            {
                **KAMAILIO,
                **trunks,
                "kamailio_stun_address": "192.0.2.10",
                "gateway_core_networks": ["0.0.0.0/0"],
            },
            "",
        ),
        "good-redis": ({**with_redis, "common_redis_url": f"redis://:{PASSWORD}@{LOOPBACK}:{redis}/0"}, ""),
        "good-machine": ({"the_role": "common"}, ""),
        "good-ports": (
            {
                **clashes,
                "common_sockets": [web, {**web, "proto": "udp"}, {**web, "port": "0"}, {**web, "port": 0}],
            },
            "",
        ),
        "good-certificate": (tls, ""),
        "text-for-number": (
            {**KAMAILIO, "kamailio_sip_port": "sip"},
            "argument 'kamailio_sip_port' is of type str and we were unable to convert to int",
        ),
        "text-for-list": (
            {**KAMAILIO, "gateway_trunks": 5},
            "Elements value for option 'gateway_trunks' is of type",
        ),
        "no-such-choice": (
            {**KAMAILIO, "gateway_core_leg": "sdes"},
            "value of gateway_core_leg must be one of",
        ),
        "node-without-version": (
            {**KAMAILIO, "gateway_rtpengine_nodes": [{"address": "192.0.2.1", "port": 2223}]},
            "missing required arguments: version found in gateway_rtpengine_nodes",
        ),
        "no-secret": ({**KAMAILIO, "gateway_flow_secret": ""}, "gateway_flow_secret is missing"),
        "short-secret": (
            {**KAMAILIO, "gateway_control_secret": "a" * 31},
            "gateway_control_secret is missing",
        ),
        "another-address": (
            {**KAMAILIO, "kamailio_sip_address": "192.0.2.99"},
            "kamailio_sip_address is 192.0.2.99, which another-address does not have",
        ),
        "six-towards-the-core": (
            {**KAMAILIO, "kamailio_sip_address": "2001:db8::10"},
            "kamailio_sip_address is 2001:db8::10: towards the core, trunks and the machine's own programs the gateway "
            "speaks IPv4 alone",
        ),
        "stun-behind-nat": (
            {**KAMAILIO, "kamailio_stun_address": "203.0.113.7"},
            "kamailio_stun_address is 203.0.113.7, which stun-behind-nat does not have",
        ),
        "port-taken": (
            {**KAMAILIO, "kamailio_ws_port": taken},
            f"Port {taken}/tcp of port-taken is taken by another program than kamailio",
        ),
        "no-network": (
            {**KAMAILIO, "gateway_core_networks": ["192.0.2.0/33"]},
            "does not appear to be an IPv4 or IPv6 network. Look at the variable of that name",
        ),
        "no-media-node": (
            {
                **KAMAILIO,
                "the_role": "media_agent",
                "media_agent_control_secret": SECRET,
                "media_agent_nodes": [],
            },
            "would be refused",
        ),
        "no-origin": (
            {"the_role": "webapp_api", "webapp_api_public_origin": "gateway.example.com"},
            "would be refused: public_origin",
        ),
        "identity-without-names": (
            {"the_role": "webapp_api", "webapp_api_identity_pool": [{"impi": "guest@ims.test"}]},
            "would be refused: identity_pool",
        ),
        "no-file-for-trunks": (
            {**KAMAILIO, **trunks, "kamailio_tls_key": f"{folder}/none.key"},
            "none.key: No such file or directory",
        ),
        "foreign-key-for-trunks": (
            {**KAMAILIO, **trunks, "kamailio_tls_key": str(other_key)},
            f"{other_key} is no key for {trunk_certificate}",
        ),
        "key-of-root-for-trunks": (
            {**KAMAILIO, **trunks, "kamailio_tls_key": str(key_of_root)},
            f"{key_of_root} cannot be read by kamailio: Permission denied" if os.geteuid() == 0 else "",
        ),
        "silent-core": (
            {**KAMAILIO, "kamailio_core_check": True, "gateway_icscf_uris": [f"sip:{LOOPBACK}:{silent}"]},
            f"sip:{LOOPBACK}:{silent} does not answer",
        ),
        "silent-redis": (
            {**KAMAILIO, "common_redis_check": True, "gateway_redis_url": f"redis://{LOOPBACK}:{silent}/0"},
            "The Redis of gateway_redis_url cannot be used from silent-redis: [Errno 111] Connection refused",
        ),
        "another-password": (
            {**with_redis, "common_redis_url": f"redis://:wrong@{LOOPBACK}:{redis}/0"},
            "WRONGPASS",
        ),
        "silent-sentinel": (
            {**with_redis, "common_redis_url": f"redis+sentinel://{LOOPBACK}:{silent}/gateway"},
            f"Sentinel {LOOPBACK}:{silent}: [Errno 111] Connection refused",
        ),
        "old-redis": (
            {
                **with_redis,
                "common_redis_url": f"redis://:{PASSWORD}@{LOOPBACK}:{redis}/0",
                "common_oldest_redis": "99.0",
            },
            "older than 99.0",
        ),
        "redis-of-web": (
            {
                "the_role": "webapp_api",
                "webapp_api_key_secret": SECRET,
                "webapp_api_redis_url": f"redis://{LOOPBACK}:{silent}/0",
                "common_redis_check": True,  # which it is where there is no group redis
            },
            "The Redis of webapp_api_redis_url cannot be used",
        ),
        "more-pages-than-ports": (
            {"the_role": "haproxy", "haproxy_max_connections": 65_000},
            "for connections from HAProxy to Kamailio: set net.ipv4.ip_local_port_range",
        ),
        "old-kamailio": (
            {**KAMAILIO, "kamailio_oldest_version": "99.0"},
            "the gateway needs 99.0. Take a newer Debian",
        ),
        "old-debian": (
            {"the_role": "common", "the_debian": "11"},
            "the gateway is proven on Debian 12 and 13",
        ),
        "old-python": ({"the_role": "common", "the_python": "3.10.9"}, "has Python 3.10.9"),
        "another-relay": (
            {
                "the_role": "rtpengine",
                "gateway_rtpengine_nodes": [{"address": LOOPBACK, "port": 2223, "version": "9.5"}],
            },
            "Versions are not spoken to alike",
        ),
        "passwords-without-core": (
            {**KAMAILIO, "gateway_standalone": True},
            "without an IMS core nobody can check a password",
        ),
        "two-without-core": (
            {**KAMAILIO, "gateway_standalone": True, "gateway_registration_schemes": ["bearer"]},
            "users of two gateways do not reach each other",
        ),
        "one-port-twice": (
            {**clashes, "common_sockets": [web, {**web, "variable": "kamailio_ws_port", "address": "*"}]},
            "webapp_api_listen_port and kamailio_ws_port are both 8000/tcp",
        ),
        "port-of-media": (
            {
                **clashes,
                "common_sockets": [{**web, "variable": "kamailio_sip_port", "proto": "udp", "port": 30000}],
            },
            "kamailio_sip_port is 30000, one of the media ports",
        ),
        "foreign-key": (
            {**tls, "tls_key_file": str(other_key)},
            "The certificate is not for this private key",
        ),
        "foreign-name": (
            {**tls, "tls_names": ["gateway.example.com"]},
            "The certificate is not for gateway.example.com",
        ),
        "old-certificate": ({**tls, "tls_days_left": 60}, "ends in less than 60 days"),
        "no-certificate": ({**tls, "tls_certificate_file": ""}, "no certificate for the public origin"),
        "open-redis": (no_secret, "redis_password is missing"),
        "good-redis-password": ({**no_secret, "redis_password": "abcdefghijkl.~-_"}, ""),
        "redis-password-of-base64": (
            {**no_secret, "redis_password": f"{SECRET}+/=="},
            "has others than A-Z a-z 0-9",
        ),
        "empty-master": (
            {"the_role": "redis", "redis_data_dir": str(empty), "redis_sentinel_dir": str(empty)},
            "empty-master would be master and has no data",
        ),
        "renumbered": (
            {"the_role": "redis", "redis_data_dir": str(empty), "redis_sentinel_port": 26379},
            "The Sentinels know 192.0.2.50:6379 as master, an address that no machine of the group redis has",
        ),
        "forgetful-master": (
            {"the_role": "redis", "redis_append_only": False, "redis_sentinel_port": 26379},
            "comes back empty, and its replicas throw away what they have",
        ),
        "filled-replica": (
            {"the_role": "redis", "redis_data_dir": str(filled), "redis_replica_of": f"{LOOPBACK} 6379"},
            "",
        ),
        **RELAY_FAULTS,
        **SITE_FAULTS,
        "good-filter": (
            {
                "the_role": "firewall",
                "firewall_admin_networks": ["192.0.2.0/24", "2001:db8::/32", "::1", "192.0.2.1-192.0.2.9"],
                "gateway_core_networks": ["198.51.100.0/24"],
            },
            "",
        ),
        "good-operator": (
            {
                "the_role": "firewall",
                "the_connection": "192.0.2.77 50022 192.0.2.10 2222",
                "ansible_port": 2222,
                "firewall_admin_networks": ["192.0.2.0/24"],
            },
            "",
        ),
        "operator-from-elsewhere": (
            {
                "the_role": "firewall",
                "the_connection": "203.0.113.7 50022 192.0.2.10 22",
                "firewall_admin_networks": ["192.0.2.0/24"],
            },
            "lock you out of operator-from-elsewhere: this play comes from 203.0.113.7, which is not in "
            "firewall_admin_networks (192.0.2.0/24)",
        ),
        "another-port-of-ssh": (
            {"the_role": "firewall", "the_connection": "203.0.113.7 50022 192.0.2.10 2222"},
            "SSH is on port 2222 there, and firewall_ssh_port is 22",
        ),
        "name-in-filter": (
            {"the_role": "firewall", "firewall_admin_networks": ["192.0.2.0/24", "bastion.example.com"]},
            "firewall_admin_networks has bastion.example.com: name addresses or networks",
        ),
        "name-in-filter-of-relay": (
            {"the_role": "firewall", "rtpengine_gateways": ["sig1"]},
            "rtpengine_gateways has sig1: name addresses or networks",
        ),
        "tokens-from-nobody": (
            {"the_role": "webapp_api", "gateway_registration_schemes": ["bearer"]},
            "webapp_api_key_secret is missing",
        ),
        "tokens-of-a-provider-without-web-login": (
            {
                "the_role": "webapp_api",
                "gateway_registration_schemes": ["bearer"],
                "webapp_api_oidc": {"issuer": "https://id.example.com", "client_id": "gateway"},
            },
            "webapp_api_key_secret is missing",
        ),
        "good-release": ({**release, "common_wheelhouse": str(wheels)}, ""),
        "wheels-of-another-python": (
            {**release, "common_wheelhouse": str(wheels), "the_python": "3.13.5"},
            "has no wheels for wheels-of-another-python, which has Python 3.13.5 (cp313). Run `make wheelhouse`",
        ),
        "no-release": (
            {
                "the_role": "common",
                "the_tasks": "preflight_release",
                "common_release_archive": f"{folder}/webrtc-ims-gateway-0.tar.gz",
            },
            "There is no release to install",
        ),
    }


@contextmanager
def redis_with_password(folder: Path) -> Iterator[int]:
    """A Redis of somebody else; gives its port."""
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        port = ports.port()
        place = folder / "redis.conf"
        place.write_text(f'bind {LOOPBACK}\nport {port}\nrequirepass {PASSWORD}\nsave ""\n')
        with subprocess.Popen(["redis-server", place], stdout=subprocess.DEVNULL) as server:
            try:
                wait_until(lambda: not port_is_free(port), "Redis listens", 5)
                yield port
            finally:
                server.terminate()


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, tuple[str, str]]]:
    """Play once; return what was said of each machine, and what had to be."""
    folder = tmp_path_factory.mktemp("preflight")
    with (
        socket.create_server((LOOPBACK, 0)) as taken,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        redis_with_password(folder) as redis,
        tempfile.TemporaryDirectory() as open_folder,
    ):
        Path(open_folder).chmod(0o755)
        silent.bind((LOOPBACK, 0))
        machines = faults(folder, Path(open_folder), taken.getsockname()[1], silent.getsockname()[1], redis)
        machines |= {name: (variables, "") for name, (variables, _) in TOLD.items()}
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "kamailio_sip_address": LOOPBACK,
        }
        hosts = {name: {**here, **variables} for name, (variables, _) in machines.items()}
        (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "children": GROUPS}}))
        (folder / "play.yml").write_text(PLAY)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "playbook", "--forks", "4"),
                *("-i", str(folder / "hosts.json"), str(folder / "play.yml")),
            ],
            cwd=ANSIBLE,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles")},
            capture_output=True,
            text=True,
            check=False,
        )
    said = dict.fromkeys(machines, "")
    for found in _FAILURE.finditer(done.stdout):
        said[found[1]] += re.sub(r"\s+", " ", found[0]).replace("''", "'")
    told = {found[1]: re.sub(r"\s+", " ", found[2]) for found in _TOLD.finditer(done.stdout)}
    assert told.keys() == TOLD.keys(), done.stdout
    assert not {name: text for name, text in told.items() if TOLD[name][1] not in text}
    assert re.search(r"changed=0", done.stdout), done.stdout + done.stderr
    assert not re.search(r"changed=[1-9]", done.stdout), done.stdout
    yield {name: (said[name], wanted) for name, (_, wanted) in machines.items()}


def test_a_fault_stops_the_play_and_is_named(outcome: Mapping[str, tuple[str, str]]) -> None:
    unnamed = {
        name: said or "nothing" for name, (said, wanted) in outcome.items() if wanted and wanted not in said
    }
    assert not unnamed


def test_what_is_right_passes(outcome: Mapping[str, tuple[str, str]]) -> None:
    assert not {name: said for name, (said, wanted) in outcome.items() if not wanted and said}
