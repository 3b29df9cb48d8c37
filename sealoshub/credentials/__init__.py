"""Where a person's registry credentials lie: auth.json, config.json, helpers, the keyring.

`locate` applies the rules to one environment; `find`, `save` and `erase` work on what it returns.
Nothing here reads the environment by itself.
"""

from __future__ import annotations

from sealoshub.credentials.places import Compat, Places, locate
from sealoshub.credentials.store import Store, StoredCredential, erase, find, hosts, require, save

__all__ = [
    "Compat",
    "Places",
    "Store",
    "StoredCredential",
    "erase",
    "find",
    "hosts",
    "locate",
    "require",
    "save",
]
