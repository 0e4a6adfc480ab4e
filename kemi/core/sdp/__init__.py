"""Session descriptions: reading, judging and rewriting them between a web client, the media relay and IMS.

Pure functions over values: no I/O, no clock, no randomness.  ``model`` and ``text`` know the format,
``codecs``, ``checks`` and ``judge`` what a web offer means, ``interwork`` what each of the three parties is
told.
"""
