"""``contrapose report`` on an invented run: what the file says, that nothing gets out of its quotes, and that it loads nothing."""

import base64
import hashlib
import io
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from tests.end_to_end.waves import write_project

import contrapose as cp
from contrapose.cli import main
from contrapose.engine.metrics import read_metrics
from contrapose.errors import ContraposeWarning
from contrapose.plugins import configure
from contrapose.report.html import SCRIPTS, as_json, write_report
from contrapose.report.page.curves import MOST, curves
from contrapose.report.page.health import checks
from contrapose.report.page.markup import Html, counted, number, tag
from contrapose.report.page.material import Material, choose, read_evaluation
from contrapose.report.page.pairs import apart, joined
from contrapose.report.page.previews import SIDE, shown
from contrapose.report.page.sections import TITLES

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"
PLUGIN = ["--plugin", str(WAVES)]
EVIL = "<script>alert(1)</script>"
CLOSING = "</script><img src=x onerror=alert(2)>"


class Parsed(HTMLParser):
    """The elements of a page with their attributes, the text of each script and style, and all visible text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.raw, self.text, self._open = [], [], [], None
        self.feed(page)
        self.said = " ".join(" ".join(self.text).split())

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        self._open = name if name in ("script", "style") else None
        if self._open:
            self.raw.append([name, ""])

    def handle_endtag(self, name):
        self._open = None

    def handle_data(self, data):
        if self._open:
            self.raw[-1][1] += data
        else:
            self.text.append(data)

    def ids(self):
        return [a["id"] for _, a in self.elements if "id" in a]

    def section(self, name):
        """The text from a section's heading to the next."""
        titles = list(TITLES.values())
        start = self.said.rindex(TITLES[name])
        after = titles[titles.index(TITLES[name]) + 1 :]
        return self.said[start : self.said.rindex(after[0]) if after else None]

    @property
    def data(self):
        return json.loads(self.raw[1][1])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Labels that would run as code if they weren't escaped, and a training file that can't be read."""
    config = write_project(tmp_path_factory.mktemp("report") / "project")
    table = config.parent / "things.jsonl"
    table.write_text(table.read_text().replace('"p4"', json.dumps(EVIL)).replace('"p2"', json.dumps(CLOSING)))
    (config.parent / "waves" / "8.txt").write_text(f"1 2 {EVIL}")
    yield config
    configure()


@pytest.fixture(scope="module")
def run(project):
    out = project.parent / "a <run> & more"
    assert main(["train", str(project), "--out", str(out), "--set", "train.epochs=5", *PLUGIN]) == 0
    return out


@pytest.fixture(scope="module")
def page(run):
    assert main(["report", str(run), "--points", "5", *PLUGIN]) == 0
    return (run / "report.html").read_text()


@pytest.fixture
def other(run, page, tmp_path):
    """A copy of the run, once its page was made, that a test may spoil."""
    configure().load_file(WAVES)
    return Path(shutil.copytree(run, tmp_path / "other"))


def report(folder, **options):
    path = write_report(cp.load(folder), baseline=False, **options)
    return Parsed(path.read_text())


def test_the_page_has_its_sections_and_data(page, run):
    parsed = Parsed(page)
    assert [i for i in parsed.ids() if i in TITLES] == list(TITLES)
    links = [a["href"] for name, a in parsed.elements if name == "a"]
    assert [f"#{name}" for name in TITLES] == links[-len(TITLES) :]
    assert "a <run> & more" in parsed.said
    assert "8 samples" in parsed.said  # test
    data = parsed.data
    assert [m["title"] for m in data["maps"]] == ["The shared space", "wave", "echo"]
    assert len(data["maps"][1]["points"]) == data["drawn"] == 5 < data["rows"] == 8
    assert all(0 <= x <= 1 and 0 <= y <= 1 for m in data["maps"] for _, _, x, y in m["points"])
    assert data["curves"]["steps"] == list(range(1, 26))  # five epochs of 40 rows in batches of 8
    assert data["curves"]["charts"][0]["title"] == "Loss"
    assert "wave → echo" in parsed.section("numbers")
    assert "untrained" in parsed.section("numbers")
    saved = read_evaluation(run)[1]
    assert [r.metric for r in saved if r.improved is None or r.improved]  # gain intervals were read back
    assert len(page) < 1_000_000


def test_every_modality_of_a_drawn_sample_is_previewed_and_a_missing_one_is_null(page):
    data = Parsed(page).data
    drawn = {i for i, *_ in data["maps"][0]["points"]} | {i for i, *_ in data["maps"][1]["points"]}
    for i in drawn:
        previews = data["samples"][str(i)]["previews"]
        assert list(previews) == ["wave", "echo"]
        assert previews["wave"]["words"].startswith("[")
        assert (previews["echo"] is None) == (i % 7 == 3)


def test_neighbours_are_frames_that_the_page_has_previews_for(page):
    parsed = Parsed(page)
    frames = [a for name, a in parsed.elements if name == "button"]
    assert {a["data-modality"] for a in frames} == {"wave", "echo"}
    for frame in frames:
        assert frame["data-modality"] in parsed.data["samples"][frame["data-sample"]]["previews"]
    assert [a["data-title"] for _, a in parsed.elements if "data-title" in a] == ["wave → echo", "echo → wave"]


def test_the_file_loads_nothing_and_runs_nothing_but_its_own(page):
    parsed = Parsed(page)
    assert not [a for n, a in parsed.elements if {"src", "srcset", "style"} & a.keys() or n in ("link", "iframe")]
    assert not [k for _, a in parsed.elements for k in a if k.startswith("on")]
    (style, css), _, (_, script) = parsed.raw
    assert style == "style"
    assert "url(" not in css
    assert "@import" not in css
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|eval\(|innerHTML", script)
    policy = next(a["content"] for _, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    for text in (css, script):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert set(re.findall(r"https?://[^\"' )]+", page)) <= {"http://www.w3.org/2000/svg"}  # a namespace


def test_nothing_of_the_data_becomes_markup(page):
    parsed = Parsed(page)
    assert [n for n, _ in parsed.elements].count("script") == 2
    assert "img" not in {n for n, _ in parsed.elements}
    assert {EVIL, CLOSING} <= set(parsed.data["classes"])
    assert "alert(1)" in parsed.section("skipped")  # the reason that the broken file gives
    assert "<script>alert" not in page


def test_text_stays_text():
    assert tag("td", EVIL, Html("<b>x</b>")) == "<td>&lt;script&gt;alert(1)&lt;/script&gt;<b>x</b></td>"
    assert tag("a", title='"><script>', hidden=None) == '<a title="&quot;&gt;&lt;script&gt;"></a>'
    assert "<" not in as_json({"a": f"<!--{CLOSING}"})
    assert json.loads(as_json({"a": CLOSING})) == {"a": CLOSING}
    with pytest.raises(ValueError, match="not JSON"):
        as_json([float("nan")])
    assert shown({"text/html": f"<p>a &lt;b&gt;</p>{EVIL}"}) == {"words": "a <b>"}
    assert shown({"text/plain": EVIL}) == {"words": EVIL}


def test_skipped_files_are_counted_and_listed(page, other):
    assert "1 item of 1 sample" in Parsed(page).section("skipped")
    lines = [f"{i},wave,gone" for i in range(140)] + ["3,echo,odd"]
    (other / "skipped.csv").write_text("\n".join(["sample,modality,reason", *lines]) + "\n")
    said = report(other).section("skipped")
    assert "141 items of 140 samples" in said
    assert "wave 140, echo 1" in said
    assert "41 more" in said


def test_the_config_is_there_as_it_stands_with_commands_that_hold(page, run):
    parsed = Parsed(page)
    said = parsed.section("config")
    assert "sigma: 0.2" in said
    assert f"contrapose report '{run}'" in said  # quoted for a shell: the name has blanks
    assert " ".join((run / "config.yaml").read_text().split()) in said


def test_a_report_evaluates_only_what_is_not_evaluated_yet(other, capsys):
    saved = other / "evaluation.json"
    told = []
    write_report(cp.load(other), tell=told.append)
    assert told[0] == "embedding the test split"
    before = saved.read_text()
    os.utime(saved, (1, 1))  # clocks say nothing
    write_report(cp.load(other), tell=told.append)
    assert told[-1] != "evaluating on the test split"
    saved.write_text(before.replace("step-00000025", "step-00000020"))  # of an earlier state
    told.clear()
    write_report(cp.load(other), baseline=False, tell=told.append)
    assert told[0] == "evaluating on the test split"
    assert json.loads(before)["rows"][0]["untrained"] is not None
    assert json.loads(saved.read_text())["rows"][0]["untrained"] is None
    assert "untrained" not in Parsed((other / "report.html").read_text()).section("numbers")


def test_the_split_that_was_evaluated_is_shown_unless_another_is_asked_for(other, capsys):
    parsed = report(other, split="train")
    assert "the numbers say nothing of new data" in parsed.said
    assert "on the train split" in report(other).said  # not the test split, which nobody asked to look at
    assert main(["report", str(other), "--split", "tset", *PLUGIN]) == 1
    assert "no split 'tset'" in capsys.readouterr().err
    assert choose({"train": [], "val": [], "test": []}) == "test"
    assert choose({"val": [], "train": []}) == "val"
    assert choose({"train": []}) == "train"


def test_without_the_data_or_a_checkpoint_the_rest_is_still_reported(other, tmp_path):
    config = other / "config.yaml"
    config.write_text(config.read_text().replace("things.jsonl", "moved.jsonl"))
    with pytest.warns(ContraposeWarning, match=r"lacks what needs .*moved\.jsonl"):
        parsed = report(other)
    assert "moved.jsonl" in parsed.section("map")
    assert "moved.jsonl" in parsed.section("neighbours")
    assert "wave → echo" in parsed.section("numbers")  # evaluation.json still says it
    assert parsed.data["curves"]
    shutil.rmtree(other / "checkpoints")
    (other / "evaluation.json").unlink()
    (other / "metrics.csv").unlink()
    with pytest.warns(ContraposeWarning, match="no usable checkpoint"):
        parsed = report(other, path=tmp_path / "deep" / "page.html")
    for name in ("curves", "health", "numbers", "map", "neighbours"):
        assert "Nothing to show" in parsed.section(name), name


def test_what_was_not_measured_is_told_from_the_file_too(other):
    config = other / "config.yaml"
    (data,) = re.findall(r"\S+things\.jsonl", config.read_text())
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    alike = Path(data).with_name("alike.jsonl")  # beside the files that it names
    alike.write_text("".join(json.dumps(row | {"pitch": rows[0]["pitch"]}) + "\n" for row in rows))
    config.write_text(config.read_text().replace(data, str(alike)))
    (other / "evaluation.json").unlink()
    for _ in range(2):  # evaluated, then read
        assert "not measured, as label has one value in train." in report(other).section("numbers")


def test_one_modality_without_labels_or_a_test_split(project, tmp_path):
    configure().load_file(WAVES)
    config = {
        "data": str(project.parent / "things.jsonl"),
        "modalities": {"echo": "echo"},
        "views": {"echo": {"use": "hiss", "count": 2}},
        "encoders": {"echo": "echo-net"},
        "method": "simclr",
        "train": {"steps": 6, "batch_size": 8, "device": "cpu", "threads": 1},
    }
    cp.train(config, out=tmp_path / "run", quiet=True)
    parsed = report(tmp_path / "run")
    assert parsed.data["classes"] == []
    assert [m["title"] for m in parsed.data["maps"]] == ["echo"]
    assert "the numbers say nothing of new data" in parsed.section("numbers")
    assert "itself left out" in parsed.section("neighbours")
    for frames in re.findall(r'class="query">(.*?)</div></div>', (tmp_path / "run" / "report.html").read_text()):
        asked, *hits = re.findall(r'data-sample="(\d+)"', frames)
        assert len(hits) == 5
        assert asked not in hits


def test_terms_tell_which_modalities_were_trained_together(run):
    configure().load_file(WAVES)
    assert joined(cp.load(run)) == [{"wave", "echo"}]
    assert not apart("wave", "echo", [{"wave", "echo"}])
    assert apart("wave", "note", [{"wave", "echo"}, {"echo", "note"}])


def metrics_of(folder, columns):
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    lines = [f"{i},{i // 100},{','.join(map(str, row))}" for i, row in enumerate(rows, 1)]
    (folder / "metrics.csv").write_text("\n".join([f"step,epoch,{','.join(names)}", *lines]) + "\n")
    return read_metrics(folder / "metrics.csv")


def test_curves_are_thinned_to_means_with_their_range(tmp_path):
    n = 1000
    losses = np.linspace(5, 1, n)
    losses[500] = 99
    columns = {
        "lr": [1e-3] * n,
        "loss": losses,
        "loss/only": losses,
        "top1/only": ["", "nan"] * (n // 2),
        "tau/only": [0.1] * n,
    }
    made = curves(metrics_of(tmp_path, columns))
    assert len(made["steps"]) == MOST
    assert made["steps"][-1] == n
    assert [c["title"] for c in made["charts"]] == ["Loss", "Temperature", "Learning rate"]  # top1 was never measured
    loss = made["charts"][0]["series"]
    assert [s["name"] for s in loss] == ["loss"]  # a single term is the loss
    assert max(loss[0]["high"]) == 99
    assert max(loss[0]["mean"]) < 40
    assert curves(read_metrics(tmp_path / "none.csv")) is None
    few = curves(metrics_of(tmp_path, {"loss": [2.0, "inf", 1.0]}))["charts"][0]["series"][0]
    assert few == {"name": "loss", "mean": [2.0, None, 1.0]}


def test_a_line_that_was_cut_short_is_no_step(tmp_path):
    metrics_of(tmp_path, {"loss": [3.0, 2.0]})
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("3,0,1.2345")
    assert read_metrics(tmp_path / "metrics.csv").steps.tolist() == [1, 2]


def test_health_tells_well_from_worth_a_look(run, tmp_path):
    configure().load_file(WAVES)
    loaded, n = cp.load(run), 25

    def found(skipped=(), **columns):
        metrics = metrics_of(tmp_path, {name.replace("_", "/"): values for name, values in columns.items()})
        return {c.name: c for c in checks(Material(loaded, metrics, list(skipped)))}

    falling = np.geomspace(4, 1, n)
    good = found(lr=[1e-3] * n, loss=falling, top1_a=[0.9] * n, spread_a=[0.8] * n, spread_b=[0.9] * n)
    assert all(check.well for check in good.values()), good
    assert "25 of 25 steps done" in good["Finished"].said
    assert "still falling" in good["Loss falls"].said
    assert "a ends at 0.800 (the least of 2)" in good["Spread"].said
    bad = found(
        [("1", "wave", "x")] * 3,
        lr=[1e-3] * n,
        loss=[1.0] * (n - 1) + ["nan"],
        top1_a=[0.1] * n,
        spread_a=[0.9] * 15 + [0.01] * 10,
    )
    assert {name for name, check in bad.items() if not check.well} == {
        "Loss is finite", "Loss falls", "In-batch R@1", "Spread", "Skipped",
    }  # fmt: skip
    assert "at step 25" in bad["Loss is finite"].said
    assert "12.5 %" in bad["In-batch R@1"].said  # one positive in a batch of 8
    assert "1 of 40 training samples (2.5 %)" in bad["Skipped"].said
    assert not found(loss=falling[:12])["Finished"].well
    assert "Loss falls" not in found(loss=falling[:5])  # too few steps for a trend
    levelled = found(lr=np.linspace(1e-3, 0, n), loss=[4] * 2 + [1.0] * (n - 2))
    assert "levelled off, as it does where the learning rate ends near zero" in levelled["Loss falls"].said


def test_pictures_are_shrunk_and_other_previews_named():
    def png(height, width, channels=3):
        file = io.BytesIO()
        plt.imsave(file, np.random.default_rng(0).random((height, width, channels)), format="png")
        return file.getvalue()

    def size(preview):
        mime, raw = re.fullmatch(r"data:(.*);base64,(.*)", preview["picture"]).groups()
        return mime, plt.imread(io.BytesIO(base64.b64decode(raw)), format=mime.partition("/")[2]).shape[:2]

    small = png(10, 12)
    assert shown({"image/png": small}) == {"picture": "data:image/png;base64," + base64.b64encode(small).decode()}
    assert size(shown({"image/png": png(300, 600)})) == ("image/jpeg", (SIDE // 2, SIDE))
    assert size(shown({"image/png": png(100, 100, 4)})) == ("image/jpeg", (100, 100))  # what is large in bytes alone
    both = shown({"audio/wav": b"RIFF", "image/png": small, "text/plain": "a sound"})
    assert list(both) == ["sound", "picture"]
    assert shown({"audio/wav": b"0" * 300_000}) == {"words": "audio/wav\n300,000 bytes"}
    assert shown({"text/plain": "x" * 9000})["words"].endswith("…")


def test_numbers_are_short():
    assert [number(v) for v in (0.12345, -2.5, 103.0, 1.999, -8.0, 39.54, 12345.6, None, float("nan"), 0)] == [
        "0.123", "−2.50", "103", "2.00", "−8", "39.5", "12,346", "–", "–", "0",
    ]  # fmt: skip
    assert number(0.1234, percent=True, sign=True) == "+12.3"
    assert [counted(n, "step") for n in (1, 1200)] == ["1 step", "1,200 steps"]


def test_the_scripts_come_with_the_package():
    from importlib.resources import files

    there = {f.name for f in files("contrapose.report.page").iterdir() if f.name.endswith(".js")}
    assert there == set(SCRIPTS)
