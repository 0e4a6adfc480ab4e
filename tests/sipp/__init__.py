"""Scenarios for lab testers: SIPp plays carrier and caller, a scripted page the web user: `python -m tests.sipp`."""
