"""Pure decisions: SIP and SDP in, actions out.  No I/O, no clock, no randomness, standard library only."""
