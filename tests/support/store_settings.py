"""The settings of an area in a store."""

from __future__ import annotations

from typing import Any

ENDPOINT = "http://10.0.0.5:8333"
KEYS = ("key-id", "the-s3cret")
URL = "/inside/media/"


def stored(endpoint: str = ENDPOINT, keys: tuple[str, str] = KEYS, **area: Any) -> dict[str, Any]:
    """Return the settings of an area ``media`` in the bucket ``files``.

    :param area: more settings of the area; ``store`` has more of the store.
    """
    store = {"endpoint": endpoint, "bucket": "files", **area.pop("store", {})}
    areas = {"media": {"url": URL, "store": store, **area}}
    return {"DELEGATE_AREAS": areas, "DELEGATE_STORE_KEYS": {"media": keys}}
