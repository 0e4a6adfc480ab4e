"""The daemon's configuration, rendered from the role's template."""

import configparser

import pytest
from jinja2 import Environment, StrictUndefined

from tests.contract.rtpengine.daemon import ROLE, render_configuration


def configuration(**variables: object) -> dict[str, str]:
    """Render and read the daemon's section."""
    parser = configparser.ConfigParser()
    parser.read_string(render_configuration(**variables))
    return dict(parser["rtpengine"])


def test_the_defaults_need_no_root_and_keep_control_on_loopback() -> None:
    section = configuration()
    assert section["table"] == "-1"
    assert section["listen-ng"] == "127.0.0.1:2223"
    assert section["listen-cli"] == "127.0.0.1:2224"
    assert section["delete-delay"] == "0"


@pytest.mark.parametrize(
    ("advertised", "interface"),
    [
        pytest.param("", "wic/192.0.2.1;ims/198.51.100.1", id="address of its own"),
        pytest.param("203.0.113.1", "wic/192.0.2.1!203.0.113.1;ims/198.51.100.1", id="behind NAT"),
    ],
)
def test_the_interfaces_have_the_names_of_the_media_profiles(advertised: str, interface: str) -> None:
    section = configuration(
        rtpengine_wic_address="192.0.2.1",
        rtpengine_wic_advertised_address=advertised,
        rtpengine_ims_address="198.51.100.1",
    )
    assert section["interface"] == interface


@pytest.mark.parametrize(
    ("allocator", "loaded"),
    [("libjemalloc.so.2", "/srtp.so:libjemalloc.so.2"), ("", "/srtp.so")],
    ids=["allocator", "none"],
)
def test_the_service_loads_the_library_and_an_allocator(allocator: str, loaded: str) -> None:
    text = (ROLE / "templates" / "rtpengine-service.conf.j2").read_text()
    (line,) = (line for line in text.splitlines() if "LD_PRELOAD" in line)
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(line)
    said = template.render(rtpengine_srtp_library="/srtp.so", rtpengine_allocator=allocator)
    assert said == f"Environment=LD_PRELOAD={loaded}"


def test_the_service_never_has_rights_over_the_network() -> None:
    """Debian's unit makes an iptables rule before it starts."""
    service = (ROLE / "templates" / "rtpengine-service.conf.j2").read_text()
    assert "{% if" not in service
    assert {"ExecStartPre=", "ExecStopPost="} <= set(service.splitlines())


def test_an_ipv6_control_address_is_bracketed() -> None:
    assert configuration(rtpengine_ng_address="2001:db8::1")["listen-ng"] == "[2001:db8::1]:2223"


@pytest.mark.parametrize(
    ("variable", "option", "value"),
    [
        ("rtpengine_threads", "num-threads", 8),
        ("rtpengine_max_sessions", "max-sessions", 500),
    ],
)
def test_optional_settings_are_written_only_when_set(variable: str, option: str, value: object) -> None:
    assert option not in configuration()
    assert configuration(**{variable: value})[option] == str(value)


def test_keys_of_the_far_end_are_told_to_the_agent_on_this_machine_unless_somebody_wants_none() -> None:
    assert configuration()["dtmf-log-dest"] == "127.0.0.1:2225"
    assert "dtmf-log-dest" not in configuration(rtpengine_dtmf_log_dest="")
