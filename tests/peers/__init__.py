"""Scripted SIP peers and media endpoints: what stands on both sides of the gateway in a test.

Nothing here imports the gateway: the equipment has its own reading of the RFCs, so that a
misunderstanding in the product cannot hide behind the same misunderstanding in its test.
"""
