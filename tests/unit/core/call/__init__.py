"""The steps of a call, tested as ladders: an event in, actions out."""
