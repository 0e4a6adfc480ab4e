"""Flow tokens name one connection and cannot be made by anybody else (RFC 5626 §5.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.errors import SipReject
from kemi.core.flow_token import flow_from_token, host_from_token, token_from_flow

SECRET = "0123456789abcdef0123456789abcdef"
NUMBERS = st.integers(0, 2**31).map(str)
HOSTS = st.sampled_from(["", "192.0.2.1:5060", "[2001:db8::1]:5060", "gateway.example:5060"])
NONCES = st.text("0123456789abcdef", min_size=1, max_size=32)


@pytest.mark.conformance("R-21")
@given(connection_id=NUMBERS, nonce=NONCES, host=HOSTS)
def test_a_token_leads_back_to_its_flow_and_is_a_legal_user_part(
    connection_id: str, nonce: str, host: str
) -> None:
    token = token_from_flow(SECRET, connection_id, nonce, host)
    assert flow_from_token(SECRET, token) == (connection_id, nonce, host)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.conformance("R-21")
@given(connection_id=NUMBERS, nonce=NONCES, data=st.data())
def test_a_changed_token_never_leads_to_another_flow(
    connection_id: str, nonce: str, data: st.DataObject
) -> None:
    token = token_from_flow(SECRET, connection_id, nonce, "192.0.2.1:5060")
    position = data.draw(st.integers(0, len(token) - 1))
    changed = token[:position] + data.draw(st.text(max_size=4)) + token[position + 1 :]
    try:
        found = flow_from_token(SECRET, changed)
    except SipReject as error:
        assert (error.status, error.reason_phrase) == (403, "Invalid Flow Token")
    else:
        assert found == (connection_id, nonce, "192.0.2.1:5060")  # base64 has spellings that mean the same


@given(token=st.text(max_size=60))
def test_rubbish_gets_403_and_nothing_else(token: str) -> None:
    with pytest.raises(SipReject) as caught:
        flow_from_token(SECRET, token)
    assert caught.value.status == 403


def test_a_token_of_another_gateway_gets_403() -> None:
    with pytest.raises(SipReject):
        flow_from_token(SECRET, token_from_flow("another secret" * 3, "7", "abc"))


@pytest.mark.parametrize(
    ("token", "host"),
    [
        (token_from_flow("another secret" * 3, "7", "abc", "192.0.2.1:5060"), "192.0.2.1:5060"),
        (token_from_flow("another secret" * 3, "7", "abc"), ""),
        ("", ""),
        ("no token", ""),
    ],
)
def test_the_gateway_of_a_token_that_was_kept_is_read_whoever_signed_it(token: str, host: str) -> None:
    assert host_from_token(token) == host


def test_the_error_does_not_repeat_the_token() -> None:
    token = token_from_flow("another secret" * 3, "7", "abc")
    with pytest.raises(SipReject) as caught:
        flow_from_token(SECRET, token)
    assert token not in caught.value.detail
