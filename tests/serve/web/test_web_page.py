"""The page in a real Chromium: drop a frame, see what was found, zoom, move the slider, correct, reload, find it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from live_service import Live
from made_frames import CENTRE, PLUME, RADIUS, SPOT, io_image, write_frame

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True,
}  # fmt: skip
DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""
BRIGHTNESS = """([x, y]) => {
  const canvas = document.getElementById("view");
  const at = [x, y].map((side) => Math.round(side * canvas.width / canvas.clientWidth));
  return [...canvas.getContext("2d").getImageData(...at, 1, 1).data];
}"""

NAMELESS = """() => [...document.querySelectorAll("#room-frame :is(button, input, a), header :is(button, a)")]
  .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length || one.title))
  .map((one) => one.outerHTML)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    sync_api.expect.set_options(timeout=30_000)
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


def write_faint_plume(path: Path, seed: int) -> Path:
    """Write a frame whose plume has a score below that of its hot spot."""
    image = io_image(seed, plume=False)
    y, x = np.mgrid[:160, :200]
    above = (np.hypot(x - CENTRE[0], y - CENTRE[1]) > RADIUS) & (np.hypot(x - PLUME[0], y - PLUME[1]) < 9)
    fits.writeto(path, image + np.float32(18) * above)
    return path


def expect(page: Any, selector: str) -> Any:
    """Wait for what is said of an element; without evaluating strings, which the page's own policy forbids."""
    return sync_api.expect(page.locator(selector))


