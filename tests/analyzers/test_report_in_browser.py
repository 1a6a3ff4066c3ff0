"""The report in a real browser: nothing is wider than the screen, on a desk and in a hand."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from analyzers.report import write_report
from tests.analyzers.test_report import full_run

CHROMIUM = shutil.which("chromium")
# An inner frame is as narrow as asked; a headless window is not. Its measures are written into the page.
FRAME = """<!doctype html><body style="margin:0">
<iframe width="{width}" height="800" style="border:0" srcdoc="{page}" onload="
  const inner = this.contentDocument;
  document.title = inner.documentElement.scrollWidth + ' ' + inner.querySelectorAll('svg').length;
"></iframe>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_report_fits_the_width_of_the_screen(width: int, tmp_path: Path):
    write_report(full_run(), tmp_path / "report.html")
    page = html.escape((tmp_path / "report.html").read_text(encoding="utf-8"), quote=True)
    (tmp_path / "frame.html").write_text(FRAME.format(width=width, page=page), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]
    words = [str(CHROMIUM), *flags, "--virtual-time-budget=5000", "--dump-dom", f"file://{tmp_path / 'frame.html'}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    shown = re.search(r"<title>(\d+) (\d+)</title>", done.stdout)
    assert shown, done.stderr
    assert int(shown[1]) <= width
    assert int(shown[2]) >= 2
