"""Streams: each sample once a pass, whoever reads it; as many batches on every rank; what breaks is listed; a resume is exact."""

import functools
import gzip
import http.server
import itertools
import json
import pickle
import socket
import sys
import tarfile
import threading

import numpy as np
import pytest
from tests.core.test_data_packed import Drawn, Note, Pulse, members, samples, write_tar
from tests.core.test_loader import flat

from contrapose.data import make_loader, open_reader, split
from contrapose.data import stream as stream_module
from contrapose.data.pack import pack
from contrapose.data.split import TRAIN
from contrapose.engine.components import Samples
from contrapose.errors import ConfigError, ContraposeWarning, DataError, Unreachable
from contrapose.types import Reader, StreamReader

MODALITIES = {"pulse": Pulse(), "note": Note()}
META = {"label": "kind", "time": "t", "class": "cls"}
SIZES = (9, 4, 12, 7, 10)
TOTAL = sum(SIZES)
PASS = 1 << 54
"""What a pass adds to a sample's id in a batch."""
IDS = sorted((shard << 32) + row for shard, size in enumerate(SIZES) for row in range(size))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stream_module, "WAIT", 0.001)


@pytest.fixture
def shards(tmp_path):
    """Five shards of unlike sizes."""
    numbers = itertools.count()
    for s, size in enumerate(SIZES):
        write_tar(tmp_path / f"part-{s}.tar", [m for i in itertools.islice(numbers, size) for m in members(i)])
    return tmp_path


def opened(path, columns=None, meta=META, **more):
    return open_reader(
        {"use": "webdataset", "path": str(path), "streaming": True, **more},
        MODALITIES,
        columns or {"pulse": None, "note": None},
        meta,
    )


def loaded(reader, batch_size=4, steps=8, window=5, **options):
    return make_loader(reader, Drawn(), MODALITIES, batch_size, steps=steps, window=window, **options)


def taken(loader, epochs=1):
    out = []
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        out += [flat(batch) for batch in loader]
    loader.close()
    return out


def ids(reader, batches, **options):
    """The ids of the first batches, a list for each."""
    loader = loaded(reader, steps=batches, **options)
    found = [batch.sample.tolist() for batch in loader]
    loader.close()
    return found


def test_a_stream_gives_what_positions_give_and_says_that_it_has_none(shards):
    stream = opened(shards / "part-{0..4}.tar")
    assert isinstance(stream, StreamReader)
    assert isinstance(stream, Reader)
    by_position = open_reader(
        str(shards / "part-{0..4}.tar"), MODALITIES, {"pulse": None, "note": None}, {"time": "t", "class": "cls"}
    )
    one = [
        (s.data["pulse"].tobytes(), s.data.get("note", np.zeros(0)).tobytes(), s.meta["time"], s.meta["class"])
        for s in stream
    ]
    other = [
        (s.data["pulse"].tobytes(), s.data.get("note", np.zeros(0)).tobytes(), s.meta["time"], s.meta["class"])
        for s in (by_position[i] for i in range(TOTAL))
    ]
    assert one == other
    found = list(stream)
    assert [s.id for s in found] == IDS
    assert len({s.meta["label"] for s in found}) == 3
    assert found[0].meta["label"] == found[3].meta["label"] > 1 << 32
    assert {n: d.kind for n, d in stream.meta.items()} == {"label": "i", "time": "f", "class": "i"}
    assert [set(c) for c in itertools.islice(stream.cells("note"), 2)] == [{"note"}, {"note"}]
    for ask in (lambda: len(stream), lambda: stream[0]):
        with pytest.raises(DataError, match="a stream can only be read from its beginning") as error:
            ask()
        assert "\n" not in str(error.value)
    assert [s.id for s in Samples(stream, "note")] == [s.id for s in found if "note" in s.data]
    assert len(pickle.dumps(stream)) < 3000
    assert stream.fingerprint() == opened(shards / "part-{0..4}.tar").fingerprint()
    assert stream.fingerprint() != opened(shards / "part-{0..3}.tar").fingerprint()


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_gives_each_sample_once_whoever_reads_it(shards, world, workers):
    reader = opened(shards / "part-*.tar")
    seen = []
    for rank in range(world):
        loader = loaded(reader, world, steps=2 * TOTAL * max(1, workers), rank=rank, world=world, workers=workers)
        laps = [[] for _ in range(max(1, workers))]
        for k, batch in enumerate(loader):
            own = laps[k % len(laps)]
            lap = loader.dataset.places[k % len(laps)].lap
            assert batch.sample.item() // PASS == lap
            own.append((lap, batch.sample.item() % PASS))
        loader.close()
        seen += laps
    for lap in (0, 1):
        given = [[i for at, i in own if at == lap] for own in seen]
        assert sorted(itertools.chain(*given)) == IDS, "each sample has one reader"
        assert all(given)
    assert [i for own in seen for at, i in own if at == 0] != IDS
    first, second = ([i for own in seen for at, i in own if at == lap] for lap in (0, 1))
    assert first != second, "each pass has an order of its own"


