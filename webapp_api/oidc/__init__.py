"""Login at an OpenID Connect provider of the operator's own: authorization code with PKCE, state and nonce.

Knows the provider's HTTP interface and its claims; knows neither Flask nor cookies.
"""
