"""The page in a real browser: it loads nothing, fits every width, in light, dark and on paper."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.report.audit import audited
from tests.report.chromium import browse, printed, proxy, ready_chromium
from tests.report.stories import EVIL_NAMES, Days, page_of

WIDTHS_PX = (320, 390, 768, 1280)
LIGHT, DARK = "--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"

_MEASURE = """
<body><script>
const told = [];
function measure(frame, width) {
  const page = frame.contentDocument, look = frame.contentWindow.getComputedStyle;
  const style = look(page.documentElement), colours = {};
  for (const name of ['paper', 'panel', 'ink', 'soft', 'gap', 'gap-ground', 'good', 'bad',
      'bad-ground', 'seen', 'halted', 'host-0', 'host-1', 'host-2', 'host-3', 'host-4', 'host-5',
      'host-6', 'host-7']) {
    colours[name] = style.getPropertyValue('--' + name).trim();
  }
  for (const details of page.querySelectorAll('details')) details.open = true;
  const clipped = [...page.querySelectorAll('td, dd, .notice, pre, p')]
    .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.textContent);
  const shown = (kind) => look(page.querySelector('svg.' + kind)).display !== 'none';
  const box = page.querySelector('path[fill="var(--seen)"]');
  told.push({width, scroll: page.documentElement.scrollWidth, wide: shown('wide'),
    narrow: shown('narrow'), colours, clipped, body: look(page.body).backgroundColor,
    bar: look(box).fill, scripts: page.scripts.length, title: page.title,
    stacked: look(page.querySelector('td')).display});
}
for (const width of WIDTHS) {
  const frame = document.createElement('iframe');
  frame.style.cssText = `width: ${width}px; height: 900px; border: 0`;
  frame.srcdoc = PAGE;
  frame.onload = () => { measure(frame, width); document.title = JSON.stringify(told); };
  document.body.append(frame);
}
</script></body>
"""


@pytest.fixture
def evil_file(evil: str, tmp_path: Path) -> Path:
    """The report on a pool that is hostile in every name, as a file."""
    ready_chromium()
    (tmp_path / "report.html").write_text(evil, "utf-8")
    return tmp_path / "report.html"


def measured(page: Path, folder: Path, scheme: str) -> list[dict[str, Any]]:
    """Return what a browser makes of the page at each width, the narrowest first."""
    text = json.dumps(page.read_text("utf-8")).replace("</", "<\\/")
    script = _MEASURE.replace("WIDTHS", json.dumps(WIDTHS_PX)).replace("PAGE", text)
    frame = folder / "frame.html"
    frame.write_text(f"<!doctype html><title></title>{script}", "utf-8")
    dumped = browse(frame, scheme, "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dumped, re.DOTALL)
    assert title is not None
    told: list[dict[str, Any]] = json.loads(unescape(title[1]))
    return sorted(told, key=lambda one: one["width"])


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, from 1 to 21."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_page_asks_nobody_for_anything(evil_file: Path, tmp_path: Path) -> None:
    """Whatever the names say; a page that does ask is noticed by the same proxy."""
    asking = tmp_path / "asking.html"
    asking.write_text('<img src="http://evil.example/x">', "utf-8")
    with proxy() as noted:
        dumped = browse(evil_file, "--dump-dom", proxy_url=noted.url)
        # A page can only ask for hosts that it names.
        assert [host for host in noted.hosts if host in dumped] == []
        assert audited(dumped).troubles == []
        browse(asking, "--dump-dom", proxy_url=noted.url)
        assert "GET http://evil.example/x HTTP/1.1" in noted.asked


def test_page_fits_every_width_and_can_be_read_in_light_and_dark(
    evil_file: Path, tmp_path: Path
) -> None:
    """No scrolling sideways, nothing cut off, the picture that fits, contrasts as WCAG has them."""
    light, dark = (measured(evil_file, tmp_path, scheme) for scheme in (LIGHT, DARK))
    assert light[0]["body"] != dark[0]["body"]
    assert light[0]["bar"] != dark[0]["bar"]
    for one in (*light, *dark):
        assert (one["scroll"] <= one["width"], one["clipped"]) == (True, [])
        assert one["scripts"] == 0
        assert one["title"] == "Report on pool lab"
        assert (one["wide"], one["narrow"]) == (
            (True, False) if one["width"] > 704 else (False, True)
        )
        assert one["stacked"] == ("table-cell" if one["width"] > 704 else "flex")
        colours = one["colours"]
        for text, ground in (
            *(("ink", ground) for ground in ("paper", "panel", "gap-ground", "bad-ground")),
            *(("ink", f"host-{number}") for number in range(8)),
            *(("soft", "paper"), ("gap", "paper"), ("good", "panel"), ("bad", "paper")),
        ):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for sign in ("seen", "halted", "gap"):
            assert contrast(colours[sign], colours["paper"]) >= 3, sign


def test_page_prints_on_paper_with_its_headers_repeated(tmp_path: Path) -> None:
    """A table over several sheets has its header on each, no row is cut, and it is light."""
    ready_chromium()
    days = Days()
    days.begin(web1=("Running", "h1"))
    for number in range(140):
        words = {"name_label": f"task-{number:03}", "uuid": f"{number}", "status": "failure"}
        error = ["VALUE_NOT_SUPPORTED", "memory", "4711", f"{'so much text ' * 20}end-{number:03}"]
        days.lab.event("add", "task", f"t{number}", {**words, "error_info": error})
    with days.history(tmp_path) as history:
        (tmp_path / "report.html").write_text(page_of(history), "utf-8")
    sheets = printed(tmp_path / "report.html", tmp_path / "report.pdf")
    tabled = [sheet for sheet in sheets if "task-" in sheet]
    assert len(tabled) >= 4
    for sheet in tabled:
        assert re.search(r"created +task +on +outcome +took +evidence", sheet)
        rows = re.findall(r"task-\d+", sheet)
        assert len(re.findall("VALUE_NOT_SUPPORTED", sheet)) == len(rows)


def test_evil_names_are_as_evil_as_they_can_be() -> None:
    """The names that these tests are about do hold markup, addresses, controls and length."""
    joined = "".join(EVIL_NAMES)
    for sign in ("<script>", "onload=", "http://", "\x00", "\x1b", "\u202e", "</style>", "url("):
        assert sign in joined
