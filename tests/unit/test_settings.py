"""The settings file: a wrong value stops the start with a message that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from kemi.settings import (
    SETTINGS_VARIABLE,
    MediaNode,
    Settings,
    SettingsError,
    load_settings,
    settings_from_text,
)
from tests.unit.site import SETTINGS_TEXT as GOOD


def test_a_good_file_is_read() -> None:
    settings = settings_from_text(GOOD)
    assert settings.realm == "ims.example"
    assert settings.sip.ims_socket == "udp:192.0.2.1:5060"
    assert settings.sip.wic_socket == "tcp:127.0.0.1:8080"
    assert settings.media.nodes[0].name == "192.0.2.9:2223"
    assert MediaNode("2001:db8::1", 2223).name == "[2001:db8::1]:2223"
    assert settings.media.nodes[0].version == "10.5"
    assert settings.timers.update_s == 5


def test_a_realm_counts_in_lower_case_as_the_routing_table_has_it() -> None:
    assert settings_from_text(GOOD.replace('"ims.example"', '"IMS.Example"', 1)).realm == "ims.example"


def test_what_may_be_left_out_has_a_default() -> None:
    text = GOOD.partition("[timers]")[0].replace('audio_codecs = ["opus", "PCMA"]\n', "")
    settings = settings_from_text(text)
    assert settings.timers.ims_answer_s == 180
    assert settings.media.audio_codecs[0] == "opus"


@pytest.mark.parametrize(
    ("good", "bad", "key"),
    [
        pytest.param('"0123456789abcdef0123456789abcdef"', '"short"', "flow_secret", id="short secret"),
        pytest.param('flow_secret = "0123456789abcdef0123456789abcdef"', "", "flow_secret", id="no secret"),
        pytest.param('realm = "ims.example"', "realm = 5", "realm", id="realm is no text"),
        pytest.param('realm = "ims.example"', "", "realm", id="no realm"),
        pytest.param('realm = "ims.example"', 'realm = ""', "realm: '' is no domain", id="an empty realm"),
        pytest.param('realm = "ims.example"', 'realm = "sip:ims.example"', "is no domain", id="a realm as URI"),
        pytest.param('realm = "ims.example"', 'realm = "*"', "is no domain", id="every realm"),
        pytest.param('icscf_uris = ["sip:', 'icscf_uris = ["http:', "icscf_uris", id="no SIP URI"),
        pytest.param('["sip:icscf.ims.example"]', "[]", "icscf_uris", id="no entry point"),
        pytest.param("icscf.ims.example", "[2001:db8::5]:5060", "IPv4 with the core", id="a core of IPv6"),
        pytest.param("icscf.ims.example", "a@2001:db8::5", "IPv4 with the core", id="IPv6 without brackets"),
        pytest.param("ws_port = 8080", 'ws_port = 8080\npeers = ["2001:db8::9"]', "sip.peers", id="a peer of IPv6"),
        pytest.param('["sip:icscf.ims.example"]', '["sip:a", "sip:a"]', "icscf_uris", id="one twice"),
        pytest.param(
            '["sip:icscf.ims.example"]', '["sip:a", "sip:b", "sip:c", "sip:d", "sip:e", "sip:f"]',
            "timers.entry_point_s", id="more than a page waits for",
        ),
        pytest.param('origins = ["https://page.example"]', "origins = []", "origins", id="no origin"),
        pytest.param("port = 5060", 'port = "5060"', "sip.port", id="port is text"),
        pytest.param("ws_port = 8080", "", "ws_port", id="no port"),
        pytest.param('address = "127.0.0.1"', 'address = "192.0.2.1"', "control.address", id="control for everybody"),
        pytest.param('address = "127.0.0.1"', 'address = "localhost"', "control.address", id="no address"),
        pytest.param("port = 8081", "port = 8080", "control.port", id="control on the pages' port"),
        pytest.param("port = 8081", "port = 65536", "control.port", id="no such port"),
        pytest.param('"fedcba9876543210fedcba9876543210"', '""', "control.secret", id="no secret to control"),
        pytest.param("fedcba98", "fedcba 8", "control.secret", id="a space in the secret"),
        pytest.param('[{ address = "192.0.2.9", port = 2223, version = "10.5" }]', "[]", "media.nodes", id="no relay"),
        pytest.param('version = "10.5"', 'version = "10.5", weight = -1', "media.nodes: weight", id="negative weight"),
        pytest.param('"10.5" }', '"10.5" }, { address = "192.0.2.9", port = 2223 }', "each node once", id="twice"),
        pytest.param('version = "10.5"', 'version = "ten"', "media.nodes", id="no version"),
        pytest.param('version = "10.5"', "version = 10.5", "version", id="version is a number"),
        pytest.param('audio_codecs = ["opus", "PCMA"]', "audio_codecs = []", "media.audio_codecs", id="no codec"),
        pytest.param("prack_s = 32", "prack_s = 0", "timers.prack_s", id="no time for PRACK"),
        *(
            pytest.param("[timers]", f"[timers]\n{name} = {seconds}", f"timers.{name}", id=f"{name} {seconds}")
            for name in ("reports_s", "ice_restart_s", "flow_wait_s")
            for seconds in (-1, 3601, "inf", "nan")
        ),
        pytest.param("flow_recovery_s = 30", "flow_recovery_s = 7200", "timers.flow_recovery_s", id="too long away"),
        pytest.param("ims_answer_s = 180", "ims_answer_s = 3601", "timers.ims_answer_s", id="rings too long"),
        pytest.param("prack_s = 32", "prack_s = 7200", "timers.prack_s", id="a PRACK too late"),
        pytest.param("update_s = 5", "update_s = -1", "timers.update_s", id="negative time"),
        pytest.param("[timers]", "[overload]\ntarget_wait_s = 0\n\n[timers]", "overload.target_wait_s", id="no wait"),
        pytest.param("[timers]", "[overload]\nleast_memory = 1.0\n\n[timers]", "least_memory", id="all memory"),
        pytest.param("ims_response_s = 5", "ims_response_s = 0", "timers.ims_response_s", id="no time for the core"),
        pytest.param("ims_answer_s = 180", 'ims_answer_s = "x"', "timers.ims_answer_s", id="time is text"),
        pytest.param("[sip]", "[sipp]", "sip", id="section misspelt"),
        pytest.param("[media]", "[media", "not TOML", id="no TOML"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_key(good: str, bad: str, key: str) -> None:
    assert good in GOOD
    with pytest.raises(SettingsError) as caught:
        settings_from_text(GOOD.replace(good, bad))
    assert key in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "key"),
    [
        pytest.param('name = "x", audio_codecs = []', "media.profiles: x: audio_codecs", id="no codec"),
        pytest.param('name = "X y", audio_codecs = ["PCMA"]', "each name once", id="no name"),
        pytest.param('name = "a", audio_codecs = ["PCMA"]', "each name once", id="a name twice"),
        pytest.param('name = "x", audio_codecs = ["PCMA"], core_leg = "isdn"', "core_leg", id="no such leg"),
        pytest.param(
            'name = "x", audio_codecs = ["PCMA"], core_source = "all"', "core_source", id="no source"
        ),
        pytest.param(
            'name = "x", audio_codecs = ["PCMA"], domains = ["a.example"]',
            "one profile only",
            id="domain twice",
        ),
        pytest.param('name = "x", audio_codecs = ["PCMA"], domains = ["sip:x"]', "no domain", id="no domain"),
        pytest.param(
            'name = "x", audio_codecs = ["AMR"], transcoding = false',
            "nothing is transcoded",
            id="no page has it",
        ),
    ],
)
def test_a_media_profile_that_cannot_be_names_its_key(profile: str, key: str) -> None:
    first = '{ name = "a", audio_codecs = ["PCMA"], domains = ["a.example"] }'
    text = GOOD.replace("[timers]", f"profiles = [{first}, {{ {profile} }}]\n\n[timers]")
    with pytest.raises(SettingsError) as caught:
        settings_from_text(text)
    assert key in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param("[limits]\nburst_s = 0", "limits.burst_s", id="no burst"),
        pytest.param("[limits]\nlock_s = 100000", "limits.lock_s", id="longer than is remembered"),
        pytest.param("[limits]\ncalls_per_identity = -1", "limits.calls_per_identity", id="negative number"),
        pytest.param("[limits.address]\ninvite = -1", "limits.address.invite", id="negative rate"),
        pytest.param("[limits.address]\ninvite = inf", "limits.address.invite", id="endless rate"),
        pytest.param("[trace]\ncalls = 0", "trace.calls", id="no ring"),
        pytest.param("[trace]\nfailed_calls = 1000000", "trace.failed_calls", id="more than Redis has room for"),
        pytest.param("[trace]\nquality_events_s = 1", "trace.quality_events_s", id="events all the time"),
        pytest.param("[trace]\nkept_s = 1", "trace.kept_s", id="gone before it is read"),
        pytest.param('[policy]\ndenied_numbers = ["premium"]', "policy.denied_numbers", id="no number"),
        pytest.param('[policy]\nallowed_numbers = [""]', "policy.allowed_numbers", id="no prefix"),
        pytest.param('[policy]\ndomains = ["sip:x"]', "policy.domains", id="no domain"),
        pytest.param("[policy]\nlongest_call_s = 90000", "policy.longest_call_s", id="longer than a record lives"),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_kept_names_its_key(text: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_text(f"{GOOD}\n{text}\n")
    assert key in str(caught.value)


def test_limits_are_on_by_default_and_each_can_be_turned_off() -> None:
    on = settings_from_text(GOOD)
    assert on.limits.connection.register > 0
    assert on.policy.longest_call_s > 0
    nothing = "[limits]\nconnection = {}\ncalls_per_identity = 0\n[policy]\nlongest_call_s = 0\n"
    off = settings_from_text(f"{GOOD}\n{nothing}")
    assert off.limits.connection.register == off.limits.calls_per_identity == off.policy.longest_call_s == 0


def test_the_secret_is_not_shown() -> None:
    assert "0123456789abcdef" not in repr(settings_from_text(GOOD))


def test_settings_cannot_be_changed() -> None:
    settings = settings_from_text(GOOD)
    with pytest.raises(AttributeError):
        settings.realm = "other"  # type: ignore[misc]


class TestLoad:
    """The file is named by the environment."""

    def test_the_named_file_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "gateway.toml"
        path.write_text(GOOD, encoding="utf-8")
        monkeypatch.setenv(SETTINGS_VARIABLE, str(path))
        assert isinstance(load_settings(), Settings)

    def test_without_the_variable_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
        with pytest.raises(SettingsError, match=SETTINGS_VARIABLE):
            load_settings()

    def test_a_missing_file_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(SETTINGS_VARIABLE, str(tmp_path / "nowhere.toml"))
        with pytest.raises(SettingsError, match=r"nowhere\.toml"):
            load_settings()

    def test_a_wrong_file_is_named_with_its_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "gateway.toml"
        path.write_text(GOOD.replace('origins = ["https://page.example"]', "origins = []"), encoding="utf-8")
        monkeypatch.setenv(SETTINGS_VARIABLE, str(path))
        with pytest.raises(SettingsError, match=r"gateway\.toml: origins"):
            load_settings()


HOME = (
    GOOD.replace('["sip:icscf.ims.example"]', '["sip:127.0.0.1:5070"]')
    + """
