"""The page about one measurement: what it says, and that it works in a browser at both widths."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim import Exp2SimError, Histogram, save
from mantid_exp2sim.cli import main
from mantid_exp2sim.mosaic import SHAPE, mosaic_histogram
from mantid_exp2sim.reporting.viewer import viewer_data
from mantid_exp2sim.simulation.binning import Binning

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (1280, 400)
HOSTILE = "A <script>alert(1)</script> & more"


@pytest.fixture(scope="module")
def volume() -> Histogram:
    binning = Binning.regular(12.0, bins=(10, 10, 6))
    ideal = mantid_exp2sim.simulate("rb2mnf4", {"J1": 0.6}, binning=binning, instrument="MERLIN", grid=8)
    counts = np.random.default_rng(0).poisson(np.where(ideal.mask, 0, np.clip(ideal.intensity, 0, None)))
    return ideal.replace(
        intensity=counts.astype(float), variance=counts + 1.0, metadata={**ideal.metadata, "title": HOSTILE}
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, volume: Histogram) -> dict[str, Path]:
    """A page of each kind of data."""
    folder = tmp_path_factory.mktemp("pages")
    rows, columns = np.indices(SHAPE)
    mosaic = mosaic_histogram(
        20.0 + 15 * np.sin(rows / 6) * np.sin(columns / 5), variance=np.full(SHAPE, 20.0)
    )
    kinds = {
        "volume": (volume, {"method": "richardson-lucy"}),
        "slice": (volume.cut({"energy": (3, 5)}), {"method": "richardson-lucy"}),
        "cut": (volume.cut({"h": (0.3, 0.7), "k": (0.3, 0.7)}), {"method": "richardson-lucy"}),
        "mosaic": (mosaic, {"method": "network", "uncertainty": False, "force": True}),
    }
    return {
        kind: mantid_exp2sim.report(data, folder / f"{kind}.html", name=HOSTILE, **options)  # type: ignore[arg-type]
        for kind, (data, options) in kinds.items()
    }


def test_a_page_opens_with_the_answer_and_names_the_kind(pages: dict[str, Path]) -> None:
    for kind, path in pages.items():
        text = path.read_text(encoding="utf-8")
        answer = re.search(r'<h1>.*?</h1>\s*<p class="answer[^>]*>(.*?)</p>', text, re.DOTALL)
        assert answer is not None
        assert answer[1].startswith(f"This {kind} ")
        assert "How to cite" in text


def test_names_from_files_are_escaped(pages: dict[str, Path]) -> None:
    for path in pages.values():
        text = path.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert escape(HOSTILE) in text


def test_a_page_asks_for_nothing_from_elsewhere(pages: dict[str, Path]) -> None:
    for path in pages.values():
        assert not re.findall(r'(?:src|href)="(?!data:)', path.read_text(encoding="utf-8"))


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium (Debian's package chromium)")
def test_pages_in_a_browser(pages: dict[str, Path], tmp_path: Path) -> None:
    """No errors in the console, no sideways scrolling, and the slider shows another slice."""
    frames = "".join(
        f'<iframe data-kind="{kind}" style="width:{width}px;height:2000px" '
        f'srcdoc="{escape(path.read_text(encoding="utf-8"))}"></iframe>'
        for kind, path in pages.items()
        for width in WIDTHS
    )
    script = """
    const frames = [...document.querySelectorAll("iframe")];
    window.onload = () => { document.title = JSON.stringify(frames.map(f => {
      const d = f.contentDocument, s = d.getElementById("slice"), o = d.getElementById("slice-words");
      const before = o && o.textContent;
      if (s) { s.value = 0; s.dispatchEvent(new Event("input")); }
      return { kind: f.dataset.kind, canvases: d.querySelectorAll("canvas").length,
        wide: d.documentElement.scrollWidth - d.documentElement.clientWidth,
        before, after: o && o.textContent };
    })) };"""
    wrapper = tmp_path / "frames.html"
    wrapper.write_text(
        f"<meta charset=utf-8><title></title>{frames}<script>{script}</script>", encoding="utf-8"
    )
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [BROWSER, *options, f"--user-data-dir={tmp_path / 'profile'}", str(wrapper)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = re.search(r"<title>(\[.*?\])</title>", done.stdout, re.DOTALL)
    assert title is not None
    seen: list[dict[str, Any]] = json.loads(title[1].replace("&amp;", "&"))
    assert len(seen) == len(pages) * len(WIDTHS)
    assert [frame["wide"] for frame in seen] == [0] * len(seen)
    for frame in seen:
        assert (frame["canvases"] > 0) == (frame["kind"] != "cut")
        assert (frame["before"] != frame["after"]) == (frame["kind"] in ("volume", "mosaic"))
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


def test_what_the_canvas_draws_is_what_was_measured(volume: Histogram) -> None:
    """The bytes of a slice, decoded as the page does, are the intensities to half a step of colour."""
    import base64

    part = viewer_data({"before": volume})[0]
    before = part["parts"][0]
    steps = np.frombuffer(base64.b64decode(before["data"]), np.uint8).reshape(part["shape"][::-1])
    values = before["low"] + steps / 254 * (before["high"] - before["low"])
    shown = np.clip(volume.intensity, before["low"], before["high"]).transpose(2, 1, 0)
    np.testing.assert_array_equal(steps == 255, np.isnan(shown))
    known = steps != 255
    assert np.abs(values - shown)[known].max() <= 0.51 * (before["high"] - before["low"]) / 254
    assert part["slices"][0].endswith("meV")


def test_nothing_is_replaced_unasked_and_a_missing_fit_is_said(
    volume: Histogram, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(volume, tmp_path / "v.npz")
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert main(["report", str(tmp_path / "v.npz"), "--out", str(page)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "v.npz"), "--out", str(tmp_path / "page.txt")]) == 2
    with pytest.raises(Exp2SimError, match=r"no fit\.json"):
        mantid_exp2sim.report(volume, tmp_path / "new.html", fit=tmp_path)
    assert page.read_text() == "mine"
    assert not (tmp_path / "new.html").exists()
