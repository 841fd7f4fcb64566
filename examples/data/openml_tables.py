"""The tables of OpenML-CC18 that no package has, by their numbers there; scikit-learn fetches them, where it can reach OpenML."""

from __future__ import annotations

import math
from typing import Any

IDS = {
    "analcatdata_authorship": 458,
    "analcatdata_dmft": 469,
    "banknote-authentication": 1462,
    "Bioresponse": 4134,
    "blood-transfusion": 1464,
    "churn": 40701,
    "climate-model-simulation-crashes": 40994,
    "cnae-9": 1468,
    "connect-4": 40668,
    "dna": 40670,
    "dresses-sales": 23381,
    "electricity": 151,
    "eucalyptus": 188,
    "first-order-theorem-proving": 1475,
    "GesturePhase": 4538,
    "har": 1478,
    "ilpd": 1480,
    "Internet-Advertisements": 40978,
    "isolet": 300,
    "jm1": 1053,
    "jungle_chess": 41027,
    "kc1": 1067,
    "kc2": 1063,
    "mfeat-factors": 12,
    "mfeat-fourier": 14,
    "mfeat-karhunen": 16,
    "mfeat-morphological": 18,
    "mfeat-pixel": 40979,
    "mfeat-zernike": 22,
    "MiceProtein": 40966,
    "nomao": 1486,
    "numerai28.6": 23517,
    "ozone-level-8hr": 1487,
    "pc1": 1068,
    "pc3": 1050,
    "pc4": 1049,
    "PhishingWebsites": 4534,
    "qsar-biodeg": 1494,
    "semeion": 1501,
    "sick": 38,
    "steel-plates-fault": 40982,
    "wall-robot-navigation": 1497,
    "wilt": 40983,
}


def fetched(name: str) -> dict[str, list[Any]]:
    """Columns ``x0`` and on, words as text, numbers as floats, blanks None; ``label``. Raises ``OSError`` without a way there."""
    from sklearn.datasets import fetch_openml

    found = fetch_openml(data_id=IDS[name], as_frame=True, parser="auto")
    columns = [found.data[column] for column in found.data]
    table = {f"x{n}": [*map(_word if _names(column) else _number, column)] for n, column in enumerate(columns)}
    return table | {"label": [*map(str, found.target)]}


def _names(column: Any) -> bool:
    """Whether a pandas column is of categories or text."""
    return column.dtype.kind not in "iufb"


def _word(cell: Any) -> str | None:
    """With a word before it, as a category may be a numeral."""
    return None if cell is None or cell != cell else f"is {cell}"


def _number(cell: Any) -> float | None:
    return None if math.isnan(cell) else float(cell)
