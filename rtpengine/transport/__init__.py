"""The only modules of this package that own a socket."""
