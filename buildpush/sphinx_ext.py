"""The Sphinx extension, by the name that ``conf.py`` gives it; the work is in :mod:`buildpush.reference.sphinx`."""

from buildpush.reference.sphinx import setup

__all__ = ["setup"]
