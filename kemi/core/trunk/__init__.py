"""Telephone trunks: what a carrier wants of a SIP peer that is no part of an IMS network (RFC 6140, SIPconnect 2.0)."""
