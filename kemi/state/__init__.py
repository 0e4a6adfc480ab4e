"""Where records live.  Knows tables and JSON; knows nothing of Kamailio (a table is given) nor of SIP decisions."""
