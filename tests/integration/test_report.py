"""The report in a real browser that cannot reach any network."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from aebnas_bo.report.contents import gather
from aebnas_bo.report.page import write_report
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.storage.run_folder import RunFolder

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NAME = "&lt;script&gt;alert(1)"
SETTINGS = {
    "exits": (f"name={NAME}",),
    "plain": ("space.exits=[]",),
    "tuned": ("space.thresholds=tuned",),
}
PHONE, DESKTOP = 390, 1280
DRAW_SECONDS = 60


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tiny_runs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for kind, settings in SETTINGS.items():
        found[kind] = write_report(gather(read_run(tiny_runs(*settings))), folder / f"{kind}.html")
    return found


def show(browser, page: Path, width: int) -> None:
    """Open a page in a window of some width and wait until everything is drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for log in ("browser", "performance"):
        browser.get_log(log)  # what came before
    browser.get(page.as_uri())
    WebDriverWait(browser, DRAW_SECONDS).until(
        lambda driver: driver.execute_script("return document.documentElement.dataset.drawn") is not None
    )


def requested(browser) -> list[str]:
    """Return the addresses the page asked for, in whatever way."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return sent + browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")


def refused(browser) -> list[str]:
    """Return why requests were never sent, and the scripts that were not run."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    failed = [e["params"].get("blockedReason", "") for e in events if e["method"] == "Network.loadingFailed"]
    messages = [entry["message"] for entry in browser.get_log("browser")]
    return failed + ["script" for message in messages if "inline script" in message]


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("kind", list(SETTINGS))
def test_a_browser_draws_all_of_it_without_a_network(browser, pages, kind: str, width: int) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    show(browser, pages[kind], width)
    problems = [entry for entry in browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
    assert problems == []
    assert [url for url in requested(browser) if not url.startswith(("file:", "data:", "blob:"))] == []

    sizes = browser.execute_script(
        "return Array.from(document.querySelectorAll('.plot')).map((plot) => {"
        "  const svg = plot.querySelector('.main-svg');"
        "  const box = svg ? svg.getBoundingClientRect() : {width: 0, height: 0};"
        "  return [plot.id, box.width, box.height, plot.querySelectorAll('.trace, .bars').length]; })"
    )
    assert len(sizes) >= 5
    assert [one for one in sizes if one[1] < 100 or one[2] < 100 or one[3] == 0] == []
    diagrams = browser.execute_script(
        "return Array.from(document.querySelectorAll('.diagram')).map((svg) => svg.getBoundingClientRect().width)"
    )
    assert diagrams
    assert min(diagrams) > 250

    found = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert found[0] <= found[1] == width
    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert.text


def test_a_study_of_a_harmful_name_does_no_harm(browser, pages) -> None:
    show(browser, pages["exits"], DESKTOP)
    assert browser.execute_script("return document.querySelector('h1').textContent") == NAME
    assert NAME in browser.title
    assert browser.execute_script("return document.querySelectorAll('script:not([type])').length") == 2
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0  # a failure's reason holds one


def test_the_policy_keeps_what_slips_through_from_running(browser, pages, tmp_path: Path) -> None:
    text = pages["plain"].read_text(encoding="utf-8")
    slipped = "<script>document.title = 'harmed'</script><img src='http://example.org/x.png'></body>"
    (tmp_path / "page.html").write_text(text.replace("</body>", slipped), encoding="utf-8")
    show(browser, tmp_path / "page.html", DESKTOP)
    assert browser.title != "harmed"
    assert sorted(refused(browser)) == ["csp", "script"]


def test_it_prints_light_and_whole(browser, pages, tmp_path: Path) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    show(browser, pages["exits"], DESKTOP)
    ground = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(ground) != "rgb(255, 255, 255)"
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") + pdf.count(b"/Type /Page/") >= 4
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(ground) == "rgb(255, 255, 255)"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    # what was made to fit the paper fits the window again
    widths = browser.execute_script(
        "return Array.from(document.querySelectorAll('.plot')).map((plot) =>"
        "  plot.clientWidth - plot.querySelector('.main-svg').getBoundingClientRect().width)"
    )
    assert max(abs(width) for width in widths) <= 2
    assert browser.execute_script("return document.querySelectorAll('details[open]').length") == 0


def test_the_command_writes_the_page_and_says_where(tiny_run, call) -> None:
    folder: RunFolder = tiny_run()
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    result = call("report", str(folder.path), "--select", "best-accuracy", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["report"] == str(folder.report)
    assert [one["title"] for one in document["chosen"]] == ["most accurate"]
    after = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    assert {path.name for path in after.keys() - before.keys()} == {"report.html"}
    assert {path: after[path] for path in before if path.is_file()} == {p: t for p, t in before.items() if p.is_file()}
