"""SIP services in Python beyond the IMS core: the PSTN gateway and the conference service, with their RTP."""