[home]
address = "127.0.0.1"
port = 5070

[registration]
schemes = ["bearer"]

[[tokens.issuers]]
issuer = "https://page.example"
audience = "sip:ims.example"
authz_server = "https://page.example/"
"""
)


def test_a_gateway_may_be_its_own_home_network() -> None:
    assert settings_from_text(GOOD).home is None
    home = settings_from_text(HOME).home
    assert home is not None
    assert home.uri == "sip:127.0.0.1:5070"


@pytest.mark.parametrize(
    ("good", "bad", "key"),
    [
        pytest.param('[home]\naddress = "127.0.0.1"', '[home]\naddress = "192.0.2.1"', "home.address", id="open"),
        pytest.param('[home]\naddress = "127.0.0.1"', '[home]\naddress = "home"', "home.address", id="a name"),
        pytest.param("port = 5070", "port = 5060", "home.port", id="the port of the core's side"),
        pytest.param("127.0.0.1:5070", "icscf.ims.example", "icscf_uris", id="a core"),
        pytest.param('schemes = ["bearer"]', 'schemes = ["digest", "bearer"]', "registration.schemes", id="digest"),
        pytest.param("[home]", '[emergency]\naction = "core"\n[home]', "emergency.action", id="emergencies"),
    ],
)  # fmt: skip
def test_a_home_network_of_our_own_that_cannot_be_names_its_key(good: str, bad: str, key: str) -> None:
    assert good in HOME
    with pytest.raises(SettingsError, match=key):
        settings_from_text(HOME.replace(good, bad))


@pytest.mark.parametrize(
    ("sip", "trunk", "why"),
    [
        ('core_networks = ["192.0.2.0/24"]', 'uris = ["sip:carrier.example"]', "networks: needed"),
        ("", 'uris = ["sips:192.0.2.1"]', "TLS needs sip.tls_port"),
        ("tls_port = 8080", 'uris = ["sips:192.0.2.1"]', "sip.tls_port"),
    ],
)
def test_a_trunk_that_could_not_be_heard_stops_the_start(sip: str, trunk: str, why: str) -> None:
    text = GOOD.replace("ws_port = 8080", f"ws_port = 8080\n{sip}")
    with pytest.raises(SettingsError, match=why):
        settings_from_text(f'{text}\n[[trunks]]\nname = "acme"\n{trunk}\n')
    good = 'core_networks = ["192.0.2.0/24"]\ntls_port = 5061'
    text = GOOD.replace("ws_port = 8080", f"ws_port = 8080\n{good}")
    assert settings_from_text(f'{text}\n[[trunks]]\nname = "acme"\nuris = ["sips:192.0.2.1"]\n').trunks


def test_without_a_core_a_trunk_is_known_by_its_address() -> None:
    trunk = '\n[[trunks]]\nname = "one"\nuris = ["sip:carrier.example"]\n'
    with pytest.raises(SettingsError, match="networks"):
        settings_from_text(HOME + trunk)
    assert settings_from_text(HOME + trunk + 'networks = ["192.0.2.0/24"]\n').trunks
