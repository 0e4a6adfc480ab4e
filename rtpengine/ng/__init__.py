"""The ng control protocol, without I/O: encoding, commands, replies, retransmission."""
