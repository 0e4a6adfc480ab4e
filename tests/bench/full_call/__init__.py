"""What a whole call with real ICE, DTLS and SRTP costs, and whether the one after it is heard: see `__main__`."""