class Visit:
    """One page and what it complained of."""

    def __init__(self, browser: Any, kind: dict[str, Any], url: str) -> None:
        self.context = browser.new_context(**kind)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.flaws: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.flaws.append(str(error)))
        self.page.on("console", lambda said: self.flaws.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = url
        self.page.goto(url)

    def drop(self, frame: Path) -> None:
        expect(self.page, "#model").not_to_be_empty()
        self.page.evaluate(DROP, [frame.name, base64.b64encode(frame.read_bytes()).decode()])
        expect(self.page, "#frame-title").to_have_text(frame.stem)
        self.page.wait_for_selector("#detections tbody tr")
        self.page.wait_for_selector("#view[aria-busy='false']")

    def place(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Where a pixel of the 200 x 160 frame is on the canvas while the whole frame is shown."""
        box = self.page.locator("#view").bounding_box()
        scale = min(box["width"] / 200, box["height"] / 160)
        return box["width"] / 2 + (x_px - 99.5) * scale, box["height"] / 2 + (y_px - 79.5) * scale

    def zoom(self) -> float:
        return float(self.page.inner_text("#zoom").rstrip("×"))

    def shoot(self, name: str) -> None:
        """Keep a screenshot where IO_DETECTOR_SCREENSHOTS says; to be looked at."""
        folder = os.environ.get("IO_DETECTOR_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.parametrize(("kind", "name"), [(DESKTOP, "desktop"), (PHONE, "phone")], ids=["desktop", "phone"])
def test_a_frame_is_dropped_looked_at_corrected_and_found_again(
    kind: dict[str, Any], name: str, browser: Any, live: Live, tmp_path: Path
) -> None:
    frame = write_faint_plume(tmp_path / f"{name}.fits", seed=40 + len(name))
    visit = Visit(browser, kind, live.url)
    page = visit.page

    visit.drop(frame)
    assert page.locator("#detections tbody tr").count() == 2
    assert "1 plume, 1 hot spot" in page.inner_text("#said")
    assert page.evaluate("document.documentElement.scrollWidth") <= kind["viewport"]["width"]
    dark, bright = (page.evaluate(BRIGHTNESS, list(visit.place(x, y)))[0] for x, y in ((20, 20), (75, 100)))
    assert bright > dark + 60, "the frame is drawn"
    visit.shoot(f"{name}-1-dropped")

    # clicking the hot spot in the picture marks it in the table, and the other way round
    page.locator("#view").click(position=dict(zip("xy", visit.place(*SPOT), strict=True)))
    assert page.get_attribute("#detections tr[aria-selected='true']", "data-id") == f"{name}-h01"
    page.click(f"#detections tr[data-id='{name}-p01'] button.link")
    assert page.get_attribute("#detections tr[aria-selected='true']", "data-id") == f"{name}-p01"

    # zoom and pan to the pixel
    page.click("#zoom-fit")
    before = visit.zoom()
    page.click("#zoom-in")
    assert visit.zoom() == pytest.approx(1.5 * before, rel=0.02)
    page.focus("#view")
    for _ in range(20):
        page.keyboard.press("+")
    assert visit.zoom() == 64
    visit.shoot(f"{name}-2-pixels")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("0")
    assert visit.zoom() == pytest.approx(before, rel=0.02)

    # the slider hides what does not pass, live
    page.locator("#score").evaluate("(slider) => { slider.value = 0.95; slider.dispatchEvent(new Event('input')); }")
    assert page.inner_text("#score-count") == "1 of 2 shown"
    assert page.get_attribute("#detections tr.faint", "data-id") == f"{name}-p01"
    page.click("#score-all")
    assert page.inner_text("#score-count") == "2 of 2 shown"

    # reject the hot spot; redraw the plume with the pen
    page.click(f"#detections tr[data-id='{name}-h01'] button[data-act^='reject']")
    page.click(f"#detections tr[data-id='{name}-p01'] button[data-act^='redraw']")
    assert page.is_visible("#draw-hint")
    x, y = PLUME
    for corner in ((x - 10, y - 8), (x + 10, y - 8), (x + 10, y + 6), (x - 10, y + 6)):
        page.locator("#view").click(position=dict(zip("xy", visit.place(*corner), strict=True)))
    visit.shoot(f"{name}-3-pen")
    page.keyboard.press("Enter")
    assert not page.is_visible("#draw-hint")
    page.fill("#reviewer", "R. Viewer")
    page.click("#save")
    expect(page, "#said").to_contain_text("Corrections saved")
    visit.shoot(f"{name}-4-corrected")

    # reload: it is all there again
    page.reload()
    expect(page, "#correction-state").to_contain_text("revision 1")
    assert page.inner_text("#frame-title") == name
    assert "1 rejected, 1 drawn" in page.inner_text("#correction-state")
    assert page.locator("#detections tr.rejected").count() == 1
    saved = live.client.get(f"/v1/frames/{name}/corrections").json()
    drawn = next(one for one in saved["objects"] if one["decision"] == "redraw")
    assert drawn["detection_id"] == f"{name}-p01"
    for corner, wanted in zip(drawn["polygons"][0][0], ((x - 10, y - 8), (x + 10, y - 8)), strict=False):
        assert corner == pytest.approx(wanted, abs=0.6)

    assert visit.flaws == []
    assert all(url.startswith((live.url, "blob:")) for url in visit.asked), "nothing outside is asked for"
    visit.context.close()


def test_the_keyboard_is_enough(browser: Any, live: Live, tmp_path: Path) -> None:
    """Every control can be reached by Tab and has a name; the pen works without a mouse."""
    frame = write_frame(tmp_path / "keys.fits", seed=60)
    assert live.detect(frame).status_code == 200
    visit = Visit(browser, DESKTOP, f"{live.url}/#/frame/keys")
    page = visit.page
    page.wait_for_selector("#detections tbody tr")
    nameless = page.evaluate(NAMELESS)
    assert nameless == []
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"pick", "zoom-in", "view", "score", "black", "draw-plume", "help-open"} <= reached
    page.focus("#view")
    page.keyboard.press("n")
    assert page.get_attribute("#detections tr[aria-selected='true']", "data-id") == "keys-p01"
    page.keyboard.press("a")
    assert "1 accepted" in page.inner_text("#correction-state")
    page.click("#draw-hotspot")
    for key in ("Space", "Shift+ArrowRight", "Space", "Shift+ArrowDown", "Space", "Enter"):
        page.keyboard.press(key)
    assert "1 accepted, 1 drawn" in page.inner_text("#correction-state")
    assert page.locator("#detections tbody tr").count() == 3
    page.keyboard.press("Shift+?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    expect(page, "#said").to_contain_text("Corrections saved")
    assert visit.flaws == []
    visit.context.close()


def test_the_map_and_the_time_series_are_drawn(browser: Any, live: Live) -> None:
    visit = Visit(browser, DESKTOP, f"{live.url}/#/map")
    page = visit.page
    page.wait_for_selector("#map svg")
    assert "detections" in page.inner_text("#map-said")
    assert page.locator("#map svg circle").count() > 100  # the known volcanoes
    page.click("nav a[data-room='series']")
    page.wait_for_selector("#chart svg")
    page.fill("#series-name", "Loki")
    page.click("#series-form button[type='submit']")
    expect(page, "#series-said").to_contain_text("Loki")
    assert visit.flaws == []
    visit.context.close()


def test_a_file_that_is_no_frame_is_refused_in_words(browser: Any, live: Live, tmp_path: Path) -> None:
    visit = Visit(browser, DESKTOP, live.url)
    expect(visit.page, "#model").not_to_be_empty()
    bad = tmp_path / "notes.txt"
    bad.write_text("hello")
    visit.page.set_input_files("#pick", str(bad))
    visit.page.wait_for_selector("#uploads li.bad")
    assert "not of a kind that is read" in visit.page.inner_text("#uploads")
    visit.context.close()


def test_the_page_asks_for_the_token(browser: Any, guarded: Live, tmp_path: Path) -> None:
    visit = Visit(browser, DESKTOP, guarded.url)
    visit.page.wait_for_selector("#ask-token[open]")
    visit.page.fill("#token", guarded.token)
    visit.page.click("#ask-token button")
    expect(visit.page, "#model").not_to_be_empty()
    visit.drop(write_frame(tmp_path / "behind.fits"))
    visit.context.close()
