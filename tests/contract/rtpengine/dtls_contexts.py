"""Run with the role's library loaded before everything: does with libssl what rtpengine does, and looks at contexts.

Exit status 0: a context is used again only after its connection has gone, is as good as new then, and resumes nothing.
"""

from __future__ import annotations

import ctypes
from typing import Final

_SET_READ_AHEAD: Final = 41
_GET_SESSION_CACHE_MODE: Final = 45
_NO_QUERY_MTU: Final = 1 << 12
_NO_TICKET: Final = 1 << 14

# In the order in which the loader looks for rtpengine's symbols: what was loaded first, then libssl.
ctypes.CDLL("libssl.so.3", mode=ctypes.RTLD_GLOBAL)
ssl = ctypes.CDLL(None)
for name in ("DTLS_server_method", "DTLS_client_method", "TLS_server_method", "SSL_CTX_new", "SSL_new"):
    getattr(ssl, name).restype = ctypes.c_void_p
    getattr(ssl, name).argtypes = [ctypes.c_void_p] if name.startswith("SSL") else []
for name in ("SSL_CTX_free", "SSL_free"):
    getattr(ssl, name).restype = None
    getattr(ssl, name).argtypes = [ctypes.c_void_p]
ssl.SSL_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
ssl.SSL_CTX_ctrl.restype = ctypes.c_long
ssl.SSL_CTX_get_options.argtypes = [ctypes.c_void_p]
ssl.SSL_CTX_get_options.restype = ctypes.c_uint64
ssl.SSL_CTX_set_options.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
ssl.SSL_CTX_set_options.restype = ctypes.c_uint64

SERVER, CLIENT, TLS = ssl.DTLS_server_method(), ssl.DTLS_client_method(), ssl.TLS_server_method()


def connection(method: int) -> tuple[int, int]:
    """Make a context and its connection as rtpengine does."""
    context: int = ssl.SSL_CTX_new(method)
    assert ssl.SSL_CTX_ctrl(context, _SET_READ_AHEAD, 1, None) == 0, "rtpengine takes this for an error"
    made: int = ssl.SSL_new(context)
    options = ssl.SSL_CTX_get_options(context)
    assert not options & _NO_QUERY_MTU
    ssl.SSL_CTX_set_options(context, _NO_QUERY_MTU)
    return context, made


def end(context: int, made: int) -> None:
    """End both in rtpengine's order."""
    ssl.SSL_CTX_free(context)
    ssl.SSL_free(made)


def main() -> None:
    """Look at all kinds."""
    for method in (SERVER, CLIENT):
        first = connection(method)
        second = connection(method)
        assert first[0] != second[0], "one context for two connections"
        assert ssl.SSL_CTX_get_options(first[0]) & _NO_TICKET
        assert ssl.SSL_CTX_ctrl(first[0], _GET_SESSION_CACHE_MODE, 0, None) == 0
        end(*first)
        third = connection(method)
        assert third[0] == first[0], "the context of an ended call was not taken again"
        assert third[0] != second[0]

        ssl.SSL_CTX_free(second[0])  # its connection lives on, and another ends meanwhile
        end(*third)
        fourth = connection(method)
        assert fourth[0] == third[0]
        fifth = connection(method)
        assert fifth[0] != second[0], "a context that still has a connection"
        ssl.SSL_free(second[1])
        end(*fourth)
        end(*fifth)

    tls = ssl.SSL_CTX_new(TLS)
    assert ssl.SSL_CTX_ctrl(tls, _GET_SESSION_CACHE_MODE, 0, None), "TLS of others was changed"
    assert not ssl.SSL_CTX_get_options(tls) & _NO_TICKET
    ssl.SSL_CTX_free(tls)


if __name__ == "__main__":
    main()
