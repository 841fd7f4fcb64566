"""A report as a person sees it: opened in headless Chromium, which must have nothing to complain of."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from tests.end_to_end.browser import Page, find_browser
from tests.end_to_end.waves import write_project

from contrapose.cli import main
from contrapose.plugins import configure
from contrapose.report.page.sections import TITLES

pytestmark = pytest.mark.skipif(find_browser() is None, reason="there is no Chromium here: bash .ci/browser")

WAVES = Path(__file__).parent / "waves.py"
EVIL = "<script>window.hacked = 1</script></script><img src=x onerror='window.hacked = 1'>"
HIDDEN = "document.getElementById('card').hidden"
CARD = "document.getElementById('card').innerText"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    config = write_project(tmp_path_factory.mktemp("browser") / "project")
    table = config.parent / "things.jsonl"
    table.write_text(table.read_text().replace('"p2"', json.dumps(EVIL)))
    run = config.parent / "run"
    plugin = ["--plugin", str(WAVES)]
    assert main(["train", str(config), "--out", str(run), *plugin]) == 0
    assert main(["report", str(run), "--no-baseline", *plugin]) == 0
    configure()
    return run / "report.html"


def test_the_page_renders_every_section_without_a_complaint(report, tmp_path):
    with Page() as page:
        page.open(report)
        for name, title in TITLES.items():
            assert title in page.run(f"document.getElementById('{name}').innerText")
            assert page.run(f"document.getElementById('{name}').getBoundingClientRect().height") > 50
        assert page.run("document.querySelectorAll('.chart .curve').length") >= 3  # loss, top1 or spread, lr
        assert page.run("[...document.querySelectorAll('.curve')].every(c => c.getTotalLength() > 100)")
        assert page.run("document.querySelectorAll('.map').length") == 3
        assert page.run("document.querySelectorAll('.map .point').length") == 2 * (8 + 7)  # one of 8 lacks its echo
        assert page.run("document.querySelectorAll('.direction:not([hidden]) .words').length") > 10
        assert page.run("document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out
        drawn = plt.imread(page.screenshot(tmp_path / "page.png"))
        assert drawn[..., :3].std() > 0.05
        assert page.run("window.hacked") is None
        assert page.faults == []
        assert page.requests == [report.as_uri()]


def test_pointing_at_a_sample_shows_it_in_every_modality(report):
    with Page() as page:
        page.open(report)
        assert page.run(HIDDEN)
        page.point_at(".map .point")
        assert not page.run(HIDDEN)
        said = page.run(CARD)
        assert said.startswith("#")
        assert "wave" in said
        assert "echo" in said
        assert page.run("document.querySelectorAll('.mark path').length") >= 3  # ringed in its maps
        page.point_at("h1")
        assert page.run(HIDDEN)
        page.point_at("#neighbours .hits button", click=True)
        page.point_at("h1")
        assert not page.run(HIDDEN)  # a click keeps it
        page.press("Escape")
        assert page.run(HIDDEN)
        page.run("document.querySelector('.map svg').focus()")
        page.press("ArrowRight")
        assert not page.run(HIDDEN)
        assert page.faults == []


def test_an_address_opens_a_sample_and_a_label_stays_text(report):
    with Page(width=800, dark=True) as page:
        page.open(report, "#sample=5")
        assert page.run(CARD).startswith(f"#5 · {EVIL}")
        assert page.run("document.getElementById('card').getBoundingClientRect().right <= innerWidth")
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        assert page.run("getComputedStyle(document.body).backgroundColor") != "rgb(252, 252, 253)"
        page.run("document.querySelector('#card button').click()")
        assert page.run(HIDDEN)
        assert page.run("location.hash") == ""
        assert page.faults == []


def test_curves_are_read_at_the_step_that_is_pointed_at(report):
    with Page() as page:
        page.open(report)
        at = "[...document.querySelectorAll('.chart .at')].map(e => e.innerText)"
        page.point_at(".chart svg")
        first = page.run(at)
        assert len(set(first)) == 1  # all charts at one step
        assert first[0].startswith("step ")
        page.run("document.querySelector('.chart svg').focus()")
        page.press("ArrowRight")
        step = int(first[0].split()[1].strip(","))
        assert page.run(at)[0].startswith(f"step {step + 1},")


def test_tabs_and_legend_choose_what_is_shown(report):
    with Page() as page:
        page.open(report)
        shown = "[...document.querySelectorAll('.direction:not([hidden])')].map(e => e.dataset.title)"
        assert page.run(shown) == ["wave → echo"]
        page.run("document.querySelectorAll('#tabs button')[1].click()")
        assert page.run(shown) == ["echo → wave"]
        page.run("document.querySelectorAll('.choice button')[1].click()")
        page.run("document.querySelector('.entry').click()")
        assert page.run("document.querySelectorAll('.map .point.dim').length") == 2 * 7


def test_the_checks_can_fail(tmp_path):
    """What the tests above find to be absent is noticed where it is there."""
    bad = tmp_path / "bad.html"
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; script-src 'unsafe-inline'\">"
    bad.write_text(f"<html><head>{policy}</head><body><img src='data:,'><script>nowhere()</script></body></html>")
    with Page() as page:
        page.open(bad)
        page.run("new Promise((done) => setTimeout(done, 200))")
        assert any("nowhere is not defined" in fault for fault in page.faults)
        assert any("Content Security Policy" in fault for fault in page.faults)
    bad.write_text("<html><body><script>console.error('oh');</script><img src='missing.png'></body></html>")
    with Page() as page:
        page.open(bad)
        assert "oh" in page.faults
        assert (tmp_path / "missing.png").as_uri() in page.requests
