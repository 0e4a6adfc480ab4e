"""The SDK and the softphone page in a real Chromium against a scripted gateway with real ICE, DTLS and SRTP."""