def test_the_order_is_a_function_of_the_seed_and_the_views_of_seed_pass_and_sample(shards):
    reader = opened(shards / "part-*.tar")
    assert taken(loaded(reader, steps=15)) == taken(loaded(reader, steps=15))
    assert ids(reader, 10) != ids(reader, 10, seed=1)
    assert ids(reader, 10) != ids(reader, 10, window=1)
    views = {}
    for workers in (0, 2):  # the first pass alone: 42 samples
        for batch in loaded(reader, 1, steps=2 * TOTAL, workers=workers):
            views.setdefault(int(batch.sample) % PASS, []).append(batch.views["pulse/0"].data.tolist())
    plain = Drawn()
    for sample in reader:
        made = [v.data.tolist() for v in plain(sample, 0)[0] if v.name == "pulse/0"]
        assert made in views[sample.id]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 7, 23])
def test_a_resume_goes_on_with_the_very_next_batch(shards, workers, stop):
    reader = opened(shards / "part-*.tar")
    options = {"workers": workers, "steps": 30, "batch_size": 5, "rank": 1, "world": 2}
    whole = taken(loaded(reader, **options))
    loader = loaded(reader, **options)
    batches = iter(loader)
    for _ in range(stop):
        next(batches)
    states = json.loads(json.dumps([{}, loader.state()]))
    states[0] = states[1]
    loader.close()
    again = loaded(opened(shards / "part-*.tar"), **options)
    assert again.restore(states) is None
    again.set_epoch(0, stop)
    assert [flat(b) for b in again] == whole[stop:]
    again.close()


def test_a_resume_reads_one_shard_from_its_beginning_and_one_window(shards):
    reader = opened(shards / "part-*.tar")
    loader = loaded(reader, steps=30)
    list(loader)
    (place,) = loader.dataset.places
    assert place.lap == 2
    assert place.shard > 0
    asked = []
    again = opened(shards / "part-*.tar")
    rows = again.rows
    again.rows = lambda shard, start=0: asked.append((shard, start)) or rows(shard, start)
    going_on = loaded(again, steps=1)
    assert going_on.restore([loader.state()]) is None
    next(iter(going_on))
    order = loader.dataset._own(place.lap, 0)
    assert asked[0] == (order[place.shard], place.row)
    assert len(asked) <= 3, "a window of 5, and the next, lie in at most so many shards"


def test_a_batch_over_the_seam_of_two_passes_has_no_sample_twice(shards):
    (batch,) = loaded(opened(shards / "part-1.tar"), 8, steps=1)
    assert len(set(batch.sample.tolist())) == 8
    assert sorted(i % PASS for i in batch.sample.tolist()) == sorted([0, 1, 2, 3] * 2)


def test_epochs_go_on_where_the_last_one_stopped(shards):
    reader = opened(shards / "part-*.tar")
    whole = [b.sample.tolist() for b in loaded(reader, steps=12)]
    loader = loaded(reader, steps=4)
    assert len(loader) == 4
    assert [b.sample.tolist() for _ in range(3) for b in loader] == whole


