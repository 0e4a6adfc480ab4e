"""Floods of STUN, DTLS, RTP and RTCP at the ports of a running call."""
