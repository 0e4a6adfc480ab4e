"""The eP-CSCF: SIP between web pages (WIC) and an IMS core, as Python run by Kamailio (KEMI)."""
