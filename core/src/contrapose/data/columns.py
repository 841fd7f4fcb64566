"""Columns of a table (labels, groups, times) as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contrapose.errors import DataError


def encode(column: pa.ChunkedArray, vocabulary: Sequence[str] | None = None) -> tuple[np.ndarray, list[str] | None]:
    """Numbers for a column (N,), and the vocabulary that strings and bools were coded by.

    Whole numbers are int64, missing -1; other numbers float64, missing NaN; times float64 seconds since 1970. Strings
    become int64 codes into the sorted values, missing -1; values that a given ``vocabulary`` lacks follow after it.
    Raises `DataError`.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_null(kind):
        return np.full(len(column), -1, np.int64), None
    if pa.types.is_integer(kind):
        return _numpy(column, pa.int64(), -1), None
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numpy(column, pa.float64(), float("nan")), None
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
        return _numpy(stamps, pa.float64(), float("nan")) / 1e6, None
    if pa.types.is_boolean(kind):
        return _numpy(column.cast(pa.int8()), pa.int64(), -1), ["false", "true"]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"a column of {kind} can't serve as a number or a label")
    values = column.cast(pa.large_string())
    words = list(vocabulary or ())
    known = set(words)
    try:
        words += sorted(v for v in pc.unique(values).to_pylist() if v is not None and v not in known)
    except UnicodeDecodeError as error:
        raise DataError(f"it holds text that isn't UTF-8 ({error.object!r:.40}); save it as UTF-8") from None
    codes = pc.index_in(values, value_set=pa.array(words, pa.large_string()))
    return _numpy(codes, pa.int64(), -1), words


def _numpy(column: pa.ChunkedArray, kind: pa.DataType, missing: float) -> np.ndarray:
    try:
        return np.asarray(pc.fill_null(column.cast(kind, safe=kind == pa.int64()), pa.scalar(missing, kind)))
    except pa.ArrowInvalid as error:
        raise DataError(f"a column of {column.type} doesn't fit {kind}: {error}") from None
