"""Hide libOSMesa from every Python process that has this folder on PYTHONPATH, as on a machine without it."""

import ctypes

_load = ctypes.CDLL.__init__


def _load_unless_osmesa(self, name, *args, **kwargs):
    if name and "OSMesa" in str(name):
        raise OSError(f"{name}: cannot open shared object file: No such file or directory")
    _load(self, name, *args, **kwargs)


ctypes.CDLL.__init__ = _load_unless_osmesa