def test_on_other_processes_a_new_pass_begins_and_says_so(shards):
    reader = opened(shards / "part-*.tar")
    loader = loaded(reader)
    list(loader)
    lap = loader.dataset.places[0].lap
    for options in [{"workers": 2}, {"rank": 0, "world": 2}]:
        other = loaded(reader, **options)
        assert "begins a new pass" in other.restore([loader.state()])
        assert set(other.dataset.places) == {(lap + 1, 0, 0, 0)}
    other = loaded(opened(shards / "part-{0..3}.tar"))
    assert "other shards" in other.restore([loader.state()])


def test_too_few_shards_for_the_workers_are_one_line(shards):
    reader = opened(shards / "part-*.tar")
    with pytest.raises(ConfigError, match="there are 5 for 6, 3 in each process: set it to at most 2") as error:
        loaded(reader, workers=3, world=2)
    assert error.value.path == ("train", "workers")
    with pytest.raises(ConfigError, match="write more"):
        loaded(reader, 8, world=6)
    with pytest.raises(ConfigError, match="leaves some of 3 processes none"):
        loaded(reader, 2, world=3)


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_compressed_tars_are_read(shards, mode):
    whole = list(opened(shards / "part-*.tar"))
    for file in shards.glob("part-*.tar"):
        with tarfile.open(file) as old, tarfile.open(f"{file}.{mode}", f"w:{mode}") as new:
            for member in old:
                new.addfile(member, old.extractfile(member))
    found = list(opened(shards / f"part-{{0..4}}.tar.{mode}"))
    assert [s.data["pulse"].tolist() for s in found] == [s.data["pulse"].tolist() for s in whole]


# what is broken


def test_a_broken_file_is_missing_and_listed(tmp_path):
    made = [m for i in range(6) for m in members(i)]
    made = [(n, b"no number" if n == "d/002.beat" else b"{" if n == "d/003.json" else d) for n, d in made]
    made.insert(1, ("d/000.beat", b"9"))
    write_tar(tmp_path / "x.tar", made)
    stream = opened(tmp_path / "x.tar")
    loader = loaded(stream, 6, steps=1)
    (batch,) = loader
    assert sorted(batch.sample.tolist()) == [0, 1, 3, 4, 5]
    said = {(i, what): why for i, what, why in batch.skipped}
    assert said[2, "pulse"].startswith("d/002.beat: could not convert")
    assert said[3, "json"].startswith("d/003.json: can't be parsed")
    assert said[0, "beat"] == "d/000.beat: there is 'beat' twice"
    row = batch.sample.tolist().index(3)
    assert (batch.meta["label"][row], batch.meta["time"][row].isnan()) == (-1, True)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("cut", [0.3, 0.62, "between members", "garbage"])
