"""Addresses of places elsewhere: which may be read, and how."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import InvalidURL
from typing import IO, Any, cast
from urllib.request import urlopen

from contrapose.data.failure import one_line
from contrapose.data.shards import ADDRESS
from contrapose.errors import ConfigError, PluginError, Unreachable

SCHEMES = ("http", "https", "s3", "gs", "gcs", "hf", "az", "abfs", "memory")
"""What an address may begin with. ``fsspec`` knows schemes that read files here, run commands or expand templates."""
TIMEOUT = 60.0
"""Seconds that a server may be silent."""


def check_address(address: str) -> None:
    """Raise `ConfigError` for an address whose scheme isn't among ``SCHEMES``, and for a chain of several."""
    if not re.match(ADDRESS, address):
        return
    shown = address.partition("?")[0]
    scheme, colon, rest = address.partition("://")
    if not colon or scheme not in SCHEMES:
        raise ConfigError(
            f"{shown}: an address begins with one of {', '.join(SCHEMES)}, and ://; a file here is given as its path"
        )
    if "::" in rest and not scheme.startswith("http"):  # where it is an IPv6 host, and Python itself reads
        raise ConfigError(f"{shown}: chained addresses are refused, as they may run code; give the data's own")


def open_address(address: str) -> IO[bytes]:
    """A file or an address, to be read from its beginning.

    Raises ``OSError`` where it can't be reached, `Unreachable` where it is none that can be, `ConfigError` as `check_address`
    does, or `PluginError` where a package lacks.
    """
    check_address(address)
    if not re.match(ADDRESS, address):
        return open(address, "rb")
    if re.match("https?:", address):
        try:
            return cast(IO[bytes], urlopen(address, timeout=TIMEOUT))
        except (ValueError, InvalidURL):  # whose words may hold a key
            why = "can't be asked for: a bracket, a port or a sign that no address has (a space is %20 in one)"
            raise Unreachable(f"{address.partition('?')[0]}: {why}") from None
    import fsspec

    try:
        with _as_os_errors():
            return cast(IO[bytes], _Remote(fsspec.open(address, "rb").open()))
    except ImportError as error:
        raise PluginError(f"{address.partition('?')[0]}: {one_line(error)}") from error


class _Remote(io.RawIOBase):
    """A file of fsspec's, whatever its protocol's package raises."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _as_os_errors():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """What each protocol's package has of its own, as the ``OSError`` that it is about."""
    try:
        yield
    except (OSError, ImportError, MemoryError):
        raise
    except Exception as error:
        raise OSError(one_line(error)) from error
