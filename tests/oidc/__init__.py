"""A real OpenID Connect provider on loopback, and the person who logs in there by its forms."""
