"""Settings: what is taken, what is refused, and how clearly."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
import yaml

from tests.lab.roles import render_role
from webapp_api.settings import Settings, SettingsError, settings_from_environment, settings_from_text

ROLE = Path(__file__).parents[3] / "ansible" / "roles" / "webapp_api"
MINIMAL = 'public_origin = "https://gw.example.com"\ndomain = "ims.example.com"\n'
KEY_SECRET = f'key_secret = "{"s" * 32}"\n'


def test_two_settings_are_enough() -> None:
    settings = settings_from_text(MINIMAL)
    assert (settings.listen_address, settings.listen_port) == ("127.0.0.1", 8080)
    assert settings.stun_servers == ()
    assert settings.features == {"video": True}


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        pytest.param("https://gw.example.com", "wss://gw.example.com/sip", id="https"),
        pytest.param("https://gw.example.com:8443", "wss://gw.example.com:8443/sip", id="port"),
        pytest.param("http://127.0.0.1:18080", "ws://127.0.0.1:18080/sip", id="this machine"),
        pytest.param("http://localhost", "ws://localhost/sip", id="localhost"),
        pytest.param("https://[2001:db8::1]:8443", "wss://[2001:db8::1]:8443/sip", id="IPv6"),
    ],
)
def test_the_websocket_is_the_same_origin(origin: str, url: str) -> None:
    assert Settings(public_origin=origin, domain="ims.example.com").wss_url == url


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param("listen_port = 0", "listen_port: must be 1 to 65535", id="port out of range"),
        pytest.param('listen_port = "80"', "listen_port: must be a whole number", id="port as text"),
        pytest.param("listen_port = true", "listen_port: must be a whole number", id="port as flag"),
        pytest.param(
            'listen_address = "gw"', "listen_address: must be an IP address", id="name to listen on"
        ),
        pytest.param(
            'stun_servers = "gw:1"', "stun_servers: must be a list of texts", id="one server as text"
        ),
        pytest.param(
            'trusted_proxies = ["10.0.0.1/8"]',
            'trusted_proxies: "10.0.0.1/8" is neither an address nor a network',
            id="an address within a network",
        ),
        pytest.param("stun_servers = [3478]", "stun_servers: must be a list of texts", id="server as number"),
        pytest.param(
            'stun_servers = ["gw"]', 'stun_servers: "gw" is not host:port', id="server without port"
        ),
        pytest.param(
            'stun_servers = ["gw:99999"]', 'stun_servers: "gw:99999" is not host:port', id="bad port"
        ),
        pytest.param(
            'stun_servers = ["::1:3478"]', 'stun_servers: "::1:3478" is not host:port', id="bare IPv6"
        ),
        pytest.param(
            "ice_gathering_timeout_ms = 5", "ice_gathering_timeout_ms: must be 50 to 10000", id="too short"
        ),
        pytest.param("workers = 0", "workers: must be 1 to 64", id="no worker"),
        pytest.param(
            'features = {video = "yes"}', "features: must be a table of true and false", id="bad flag"
        ),
        pytest.param("features = 1", "features: must be a table of true and false", id="features as number"),
        pytest.param("colour = 1", "colour: unknown setting", id="unknown"),
        pytest.param(
            'key_secret = "short"',
            "key_secret: must have at least 32 characters, from a random generator",
            id="short secret",
        ),
        pytest.param(
            'redis_url = "http://x"',
            "redis_url: must be a redis, rediss, unix, redis+sentinel or rediss+sentinel URL",
            id="no Redis URL",
        ),
        pytest.param(
            'token_algorithm = "none"',
            "token_algorithm: must be one of ES256, EdDSA, RS256",
            id="no signature",
        ),
        pytest.param("token_lifetime_s = 601", "token_lifetime_s: must be 10 to 600", id="long tokens"),
        pytest.param(
            "session_idle_s = 43201",
            "session_idle_s: must not exceed session_lifetime_s",
            id="idle longer than a life",
        ),
        pytest.param(
            KEY_SECRET + "guest_login = true", "guest_login: needs an identity_pool", id="guests without pool"
        ),
        pytest.param(
            'guest_login = true\nidentity_pool = [{impi = "g@b", impus = ["sip:g@b"]}]',
            "guest_login: needs key_secret; without it nobody logs in here",
            id="guests without web login",
        ),
        pytest.param(
            'oidc = {issuer = "https://id.example.com", client_id = "x"}',
            "oidc: needs key_secret; without it nobody logs in here",
            id="provider without web login",
        ),
        pytest.param('guest_login = "yes"', "guest_login: must be true or false", id="guests as text"),
        pytest.param(
            'identity_pool = [{impi = "g@b", impus = ["sip:g@b"]}, {impi = "g@b", impus = ["sip:h@b"]}]',
            "identity_pool: a private identity is there twice",
            id="pool with one IMPI twice",
        ),
        pytest.param(
            'identity_pool = [{impi = "g@b", impus = ["sip:g@b"]}, {impi = "h@b", impus = ["sip:g@b"]}]',
            "identity_pool: a public identity is there twice",
            id="pool with one IMPU twice",
        ),
        pytest.param(
            'token_services = [{issuer = "https://a", jwks_uri = "https://a/keys"}]',
            "token_services: needs key_secret; without it no keys are fetched",
            id="token service without web login",
        ),
        pytest.param(
            KEY_SECRET
            + 'token_services = [{issuer = "https://gw.example.com", jwks_uri = "https://a/keys"}]',
            "token_services: issuer 'https://gw.example.com' is empty, or there twice (token_issuer, oidc.issuer)",
            id="token service under our name",
        ),
        pytest.param(
            KEY_SECRET + 'token_services = [{issuer = "https://a", jwks_uri = "http://a.example/keys"}]',
            "token_services: jwks_uri 'http://a.example/keys' must be https",
            id="keys without TLS",
        ),
        pytest.param(
            KEY_SECRET + 'token_services = [{issuer = "https://a", jwks_uri = "https://["}]',
            "token_services: jwks_uri 'https://[' must be an https URL",
            id="keys at no URL",
        ),
        pytest.param(
            KEY_SECRET + 'oidc = {issuer = "https://[", client_id = "x"}',
            "oidc.issuer: must be an https URL without query",
            id="an issuer that is no URL",
        ),
        pytest.param(
            KEY_SECRET + 'oidc = {issuer = "http://id.example.com", client_id = "x"}',
            "oidc.issuer: must be https",
            id="provider without TLS",
        ),
        pytest.param(
            KEY_SECRET + 'oidc = {issuer = "https://id.example.com", client_id = "x", scopes = ["sip"]}',
            "oidc.scopes: must contain openid",
            id="provider without openid",
        ),
        pytest.param(
            KEY_SECRET + 'oidc = {issuer = "https://gw.example.com", client_id = "x"}',
            "oidc.issuer: must not be token_issuer",
            id="provider under our name",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_name(line: str, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_text(MINIMAL + line)
    assert caught.value.faults == (fault,)


@pytest.mark.parametrize(
    ("origin", "fault"),
    [
        pytest.param("gw.example.com", "must be scheme://host", id="no scheme"),
        pytest.param("https://gw.example.com/", "without a path", id="path"),
        pytest.param("https://a b", "must be scheme://host", id="space"),
        pytest.param("https://gw'; script-src *", "must be scheme://host", id="header injection"),
        pytest.param("http://gw.example.com", "must be https", id="http in public"),
        pytest.param("https://GW.example.com", "lower case", id="upper case"),
        pytest.param("https://gw.example.com:443", "without :443", id="default port"),
        pytest.param("http://localhost:80", "without :80", id="default port of http"),
    ],
)
def test_an_origin_that_browsers_cannot_use_is_refused(origin: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=f"^public_origin: .*{fault}"):
        Settings(public_origin=origin, domain="ims.example.com")


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_text('public_origin = "x"\ndomain = "a@b"\nlisten_port = 0\n')
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "public_origin",
        "domain",
        "listen_port",
    ]


def test_missing_settings_are_named() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_text("")
    assert caught.value.faults == ("public_origin: missing", "domain: missing")


def test_what_is_not_toml_is_refused_with_its_place() -> None:
    with pytest.raises(SettingsError, match=r"not TOML: .*line 1"):
        settings_from_text("public_origin = https://gw.example.com")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param('identity_pool = [{impi = "g"}]', "identity_pool: ", id="half an identity"),
        pytest.param(
            'identity_pool = [{impi = "g@b\\n", impus = ["sip:g@b"]}]', "not user@domain", id="bad identity"
        ),
        pytest.param('token_services = [{issuer = "https://x"}]', "token_services: .*jwks_uri", id="no keys"),
        pytest.param('oidc = {issuer = "https://x"}', "oidc: .*client_id", id="half a provider"),
        pytest.param(
            'oidc = {issuer = "https://x", client_id = "x", colour = 1}', "oidc: .*colour", id="unknown"
        ),
        pytest.param(
            'oidc = {issuer = "https://x", client_id = "x", tokens_from = "us"}',
            "oidc: .*tokens_from",
            id="whose tokens",
        ),
    ],
)
def test_a_wrong_table_is_refused_by_name(line: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        settings_from_text(MINIMAL + line)


def test_secrets_do_not_show_in_a_traceback() -> None:
    settings = settings_from_text(
        MINIMAL
        + f'key_secret = "{"s" * 32}"\nredis_url = "redis://:hidden@127.0.0.1/0"\n'
        + '[oidc]\nissuer = "https://x"\nclient_id = "x"\nclient_secret = "hidden"\n'
    )
    assert "hidden" not in repr(settings)
    assert "s" * 32 not in repr(settings)


def test_settings_cannot_be_changed() -> None:
    settings = settings_from_text(MINIMAL)
    with pytest.raises(FrozenInstanceError):
        settings.domain = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.features["video"] = False  # type: ignore[index]


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "webapp.toml"
    file.write_text(MINIMAL)
    assert settings_from_environment({"WEBAPP_SETTINGS": str(file)}) == settings_from_text(MINIMAL)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(None, "No such file or directory", id="no file"),
        pytest.param(b"\xff", "not UTF-8", id="no text"),
    ],
)
def test_an_unreadable_file_is_told(tmp_path: Path, content: bytes | None, fault: str) -> None:
    file = tmp_path / "webapp.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=fault):
        settings_from_environment({"WEBAPP_SETTINGS": str(file)})


def test_an_environment_without_the_variable_is_told() -> None:
    with pytest.raises(SettingsError, match="WEBAPP_SETTINGS does not name a settings file"):
        settings_from_environment({})


class TestRole:
    """The template of the role webapp_api writes what this module reads."""

    @staticmethod
    def rendered(**variables: object) -> str:
        """The settings file as the role writes it."""
        return render_role("webapp_api", "webapp_api.toml.j2", variables)

    def test_its_defaults_make_valid_settings(self) -> None:
        settings = settings_from_text(self.rendered())
        assert settings.stun_servers == ("gateway.example.com:5060",)
        assert settings.features == {"video": True}

    def test_its_web_login_arrives(self) -> None:
        settings = settings_from_text(
            self.rendered(
                webapp_api_key_secret="s" * 32,
                webapp_api_guest_login=True,
                webapp_api_token_services=[{"issuer": "https://a", "jwks_uri": "https://a/keys"}],
                webapp_api_identity_pool=[
                    {"impi": "g1@b", "impus": ["sip:g1@b", "tel:+15550141"]},
                    {"impi": "g2@b", "impus": ["sip:g2@b"]},
                ],
                webapp_api_oidc={
                    "issuer": "https://id.example.com",
                    "client_id": "gateway",
                    "client_secret": 'a "secret" \\ <&>',
                    "scopes": ["openid", "ims"],
                    "tokens_from": "oidc",
                },
            )
        )
        assert [identity.impus for identity in settings.identity_pool] == [
            ("sip:g1@b", "tel:+15550141"),
            ("sip:g2@b",),
        ]
        assert settings.oidc is not None
        assert settings.oidc.client_secret == 'a "secret" \\ <&>'
        assert (settings.oidc.scopes, settings.oidc.tokens_from) == (("openid", "ims"), "oidc")

    def test_every_setting_has_a_variable_with_its_name(self) -> None:
        defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
        of_the_tasks = {
            "gateway_routing_table",
            *(f"webapp_api_{name}_dir" for name in ("code", "venv", "config")),
            *(f"webapp_api_{name}" for name in ("user", "max_files", "max_tasks")),
        }
        assert defaults.keys() - of_the_tasks == {f"webapp_api_{item.name}" for item in fields(Settings)}

    def test_every_variable_is_explained(self) -> None:
        defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
        readme = (ROLE / "README.md").read_text()
        assert [name for name in defaults if f"`{name}`" not in readme] == []

    def test_its_variables_arrive(self) -> None:
        settings = settings_from_text(
            self.rendered(
                webapp_api_public_origin="https://[2001:db8::1]",
                webapp_api_listen_address="::1",
                webapp_api_listen_port=18081,
                webapp_api_stun_servers=[],
                webapp_api_features={"video": False, "a b": True},
            )
        )
        assert settings.wss_url == "wss://[2001:db8::1]/sip"
        assert (settings.listen_address, settings.listen_port) == ("::1", 18081)
        assert (settings.stun_servers, settings.features) == ((), {"video": False, "a b": True})
