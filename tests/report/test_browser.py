"""The page in a real browser."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from report.browser import PROGRAM, Browser, browser
from report.finished_run import finished_run

from urm_ray.report.page import render_page
from urm_ray.report.summary import summary
from urm_ray.schema import TASKS

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed"),
    pytest.mark.timeout(120),
]

DECODED = """Promise.all([...document.images].map(async image => {
    const [head, data] = image.src.split(",");
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    const decoder = new ImageDecoder({data: bytes, type: head.slice(5).split(";")[0]});
    await decoder.tracks.ready;
    const track = decoder.tracks.selectedTrack, drawn = [];
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
    for (const frameIndex of [0, track.frameCount - 1]) {
        canvas.drawImage((await decoder.decode({frameIndex})).image, 0, 0);
        drawn.push([...canvas.getImageData(0, image.naturalHeight / 2, 1, 1).data.slice(0, 3)]);
    }
    return {kind: image.className, width: image.naturalWidth, frames: track.frameCount, drawn};
}))"""
SEEN = """[...document.images].filter(i => i.getClientRects().length).map(i => i.className)"""
ACROSS_A_CLIP = """(() => {
    const box = document.querySelector("img.playing").getBoundingClientRect();
    return [box.left + scrollX + 2, box.top + scrollY + box.height / 2, box.width - 4, 1].map(Math.round);
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of all four tasks."""
    folder = tmp_path_factory.mktemp("run")
    sources = finished_run(folder, tasks=TASKS, side=32)
    path = folder / "report.html"
    path.write_text(render_page(sources, summary(sources)))
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.mark.parametrize("width", [1280, 390])
def test_opens_without_a_complaint_and_fits(chromium: Browser, page: Path, width: int) -> None:
    chromium.complaints.clear()
    chromium.open(page, width)
    shot = chromium.screenshot()
    assert chromium.complaints == []
    assert chromium.value("document.documentElement.scrollWidth") <= width
    assert shot.width == width
    assert shot.height > 5000
    assert len(shot.resize((width // 4, 1000), Image.Resampling.NEAREST).getcolors(1 << 20)) > 50


def test_every_picture_and_clip_decodes_in_its_own_colours(chromium: Browser, page: Path) -> None:
    chromium.open(page, 1280)
    found = chromium.value(DECODED)
    assert all(picture["width"] for picture in found)
    clips = [picture for picture in found if "playing" in picture["kind"]]
    assert len(clips) == 5 * 2 + 4 * 2 + 5 + 4
    for clip in clips:
        first, last = clip["drawn"]
        assert clip["frames"] == 6
        assert first == [255, 255, 255]  # the bar is at the left edge, and then at the right one
        assert last != first
    assert {picture["frames"] for picture in found if picture not in clips} == {1}


def test_clips_play(chromium: Browser, page: Path) -> None:
    chromium.open(page, 1280)
    line = chromium.value(ACROSS_A_CLIP)
    views = set()
    for _ in range(100):
        views.add(chromium.screenshot(line).tobytes())
        if len(views) >= 3:
            return
        time.sleep(0.1)
    pytest.fail(f"{len(views)} different views of a clip in 10 seconds")


def test_clips_stand_still_where_that_is_wanted(chromium: Browser, page: Path) -> None:
    chromium.open(page, 1280)
    seen = chromium.value(SEEN)
    assert any("playing" in kind for kind in seen)
    assert not any("frames" in kind for kind in seen)
    chromium.value('document.getElementById("still").click()')
    still = chromium.value(SEEN)
    assert [kind.replace("frames", "playing") for kind in still] == seen
    chromium.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    chromium.open(page, 1280)
    assert chromium.value(SEEN) == still
    chromium.do("Emulation.setEmulatedMedia", features=[])


def test_the_browser_keeps_scripts_from_running(chromium: Browser, page: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.html"
    altered.write_text(page.read_text().replace("</body>", "<script>document.title = 'taken over'</script></body>"))
    chromium.complaints.clear()
    chromium.open(altered, 1280)
    assert chromium.value("document.title") == "A tiny run"
    assert "Content Security Policy" in "".join(chromium.complaints)
