"""A call from a page: from its INVITE to the far end's answer, by the home network or by trunks."""