def test_a_truncated_shard_gives_what_it_has_and_is_named(shards, cut, compressed):
    file = shards / "part-2.tar"
    whole = file.read_bytes()
    with tarfile.open(file) as tar:
        ends = [m.offset for m in tar if m.name.endswith("cls")]
    at = ends[5] if isinstance(cut, str) else int(cut * ends[-1])
    rest = b"x" * 512 if cut == "garbage" else b""
    data = whole[:at] + rest
    if compressed:
        file.unlink()
        file = shards / "part-2.tar.gz"
        packed = gzip.compress(whole)
        file.write_bytes(packed[: len(packed) * at // len(whole)] if isinstance(cut, float) else gzip.compress(data))
    else:
        file.write_bytes(data)
    stream = opened(f"{shards}/part-{{1.tar,{file.name.removeprefix('part-')}}}", meta={"class": "cls"})
    with pytest.warns(
        ContraposeWarning, match=r"part-2\.tar(\.gz)?: cut short or damaged (after \d+|from its first) sample"
    ):
        batches = list(loaded(stream, 4, steps=12))
    ids = {i % PASS for b in batches for i in b.sample.tolist()}
    assert ids >= set(range(4)), "the other shard is whole"
    seen = {i - (1 << 32) for i in ids if i >= 1 << 32}
    assert seen == set(range(len(seen)))
    assert len(seen) == 5 if isinstance(cut, str) else len(seen) < 12
    (skip,) = {s for b in batches for s in b.skipped}
    assert (skip[0], skip[1]) == ((1 << 32) + len(seen), "shard")


def test_a_stream_of_which_nothing_can_be_read_ends(shards):
    stream = opened(shards / "part-{0..1}.tar")
    for file in shards.glob("*.tar"):
        file.write_bytes(b"nonsense" * 1000)
    with pytest.raises(DataError, match=r"no sample in the 2 shards of a worker: .*cut short or damaged from"):
        list(loaded(stream))
    with (
        pytest.raises(DataError, match=r"part-0.tar: no samples"),
        pytest.warns(ContraposeWarning, match="damaged from"),
    ):
        opened(shards / "part-0.tar")


def test_what_a_config_gets_wrong_is_one_line(shards, tmp_path, monkeypatch):
    for said, why, where in [
        ({"path": "pipe:cat x.tar"}, "begins with one of http, https, s3", ()),
        ({"path": "s3://bucket/a.zip::memory://x.tar"}, "chained addresses are refused", ()),
        ({"path": f"{shards}/part-0.tar", "columns": {"pulse": "bat"}}, "did you mean 'beat'", ("modalities", "pulse")),
        ({"path": f"{shards}/part-0.tar", "meta": {"label": "kin"}}, "did you mean 'kind'", ("meta", "label")),
        ({"path": f"{shards}/part-0.tar", "streaming": False, "samples": 5}, "is for streams", ("samples",)),
    ]:
        with pytest.raises(ConfigError, match=why) as error:
            opened(**said)
        assert error.value.path == ("data", *where)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="no such file"):
        opened(tmp_path / "gone.tar")
    stream = opened(shards / "part-*.tar")
    assert split(stream, None) == {TRAIN: stream}
    for spec in ({"by": None, "test": 0.2}, {"column": "kind"}):
        with pytest.raises(ConfigError, match="a stream can't be split") as error:
            split(stream, spec)
    with pytest.raises(ConfigError, match="leave it out") as error:
        loaded(stream, together="label")
    assert error.value.path == ("train", "together")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises((DataError, Exception), match="s3fs") as error:
        opened("s3://bucket/x.tar")
    assert "\n" not in str(error.value)


# addresses


class Server(http.server.ThreadingHTTPServer):
    """Files of a folder; ``mood(path)`` says how many bytes of a file to send before the line goes dead, or a status."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.asked, self.mood = [], lambda path: None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        mood = self.server.mood(self.path)
        if isinstance(mood, str):
            self.send_error(int(mood))
        else:
            self.left = mood
            super().do_GET()

    def copyfile(self, source, out):
        data = source.read()
        out.write(data if self.left is None else data[: self.left])
        if self.left is not None:
            self.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server(shards):
    made = Server(shards)
    yield made
    made.shutdown()


def test_an_address_is_read_like_a_file(shards, server):
    here, there = opened(shards / "part-*.tar"), opened(f"{server.url}/part-{{0..4}}.tar?key=secret")
    assert samples_of(there) == samples_of(here)
    assert "secret" not in there.shards[0]
    assert server.asked[-1].endswith("?key=secret")
    assert ids(there, 12, workers=2) == ids(here, 12, workers=2)


def samples_of(stream):
    return [(s.id, s.data["pulse"].tolist(), s.meta["class"]) for s in stream]


def test_a_lost_connection_is_taken_up_where_it_broke_off(shards, server):
    whole = samples_of(opened(shards / "part-*.tar"))
    stream = opened(f"{server.url}/part-{{0..4}}.tar")
    server.asked.clear()
    tries = itertools.count()
    server.mood = lambda path: 9000 + 3000 * next(tries) if "part-2" in path and len(server.asked) < 7 else None
    assert samples_of(stream) == whole
    assert len(server.asked) > len(SIZES)


def test_an_address_that_does_not_answer_is_one_line(shards, server):
    stream = opened(f"{server.url}/part-{{0..4}}.tar?key=secret")
    server.asked.clear()
    server.mood = lambda path: "503" if "part-2" in path else None
    with pytest.raises(
        Unreachable, match=r"/part-2\.tar: can't be read after 0 samples: .*503.*, asked 5 times"
    ) as error:
        list(loaded(stream, steps=30))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert sum("part-2" in path for path in server.asked) == 5
    with pytest.raises(Unreachable, match=r"part-9.tar: can't be read .*404"):
        opened(f"{server.url}/part-9.tar")
    server.shutdown()
    server.server_close()
    with pytest.raises(Unreachable, match=r"part-0.tar: can't be read .* asked 5 times"):
        opened(f"{server.url}/part-0.tar")
    with pytest.raises(Unreachable, match="asked 5 times") as error:
        list(loaded(stream, steps=30, workers=2))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (408, 5), (425, 5), (429, 5), (500, 5)])
def test_a_server_is_asked_again_where_it_may_say_otherwise(shards, server, status, tries):
    stream = opened(f"{server.url}/part-{{0..4}}.tar")
    server.asked.clear()
    server.mood = lambda path: str(status) if "part-2" in path else None
    with pytest.raises(Unreachable, match=str(status)):
        list(stream)
    assert sum("part-2" in path for path in server.asked) == tries


class Down(Exception):
    """An error of a protocol's package, which is no OSError."""

    def __init__(self, status=None):
        super().__init__("the bucket is down")
        self.status = status


@pytest.mark.parametrize(("status", "tries"), [(None, 5), (503, 5), (429, 5), (403, 1)])
def test_what_a_protocol_s_package_raises_while_reading_is_asked_for_again(shards, monkeypatch, status, tries):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for k in range(3):
        memory.pipe(f"/shards/part-{k}.tar", (shards / f"part-{k}.tar").read_bytes())
    whole = samples_of(opened(shards / "part-{0..2}.tar"))
    stream = opened("memory://shards/part-{0..2}.tar")
    asked = []
    kind = type(memory.open("/shards/part-1.tar"))
    read = kind.read

    def failing(self, *a):
        if self.path == "/shards/part-1.tar" and self.tell() > 0 and len(asked) < most:
            asked.append(self.tell())
            raise Down(status)
        return read(self, *a)

    monkeypatch.setattr(kind, "read", failing)
    most = 3 if tries > 1 else 0
    assert samples_of(stream) == whole
    assert len(asked) == most
    asked.clear()
    most = 1000
    with pytest.raises(Unreachable, match="the bucket is down") as error:
        list(stream)
    assert "\n" not in str(error.value)
    assert len(asked) == tries


def test_a_flipped_bit_in_a_compressed_shard_is_named(shards):
    file = shards / "part-2.tar.gz"
    packed = bytearray(gzip.compress((shards / "part-2.tar").read_bytes(), 0))
    packed[packed.index(b"15 5.0 1e-9") + 1] ^= 1  # 14, which is a number too
    file.write_bytes(packed)
    stream = opened(file, meta={})
    with pytest.warns(
        ContraposeWarning, match=r"part-2\.tar\.gz: cut short or damaged after \d+ samples: CRC check failed"
    ):
        list(stream)


def test_a_compressed_shard_at_an_address_is_taken_up_where_it_broke_off(shards, server):
    whole = samples_of(opened(shards / "part-*.tar"))
    for k in range(len(SIZES)):
        (shards / f"part-{k}.tar.gz").write_bytes(gzip.compress((shards / f"part-{k}.tar").read_bytes(), 1))
    stream = opened(f"{server.url}/part-{{0..4}}.tar.gz")
    server.asked.clear()
    size = (shards / "part-2.tar.gz").stat().st_size
    server.mood = lambda path: size // 2 if "part-2" in path and len(server.asked) < 5 else None
    assert samples_of(stream) == whole
    assert len(server.asked) > len(SIZES)


def test_other_addresses_go_through_fsspec(shards):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/shards/part-0.tar", (shards / "part-0.tar").read_bytes())
    stream = opened("memory://shards/part-0.tar")
    assert samples_of(stream) == samples_of(opened(shards / "part-0.tar"))


# Hugging Face


@pytest.fixture
def parquet(tmp_path, monkeypatch):
    """Three Parquet files of 9, 4 and 12 rows: files, labels with names, lists of numbers."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets", reason="datasets isn't installed: pip install contrapose[hf]")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "x": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "room": datasets.ClassLabel(names=["b", "a"]),
            "more": datasets.Sequence(datasets.Value("float32")),
            "words": datasets.Value("string"),
        }
    )
    (tmp_path / "rows").mkdir()
    for k, size in enumerate((9, 4, 12)):
        rows = {
            "x": [{"bytes": f"{i + 100 * k} 1 2".encode(), "path": f"{i}.pulse"} for i in range(size)],
            "room": [i % 2 for i in range(size)],
            "more": [[float(i)] * 3 for i in range(size)],
            "words": [f"w{i}" for i in range(size)],
        }
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"rows/train-{k:05}-of-00003.parquet")
    return tmp_path / "rows"


def hf(path, meta=None, **more):
    said = {"use": "hf", "path": str(path), "streaming": True, **more}
    return open_reader(said, {"pulse": Pulse()}, {"pulse": "x"}, meta if meta is not None else {"label": "room"})


def test_an_iterable_dataset_is_a_stream(parquet):
    stream = hf(parquet, {"label": "room", "word": "words"})
    found = list(stream)
    assert [s.id for s in found] == [(k << 32) + i for k, size in enumerate((9, 4, 12)) for i in range(size)]
    assert [s.data["pulse"][0] for s in found] == [
        i + 100 * k for k, size in enumerate((9, 4, 12)) for i in range(size)
    ]
    assert [s.meta["label"] for s in found[:3]] == [0, 1, 0]
    assert stream.vocabularies == {"label": ["b", "a"]}
    raw = next(stream.rows(1, 3))
    assert (raw.cells["x"].name, raw.cells["more"].tolist()) == ("3.pulse", [3, 3, 3])
    whole = ids(stream, 10, batch_size=5, workers=2)
    assert whole == ids(hf(parquet), 10, batch_size=5, workers=2)
    first = [b[0] for b in ids(stream, 25, batch_size=1)]
    assert sorted(first) == [s.id for s in found]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterable_dataset_resumes_exactly(parquet, workers):
    options = {"steps": 14, "batch_size": 3, "workers": workers}
    only = {"pulse": Pulse()}

    class One(Drawn):
        def __init__(self):
            self.names = {"pulse/0": "pulse"}

    def loader():
        return make_loader(hf(parquet), One(), only, window=5, **dict(options.items()))

    whole = taken(loader())
    stopped = loader()
    batches = iter(stopped)
    for _ in range(5):
        next(batches)
    state = [stopped.state()]
    stopped.close()
    again = loader()
    assert again.restore(state) is None
    again.set_epoch(0, 5)
    assert [flat(b) for b in again] == whole[5:]
    again.close()


@pytest.mark.parametrize("where", ["page", "end"])
def test_a_damaged_parquet_file_is_left_out_and_named(parquet, where):
    file = sorted(parquet.iterdir())[2]
    stream = hf(parquet)
    data = bytearray(file.read_bytes())
    data[4:200] = bytes(196) if where == "page" else data[4:200]
    file.write_bytes(data if where == "page" else data[:-50])
    with pytest.warns(ContraposeWarning, match="shard 2: cut short or damaged"):
        assert len(list(stream)) == 13


@pytest.mark.parametrize(
    ("error", "kind", "tries"),
    [
        (Down(), Unreachable, 5),
        (Down(429), Unreachable, 5),
        (Down(404), Unreachable, 1),
        (TimeoutError("slow"), Unreachable, 5),
        (ValueError("no such page"), DataError, 1),
        (EOFError("the end"), DataError, 1),
        (gzip.BadGzipFile("CRC"), DataError, 1),
        (OSError("Couldn't deserialize thrift"), DataError, 1),
    ],
)
def test_an_error_of_an_iterable_dataset_is_damage_or_its_server_s(parquet, error, kind, tries):
    asked = []

    class Failing:
        def shard(self, num_shards, index):
            return self

        def skip(self, rows):
            return self

        def iter(self, batch_size):
            asked.append(batch_size)
            raise error

    stream = hf(parquet)
    stream._dataset = Failing()
    with pytest.raises(DataError) as found:
        list(stream.rows(0))
    assert type(found.value) is kind
    assert "\n" not in str(found.value)
    assert len(asked) == tries


def test_what_an_iterable_dataset_cannot_be_is_one_line(parquet):
    datasets = pytest.importorskip("datasets")
    with pytest.raises(ConfigError, match="a stream reads one split") as error:
        hf(parquet, split="all")
    assert error.value.path == ("data", "split")
    datasets.load_dataset(str(parquet), split="train").save_to_disk(str(parquet.parent / "saved"))
    with pytest.raises(ConfigError, match="read by position; leave streaming out"):
        hf(parquet.parent / "saved")
    file = sorted(parquet.iterdir())[1]
    stream = hf(parquet)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.warns(ContraposeWarning, match="shard 1: cut short or damaged"):
        assert len(list(stream)) == 21


# to positions, by packing


def test_a_stream_can_be_packed_into_samples_by_position(shards, tmp_path):
    stream = opened(shards / "part-*.tar")
    done = pack(stream, MODALITIES, tmp_path / "packed", 2000)
    assert (done.rows, done.missing) == (TOTAL, [])
    assert done.shards > 1
    by_position = pack(
        open_reader(str(shards / "part-*.tar"), MODALITIES, {"pulse": None, "note": None}),
        MODALITIES,
        tmp_path / "other",
    )
    assert by_position.rows == TOTAL
    columns = {"pulse": None, "note": None}
    one, other = (open_reader(tmp_path / name, MODALITIES, columns, META) for name in ("packed", "other"))
    assert samples(one) == samples(other)
    assert sorted(one.column_names) == sorted(other.column_names)


def test_an_iterable_dataset_can_be_packed(parquet, tmp_path):
    done = pack(hf(parquet), {"pulse": Pulse()}, tmp_path / "packed")
    assert done.rows == 25
    packed = open_reader(tmp_path / "packed", {"pulse": Pulse()}, {"pulse": "x"}, {"label": "room"})
    assert [s.data["pulse"].tolist() for s in hf(parquet)] == [packed[i].data["pulse"].tolist() for i in range(25)]


def test_a_column_that_comes_late_is_packed_and_one_that_mixes_types_is_one_line(tmp_path):
    rows = [
        (f"{i:04}.json", json.dumps({"a": i, "t": 1} | ({"late": [0.5, i]} if i > 90 else {})).encode())
        for i in range(100)
    ]
    write_tar(tmp_path / "x.tar", [m for i, row in enumerate(rows) for m in (row, (f"{i:04}.dat", b"1 2 3"))])
    stream = opened(tmp_path / "x.tar", {"pulse": "dat"}, {"time": "t"})
    pack(stream, MODALITIES, tmp_path / "packed")
    packed = open_reader(tmp_path / "packed", MODALITIES, {"pulse": "dat"}, {"time": "t"})
    assert packed.table.column("late").to_pylist()[89:92] == [None, None, [0.5, 91.0]]
    rows[99] = ("0099.json", b'{"a": "text"}')
    write_tar(tmp_path / "y.tar", [m for i, row in enumerate(rows) for m in (row, (f"{i:04}.dat", b"1 2 3"))])
    with pytest.raises(DataError, match="the stream mixes types in 'a'"):
        pack(opened(tmp_path / "y.tar", {"pulse": "dat"}, {"time": "t"}), MODALITIES, tmp_path / "never")
