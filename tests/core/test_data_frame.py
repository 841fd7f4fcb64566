"""Tables that Python holds, and cells that come by column."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contrapose.data import FrameReader, ManifestReader, check_cells, open_other, open_reader, split
from contrapose.errors import ConfigError, DataError


class Goods:
    """Cells as they are; refuses data without a price."""

    name, dtype = "goods", None

    def load(self, cells, root):
        return dict(cells)

    def check_cells(self, cells, root):
        if all(row["price"] is None for row in cells):
            raise DataError(f"no price among {', '.join(cells.names)}")


GOODS = {"goods": Goods()}
COLUMNS = {"goods": ["price", "wood"]}
ROWS = {
    "price": [1.5, None, 3.0, None, 5.0, 6.0],
    "wood": ["oak", "ash", "oak", None, "elm", "oak"],
    "part": ["train", "train", "test", "train", "train", "test"],
}


def frames():
    table = pa.table(ROWS)
    parts = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    coded = table.set_column(1, "wood", table.column("wood").dictionary_encode())
    found = {"pyarrow": table, "in parts": parts, "codes": coded, "batch": table.to_batches()[0]}
    found["pandas"] = pd.DataFrame({**ROWS, "price": pd.array(ROWS["price"], "Float64")})
    found["views"] = table.set_column(1, "wood", table.column("wood").cast(pa.string_view()))
    wood = coded.column("wood").chunk(0)
    codes = pa.DictionaryArray.from_arrays(wood.indices, wood.dictionary.cast(pa.string_view()))
    found["codes of views"] = table.set_column(1, "wood", codes)  # as polars has categories
    return found


@pytest.mark.parametrize("kind", frames())
def test_a_table_in_memory_is_as_one_on_disk(tmp_path, kind):
    pq.write_table(pa.table(ROWS), tmp_path / "goods.parquet")
    one = open_reader(tmp_path / "goods.parquet", GOODS, COLUMNS, {"label": "wood"})
    other = open_reader(frames()[kind], GOODS, COLUMNS, {"label": "wood"}, base=tmp_path)
    assert isinstance(other, FrameReader)
    assert other.root == tmp_path
    for reader in (other, pickle.loads(pickle.dumps(other))):
        assert [reader[i] for i in range(6)] == [one[i] for i in range(6)]
    assert other.vocabularies == one.vocabularies == {"label": ["ash", "elm", "oak"]}
    assert len(split(other, {"column": "part"})["train"]) == 4


def test_its_fingerprint_is_that_of_what_it_holds():
    def of(frame):
        return open_reader(frame, GOODS, COLUMNS).fingerprint()

    whole = frames()
    assert of(whole["pyarrow"]) == of(whole["in parts"]) == of(whole["codes"])
    assert of(whole["pyarrow"]) != of(pa.table({**ROWS, "price": [1.5, None, 3.0, None, 5.0, 7.0]}))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame({"price": [1, "a"]}), "this DataFrame can't be read as a table: .*column price"),
        (pd.DataFrame([[1, 2]], columns=["price", "price"]), "can't be read as a table: Duplicate column"),
        (pa.table([[1], [2]], names=["price", "price"]), "this Table has the column 'price' twice"),
        (pa.table({"price": pa.array([], pa.int64()), "wood": pa.array([], pa.string())}), "no samples"),
    ],
)
def test_what_makes_no_table_is_said_in_one_line(frame, said):
    with pytest.raises(DataError, match=said) as error:
        open_reader(frame, GOODS, COLUMNS)
    assert "\n" not in str(error.value)


def test_a_column_that_it_lacks_is_a_config_error():
    with pytest.raises(ConfigError, match="no column 'wood'; did you mean 'woods'"):
        open_reader(pd.DataFrame({"price": [1], "woods": ["oak"]}), GOODS, COLUMNS)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [5, 0, 4], [3, 3, 1], [3]])
def test_batches_hold_the_cells_of_the_samples_that_have_any(tmp_path, rows):
    """Row 3 has none of them; parts of the table are of 2 rows here."""
    pq.write_table(pa.table(ROWS), tmp_path / "goods.parquet")
    reader = ManifestReader(tmp_path / "goods.parquet", GOODS, COLUMNS).subset(rows)
    reader._table = pa.Table.from_batches(reader.table.to_batches(max_chunksize=2))
    cells = reader.cells("goods")
    found = [row for batch in cells.batches() for row in batch.to_pylist()]
    assert found == sorted(cells, key=lambda c: ROWS["price"].index(c["price"]) if c["price"] else 1)
    assert list(cells.names) == list(ROWS)


def test_a_modality_may_refuse_other_data(tmp_path):
    pq.write_table(pa.table({**ROWS, "price": pa.array([None] * 6, pa.float64())}), tmp_path / "goods.parquet")
    with pytest.raises(DataError, match="no price among price, wood, part"):
        open_other(tmp_path / "goods.parquet", GOODS, COLUMNS)
    check_cells(open_reader(pa.table(ROWS), GOODS, COLUMNS), GOODS)
    check_cells([np.zeros(2)], GOODS)  # of readers that know no cells nothing is asked
