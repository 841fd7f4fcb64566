"""The loader: the same batches whatever the workers, the ranks and the resume; what can't be read is missing and listed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrapose.config import build as config_build
from contrapose.data import EpochSampler, ManifestReader, make_loader
from contrapose.errors import ConfigError, DataError, PluginError
from contrapose.plugins import configure
from contrapose.types import Batch, Sample, View
from contrapose.views import ViewPlan, view


class Pulse:
    name = "pulse"
    dtype = torch.float32

    def load(self, cells, root):
        return cells

    def collate(self, items):
        return torch.stack([torch.as_tensor(i) for i in items])

    def preview(self, data):
        return {"text/plain": str(data)}


class Ragged(Pulse):
    name = "ragged"

    def collate(self, items):
        mask = torch.zeros(len(items), 4, dtype=torch.bool)
        values = torch.zeros(len(items), 4, dtype=torch.float64)
        for i, item in enumerate(items):
            values[i, : len(item)] = torch.as_tensor(item)
            mask[i, : len(item)] = True
        return {"values": values, "mask": mask, "count": mask.sum(1)}


MODALITIES = {"pulse": Pulse(), "ragged": Ragged()}


class Memory:
    """A reader of 23 samples; every third lacks ``ragged``; positions of ``bad`` fail to read."""

    def __init__(self, size=23, bad=()):
        self.size, self.bad = size, bad
        self.meta = {"label": np.dtype(np.int64), "time": np.dtype(np.float64)}

    def __len__(self):
        return self.size

    def read(self, i):
        data = {"pulse": np.arange(3.0) + i}
        if i % 3:
            data["ragged"] = np.ones(i % 3)
        failed = []
        if i in self.bad:
            failed = [(m, DataError(f"{m}{i}: broken")) for m in list(data) if m == "pulse" or self.bad[i] == "all"]
        meta = {"label": i % 4, "time": i / 2}
        return Sample(100 + i, {m: d for m, d in data.items() if m not in dict(failed)}, meta), failed

    def __getitem__(self, i):
        return self.read(i)[0]


@view("pulse")
def jitter(pulse, rng, sigma=0.1):
    return [View("", "pulse", pulse + rng.normal(0, sigma, 3), {"at": int(rng.integers(9)), "weight": 0.5})]


@view("ragged")
def same(data, rng):
    return data


def plan(pulse=jitter, ragged=same):
    return ViewPlan.from_config(
        {"pulse": {"use": "p", "count": 2}, "ragged": ragged},
        None,
        lambda kind, node, path, **context: pulse if isinstance(node, dict) else node,
        MODALITIES,
    )


def loader(reader=None, made=None, batch_size=5, **options):
    return make_loader(reader or Memory(), (made or plan()).maker(3), MODALITIES, batch_size, **options)


def flat(batch):
    """A batch as comparable bytes and values."""

    def tensors(tree):
        if isinstance(tree, dict):
            return {k: tensors(v) for k, v in tree.items()}
        return None if tree is None else (tree.dtype, tree.tolist())

    views = {n: (tensors(v.data), v.modality, v.index.tolist(), tensors(v.meta)) for n, v in batch.views.items()}
    return batch.sample.tolist(), views, tensors(batch.meta), batch.skipped


def epochs(made, *numbers, start=0):
    out = []
    for epoch in numbers:
        made.set_epoch(epoch, start)
        out += [flat(b) for b in made]
    return out


def test_a_batch_holds_what_its_samples_have():
    made = loader(shuffle=False, batch_size=4)
    batch = next(iter(made))
    assert isinstance(batch, Batch)
    assert batch.sample.tolist() == [100, 101, 102, 103]
    assert batch.meta["label"].tolist() == [0, 1, 2, 3]
    assert {k: v.dtype for k, v in batch.meta.items()} == {"label": torch.int64, "time": torch.float64}
    assert list(batch.views) == ["pulse/0", "pulse/1", "ragged/0"]
    pulse, ragged = batch.views["pulse/0"], batch.views["ragged/0"]
    assert (pulse.data.dtype, tuple(pulse.data.shape), pulse.modality) == (torch.float32, (4, 3), "pulse")
    assert pulse.index.tolist() == [0, 1, 2, 3]
    assert (pulse.meta["at"].dtype, pulse.meta["weight"].tolist()) == (torch.int64, [0.5] * 4)
    assert not torch.equal(pulse.data, batch.views["pulse/1"].data)
    assert ragged.index.tolist() == [1, 2]  # samples 0 and 3 lack it
    assert {k: v.dtype for k, v in ragged.data.items()} == {
        "values": torch.float32,
        "mask": torch.bool,
        "count": torch.int64,
    }


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_the_number_of_workers_changes_nothing():
    wanted = epochs(loader(), 0, 1, 0)
    assert wanted[:4] == wanted[8:]
    assert wanted[:4] != wanted[4:8]
    for workers in (1, 3):
        assert epochs(loader(workers=workers), 0, 1, 0) == wanted


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resume_yields_the_tail(workers):
    whole = epochs(loader(workers=workers), 2)
    assert epochs(loader(workers=workers), 2, start=3) == whole[3:]
    assert epochs(loader(workers=workers), 2, start=4) == []


def test_loading_leaves_global_randomness_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    wanted = torch.rand(3).tolist(), np.random.rand(3).tolist()
    torch.manual_seed(0)
    np.random.seed(0)
    epochs(loader(), 0)
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist()) == wanted


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_part_each_global_batch(world, drop_last):
    whole = [b for b, *_ in epochs(loader(batch_size=7, drop_last=drop_last), 1)]
    parts = [epochs(loader(batch_size=7, drop_last=drop_last, rank=r, world=world), 1) for r in range(world)]
    assert len(whole) == (3 if drop_last else 4)
    for k, batch in enumerate(whole):
        assert [i for part in parts for i in part[k][0]] == batch
    assert sorted(i for b in whole for i in b)[: 21 if drop_last else 23] == sorted({i for b in whole for i in b})


def test_a_rank_without_samples_gets_an_empty_batch_with_all_views():
    *_, last = loader(batch_size=22, drop_last=False, rank=0, world=2)
    assert (last.sample.dtype, len(last)) == (torch.int64, 0)
    assert {n: (v.data, v.modality, len(v)) for n, v in last.views.items()} == {
        "pulse/0": (None, "pulse", 0),
        "pulse/1": (None, "pulse", 0),
        "ragged/0": (None, "ragged", 0),
    }
    assert {k: (v.dtype, len(v)) for k, v in last.meta.items()} == {
        "label": (torch.int64, 0),
        "time": (torch.float64, 0),
    }


def test_the_order_is_a_permutation_by_seed_and_epoch():
    sampler = EpochSampler(50, 10, seed=1)
    assert sorted(sampler.order(0)) == list(range(50))
    assert sampler.order(0).tolist() == EpochSampler(50, 7, seed=1, rank=1, world=2).order(0).tolist()
    assert len({tuple(o) for o in (sampler.order(0), sampler.order(1), EpochSampler(50, 10, seed=2).order(0))}) == 3


def test_a_window_reads_from_few_places():
    sampler = EpochSampler(1003, 32, seed=1, window=160)
    for epoch in (0, 1):
        order = sampler.order(epoch)
        assert sorted(order) == list(range(1003))
        places = [len(set(order[k : k + 32] // 10)) for k in range(0, 1003, 32)]
        assert max(places) <= 2 * 16  # a batch may lie in two windows
        assert len(set(order[:160] // 10)) == 16
        assert (np.diff(order[:160]) != 1).sum() > 140  # shuffled within
    assert sampler.order(0).tolist() != sampler.order(1).tolist()
    assert sampler.order(0).tolist() == EpochSampler(1003, 8, seed=1, rank=1, world=2, window=160).order(0).tolist()
    together = EpochSampler(1003, 32, seed=1, window=160, groups=np.arange(1003) // 4).order(0)
    assert sorted(together) == list(range(1003))
    assert (np.diff(together // 4) != 0).sum() == 250


def test_samples_of_a_group_come_together():
    groups = np.array([n // 3 for n in range(42)] + [-1] * 8)
    sampler = EpochSampler(50, 10, seed=1, groups=groups)
    for epoch in (0, 1):
        order = sampler.order(epoch)
        assert sorted(order) == list(range(50))
        runs = 1 + int((np.diff(groups[order]) != 0).sum())
        alone = np.flatnonzero(groups[order] == -1)
        assert runs <= 14 + 8  # each group is one run, and -1 is not a group
        assert (np.diff(alone) > 1).any()
        members = [order[groups[order] == g].tolist() for g in range(14)]
        assert any(m != sorted(m) for m in members)  # shuffled within
    assert sampler.order(0).tolist() != sampler.order(1).tolist()


def test_a_column_keeps_samples_together():
    labels = [set(b.meta["label"].tolist()) for b in loader(batch_size=6, together="label")]
    assert all(len(found) <= 3 for found in labels)  # 5 or 6 of each of four labels
    assert any(len(set(b.meta["label"].tolist())) == 4 for b in loader(batch_size=6))
    with pytest.raises(ConfigError, match="no column 'lable' under meta:; did you mean 'label'") as error:
        loader(together="lable")
    assert error.value.path == ("train", "together")


def test_too_few_samples_say_what_to_set():
    with pytest.raises(ConfigError, match=r"set train.batch_size to at most 23, or train.drop_last to false") as error:
        loader(batch_size=24)
    assert error.value.path == ("train", "batch_size")
    assert len(loader(batch_size=24, drop_last=False)) == 1
    with pytest.raises(ConfigError, match="2 processes"):
        loader(batch_size=1, world=2)


# what fails


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_missing_and_listed(workers):
    (batch,) = loader(Memory(9, bad={1: "all", 4: "pulse", 6: "pulse"}), batch_size=9, shuffle=False, workers=workers)
    # 1 lost both modalities, 6 lost its only one; 4 keeps ragged
    assert batch.sample.tolist() == [100, 102, 103, 104, 105, 107, 108]
    assert batch.views["pulse/0"].index.tolist() == [0, 1, 2, 4, 5, 6]
    assert batch.views["ragged/0"].index.tolist() == [1, 3, 4, 5, 6]
    assert batch.skipped == [
        (101, "pulse", "pulse1: broken"),
        (101, "ragged", "ragged1: broken"),
        (104, "pulse", "pulse4: broken"),
        (106, "pulse", "pulse6: broken"),
    ]


def test_a_batch_of_corrupt_samples_is_empty():
    (batch,) = loader(Memory(4, bad=dict.fromkeys(range(4), "all")), batch_size=4)
    assert len(batch) == 0
    assert len(batch.skipped) == 6


@view("pulse")
def picky(pulse, rng, error=None, above=0):
    if pulse[0] > above:
        raise error or ValueError("too\nshort")
    return pulse


def test_a_generator_that_fails_on_some_samples_skips_them():
    (batch,) = loader(Memory(6), plan(picky(above=3)), batch_size=6, shuffle=False)
    assert batch.views["pulse/1"].index.tolist() == [0, 1, 2, 3]
    assert batch.skipped == [(104, "pulse", "ValueError: too short"), (105, "pulse", "ValueError: too short")]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("size", [3, 6])
def test_a_generator_that_fails_on_all_samples_stops_the_run(workers, size):
    made = loader(Memory(size), plan(picky(error=TypeError("no such argument"), above=-1)), size, workers=workers)
    with pytest.raises(DataError) as error:
        list(made)
    wanted = f"view generator of 'pulse/0' failed on all {size} samples: TypeError: no such argument"
    assert str(error.value) == wanted


def test_one_sample_alone_tells_nothing_of_its_generator():
    batches = list(loader(Memory(3), plan(picky(above=-1)), batch_size=1, shuffle=False))
    assert [len(b.views["pulse/0"]) for b in batches] == [0, 0, 0]
    assert [b.skipped for b in batches] == [[(100 + i, "pulse", "ValueError: too short")] for i in range(3)]


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ImportError("No module named 'x'"), PluginError, "No module named 'x'"),
        (PluginError("install x"), PluginError, "install x"),
        (ConfigError("wrong", ("views", "pulse")), ConfigError, "wrong"),
        (MemoryError("all gone"), DataError, "out of memory while loading: set train.workers"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), DataError, "out of memory while loading"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_what_no_sample_would_escape_stops_the_run(error, raised, message, workers):
    with pytest.raises(raised, match=message) as caught:
        list(loader(made=plan(picky(error=error, above=20)), workers=workers, batch_size=23))
    if workers and isinstance(error, ConfigError):
        assert caught.value.path == ("views", "pulse")
    assert "\n" not in str(caught.value)


def test_views_that_do_not_stack_are_one_line():
    @view("pulse")
    def cut(pulse, rng):
        return pulse[: int(pulse[0]) % 2 + 1]

    with pytest.raises(DataError, match=r"views pulse/0 don't fit into one batch: .*stack") as error:
        list(loader(made=plan(cut)))
    assert "\n" not in str(error.value)


def test_a_closed_loader_starts_anew():
    made = loader(workers=1)
    wanted = epochs(made, 0)
    next(iter(made))
    made.close()
    made.close()
    assert epochs(made, 0) == wanted


@view("pulse")
def deadly(pulse, rng):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_one_line():
    with pytest.raises(DataError, match=r"a worker process died.*train.workers"):
        list(loader(made=plan(deadly), workers=1))


def test_a_reader_of_two_methods_suffices():
    class Bare:
        def __len__(self):
            return 6

        def __getitem__(self, i):
            return Sample(i, {"pulse": np.full(3, float(i))}, {"label": i})

    (batch,) = loader(Bare(), batch_size=6, shuffle=False)
    assert batch.sample.tolist() == [0, 1, 2, 3, 4, 5]
    assert {k: v.tolist() for k, v in batch.meta.items()} == {"label": [0, 1, 2, 3, 4, 5]}
    assert len(batch.views["ragged/0"]) == 0


PLUGIN = """
import torch
from contrapose.views import view

