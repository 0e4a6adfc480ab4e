"""The media agent: what the gateway's worker processes cannot wait for, in a process of its own beside Kamailio.

Pings the relay nodes, tells the gateway which ones can take calls, names the calls of a dead one, and deletes what is
left over on a live one. Talks to the gateway through its control endpoint (HTTP) and knows no more of it.
"""
