"""A player shows a film of a thousand segments, after one decision of the application."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, Page, Route

from tests.support.signing import APPLICATION_THAT_SIGNS, SETTINGS, VERIFYING, Signing
from tests.support.sites import new_site

SEGMENTS = 1000
WATCHING = (
    APPLICATION_THAT_SIGNS
    + '''
@app.get("/watch/<int:number>")
def watch(number):
    url = signed_cookie(f"films/{number}/", expires_in=600)
    return f"""<!doctype html><title>Film</title><video muted></video>
<script src="/hls.js"></script><script>
const film = document.querySelector("video"), seen = {{ segments: 0, problems: [] }};
const hls = new Hls({{ maxBufferLength: 3600, maxMaxBufferLength: 3600 }});
hls.on(Hls.Events.FRAG_BUFFERED, () => seen.segments++);
hls.on(Hls.Events.ERROR, (_, error) => seen.problems.push(error.details));
hls.loadSource(new URLSearchParams(location.search).get("of") || "{url}index.m3u8");
hls.attachMedia(film);
</script>"""
'''
)
# Each server shows another form of segments.
FORMS = {
    "apache": {"hls_segment_filename": "part %04d.ts"},
    "nginx": {"hls_segment_filename": "part %04d.m4s", "hls_segment_type": "fmp4"},
}


@pytest.fixture(scope="module")
def player() -> Path:
    path = os.environ.get("HLS_JS")
    assert path, "HLS_JS names no file: scripts/test sets it"
    return Path(path)


def cut_film(folder: Path, options: dict[str, str], segments: int) -> None:
    """Write a film of segments of half a second, and its playlist."""
    folder.mkdir(parents=True)
    options = options | {"hls_time": "0.5", "hls_list_size": "0", "hls_playlist_type": "vod"}
    options["hls_segment_filename"] = str(folder / options["hls_segment_filename"])
    with av.open(str(folder / "index.m3u8"), "w", format="hls", options=options) as film:
        how = {"preset": "ultrafast", "tune": "zerolatency"}
        stream = film.add_stream("libx264", rate=4, options=how)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 64, "yuv420p", 2
        for number in range(2 * segments):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number % 256]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 4)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    for path in folder.iterdir():
        path.chmod(0o644)


@contextmanager
def watching(browser: Browser, server: Signing, player: Path, page: str) -> Iterator[Page]:
    context = browser.new_context()
    tab = context.new_page()

    def give(route: Route) -> None:
        route.fulfill(path=player, content_type="text/javascript")

    tab.route("**/hls.js", give)
    tab.goto(f"http://127.0.0.1:{server.port}{page}")
    yield tab
    context.close()


@pytest.fixture(scope="module", params=VERIFYING)
def server(request: pytest.FixtureRequest) -> Iterator[Signing]:
    with new_site(**SETTINGS) as site:
        for number, segments in ((42, SEGMENTS), (43, 2)):
            cut_film(site.root / f"films/{number}", FORMS[request.param], segments)
        with VERIFYING[request.param](site, WATCHING) as running:
            yield running


def test_a_film_of_a_thousand_segments_costs_one_decision(
    browser: Browser, server: Signing, player: Path
) -> None:
    before = server.count()
    with watching(browser, server, player, "/watch/42") as page:
        page.wait_for_function(f"seen.segments >= {SEGMENTS}", timeout=60_000)
        assert page.evaluate("seen.problems") == []
        assert page.evaluate("film.duration") == pytest.approx(SEGMENTS / 2, abs=1)
        # It is shown from the beginning, and from wherever somebody goes.
        for second in (0, 400):
            page.evaluate(f"film.currentTime = {second}; film.play()")
            page.wait_for_function(f"film.currentTime > {second} + 0.6 && !film.paused")
        assert page.evaluate("film.videoWidth") == 64
        assert page.evaluate("film.getVideoPlaybackQuality().totalVideoFrames") > 2
        # The page, and this question. The icon that browsers ask for is none of the film's.
        assert server.count() - before <= 3


def test_the_film_beside_it_is_not_shown(browser: Browser, server: Signing, player: Path) -> None:
    with watching(browser, server, player, "/watch/42?of=/signed/films/43/index.m3u8") as page:
        page.wait_for_function("seen.problems.length > 0")
        assert set(page.evaluate("seen.problems")) == {"manifestLoadError"}
        assert page.evaluate("seen.segments") == 0
        status = "(await fetch(address)).status"
        ask = f"async address => {status}"
        assert page.evaluate(ask, "/signed/films/42/index.m3u8") == 200
        assert page.evaluate(ask, "/signed/films/43/index.m3u8") == 403
        assert page.evaluate(ask, "/signed/films/42/../43/index.m3u8") == 403
        assert page.evaluate(ask, "/signed/films/42/..%2f43/index.m3u8") in {403, 404}
        # Another browser has no cookie; this one has none either after somebody has signed out.
        page.context.clear_cookies(name="flask_delegate_browser")
        assert page.evaluate(ask, "/signed/films/42/index.m3u8") == 403
