"""Data: readers of manifests and folders, their parts, and the loader that makes batches of views."""

from contrapose.data.balance import BalancedSampler
from contrapose.data.cells import cell_path, read_bytes
from contrapose.data.folder import FolderReader
from contrapose.data.frame import FrameReader
from contrapose.data.loader import Loader, StreamLoader, make_loader
from contrapose.data.manifest import ManifestReader
from contrapose.data.open import check_cells, open_other, open_reader
from contrapose.data.packed import PackedReader
from contrapose.data.sampler import EpochSampler
from contrapose.data.several import SeveralReader
from contrapose.data.split import split
from contrapose.data.stream import RowStream
from contrapose.data.tar import TarReader
from contrapose.data.tarstream import TarStream

__all__ = [
    "BalancedSampler",
    "EpochSampler",
    "FolderReader",
    "FrameReader",
    "Loader",
    "ManifestReader",
    "PackedReader",
    "RowStream",
    "SeveralReader",
    "StreamLoader",
    "TarReader",
    "TarStream",
    "cell_path",
    "check_cells",
    "make_loader",
    "open_other",
    "open_reader",
    "read_bytes",
    "split",
]
