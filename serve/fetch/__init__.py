"""Frames, kernels and labels from the public archives, onto this machine.

One file has one job: ``services`` where the archives are, ``query`` what is asked for, ``opus``, ``volumes``,
``kernels`` and ``zenodo`` how each source answers (with ``tables`` for the index tables, checksum manifests and folder
listings of archives), ``web`` polite conversation, ``download`` one file, whole and checked, ``places`` where it may
lie, ``provenance`` what is kept of where it came from, ``plan`` what a fetch will cost, ``run`` all of it with several
products at a time.

What is fetched lies as in the archive: ``OUT/GO_0017/C3/IO/C0368558239R.IMG`` with its label beside it.
"""
