"""A site whose settings are right, for tests that need one."""

from __future__ import annotations

SETTINGS_TEXT = """
realm = "ims.example"
visited_network = "visited.example"
icscf_uris = ["sip:icscf.ims.example"]
origins = ["https://page.example"]
flow_secret = "0123456789abcdef0123456789abcdef"
redis_url = "redis://127.0.0.1:6379/0"

[sip]
address = "192.0.2.1"
port = 5060
ws_address = "127.0.0.1"
ws_port = 8080

[control]
address = "127.0.0.1"
port = 8081
secret = "fedcba9876543210fedcba9876543210"

[media]
nodes = [{ address = "192.0.2.9", port = 2223, version = "10.5" }]
ng_deadline_ms = 1000
audio_codecs = ["opus", "PCMA"]
video_codecs = ["VP8"]

[timers]
prack_s = 32
update_s = 5
ims_response_s = 5
ims_answer_s = 180
flow_recovery_s = 30
"""
