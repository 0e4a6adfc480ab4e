"""A small but real IMS core: I-CSCF, S-CSCF and an access P-CSCF on Kamailio, with a Cx HSS in Python."""
