"""Versions of installed packages."""

import importlib.metadata


def version_of(package: str) -> str:
    """Of a package; empty where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def own_version() -> str:
    """Of Headstart."""
    return version_of("headstart")