class Pulse:
    name, dtype = "pulse", torch.float32
    def load(self, cells, root): return cells["x"]
    def collate(self, items): return torch.stack([torch.as_tensor(i) for i in items])

@view("pulse")
def wobble(pulse, rng, sigma=0.1):
    return pulse + rng.normal(0, sigma, pulse.shape)
"""


def test_spawned_workers_make_the_same_batches_with_a_plugin_file(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "m.jsonl").write_text("".join(f'{{"x": [{i}, 1.5]}}\n' for i in range(9)))
    (tmp_path / "my_wobbles.py").write_text(PLUGIN)
    configure().load_file(tmp_path / "my_wobbles.py")
    pulse = {"pulse": sys.modules["my_wobbles"].Pulse()}
    reader = ManifestReader(tmp_path / "m.jsonl", pulse, {"pulse": "x"})
    views = ViewPlan.from_config({"pulse": {"use": "wobble", "sigma": 0.5}}, None, config_build, ["pulse"])
    configure()
    here = make_loader(reader, views.maker(0), pulse, 4)
    spawned = make_loader(reader, views.maker(0), pulse, 4, workers=1)
    spawned._loader.multiprocessing_context = "spawn"
    try:
        assert epochs(spawned, 0) == epochs(here, 0)
    finally:
        spawned.close()


def test_a_process_ends_though_a_worker_is_left(tmp_path: Path) -> None:
    """As where a loader fails while it starts its workers: multiprocessing's SIGTERM is the first one, which a worker overlooks."""
    script = tmp_path / "left.py"
    script.write_text(
        "import multiprocessing, time\n"
        "from contrapose.data.workers import _settle\n"
        "def work(there):\n"
        "    _settle(0)\n"
        "    there.set()\n"
        "    time.sleep(600)\n"
        "fork = multiprocessing.get_context('fork')\n"
        "there = fork.Event()\n"
        "fork.Process(target=work, args=(there,), daemon=True).start()\n"
        "assert there.wait(30)\n"
    )
    assert subprocess.run([sys.executable, script], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("read", [0, 4096])
def test_a_worker_is_silent_of_a_run_that_ends_while_it_fetches_a_tensor(tmp_path: Path, read: int) -> None:
    """What hands a tensor over prints a traceback where nobody takes it, which would stand beside the run's one line."""
    script = tmp_path / "leaves.py"
    script.write_text(
        "import multiprocessing, socket, time\n"
        "from multiprocessing.resource_sharer import DupFd\n"
        "from contrapose.data.workers import _settle\n"
        "def work(pipe):\n"
        "    _settle(0)\n"
        "    pipe.send(DupFd(0)._id[0])\n"
        "    pipe.recv()\n"
        "fork = multiprocessing.get_context('fork')\n"
        "here, there = fork.Pipe()\n"
        "worker = fork.Process(target=work, args=(there,))\n"
        "worker.start()\n"
        "run = socket.socket(socket.AF_UNIX)\n"
        "run.connect(here.recv())\n"
        "time.sleep(0.3)\n"
        f"run.recv({read})\n"
        "run.close()\n"
        "time.sleep(0.3)\n"
        "here.send('go')\n"
        "worker.join()\n"
    )
    ended = subprocess.run([sys.executable, script], timeout=60, check=True, capture_output=True, text=True)
    assert ended.stderr == ""
