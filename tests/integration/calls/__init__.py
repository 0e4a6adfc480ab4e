"""Calls through the real Kamailio, KEMI code and rtpengine, between a scripted page and a scripted core."""
