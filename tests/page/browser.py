"""A real headless Chromium, and what a test of the page asks of it.

in   the origin that may be asked
out  a driver with waits, screen sizes and colour schemes; everything that the console said and every
     address that was asked for, each of which is judged

Invariants: each browser has an empty profile of its own; nothing outside of the origin is asked for
without being reported.
"""

import base64
import importlib.util
import json
import pathlib
import shutil
import tempfile
import urllib.parse

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

# A bound for what never comes, not for how fast it is.
PATIENCE_S = 30
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--lang=en",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
SIZES = {"phone": (360, 740), "tablet": (820, 1180), "panel": (800, 480), "desktop": (1366, 820)}


def axe() -> str:
    """axe-core's text: a file of a package of which nothing is started."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        raise SystemExit("check: axe-playwright-python is not installed: run it by tools/in_venv.sh")
    return (pathlib.Path(spec.origin).parent / "axe.min.js").read_text()


class Browser:
    def __init__(self, origin: str, insecure: bool = False):
        self.origin = origin.rstrip("/")
        self.profile = tempfile.mkdtemp(prefix="deepid-page-")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
        for flag in (*FLAGS, f"--user-data-dir={self.profile}"):
            options.add_argument(flag)
        options.accept_insecure_certs = insecure
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        program = shutil.which("chromedriver")
        if not program or not options.binary_location:
            raise SystemExit("check: needs chromium and chromedriver: apt-get install chromium chromium-driver")
        self.driver = webdriver.Chrome(options=options, service=Service(program))
        self.said: list[str] = []
        self.asked: set[str] = set()
        self.size("desktop")

    def close(self) -> None:
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    # Where it is

    def open(self, path: str) -> None:
        self.driver.get(self.origin + path)

    def go(self, view: str) -> None:
        """Shows a view without loading the page again, anew where it is shown already."""
        # The page hears of it later than who sets it: whatever is asked next is asked of the new view.
        script = """
            const [hash, done] = arguments;
            addEventListener("hashchange", () => done(), {once: true});
            if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange"));
            else location.hash = hash;
        """
        self.driver.execute_async_script(script, f"#/{view}")

    def size(self, name: str) -> None:
        wide, high = SIZES[name]
        mobile = name == "phone"
        metrics = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def before_each_page(self, script: str) -> None:
        """Has `script` run in every page that is opened from now on, before its own."""
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    def media(self, **features: str) -> None:
        values = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": values})

    # What it shows

    def wait(self, what, about: str, patience_s: float = PATIENCE_S):
        """What `what` gives as soon as it is true; parts of the page may be replaced meanwhile."""
        ignored = (StaleElementReferenceException, WebDriverException)
        wait = WebDriverWait(self.driver, patience_s, poll_frequency=0.05, ignored_exceptions=ignored)
        try:
            return wait.until(lambda _: what())
        except TimeoutException:
            shown = self.driver.execute_script("return document.body?.innerText ?? ''")
            raise TimeoutException(f"within {patience_s} s: {about}; the page shows: {shown[:600]!r}") from None

    def all(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str):
        return self.wait(lambda: self.one_or_none(selector), f"{selector} is seen")

    def one_or_none(self, selector: str):
        return next((element for element in self.all(selector) if element.is_displayed()), None)

    def text(self, selector: str = "body") -> str:
        found = self.all(selector)
        return found[0].text if found else ""

    def says(self, words: str, selector: str = "body") -> None:
        self.wait(lambda: words in self.text(selector), f"{selector} says {words!r}")

    def press(self, words: str, within: str = "body") -> None:
        """Presses the button or link with exactly this text."""

        def found():
            for element in self.all(f"{within} button, {within} a, {within} summary"):
                if element.is_displayed() and element.is_enabled() and element.text.strip() == words:
                    # As somebody would who scrolls until it is free of what stays in place.
                    self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
                    element.click()
                    return True
            return False

        self.wait(found, f"there is a button {words!r} in {within}")

    def labelled(self, label: str, within: str = "body"):
        """The control that belongs to a visible label."""
        script = """
            for (const label of document.querySelectorAll(arguments[1] + " label"))
              if (label.textContent.trim() === arguments[0] && label.control) return label.control;
            return null;
        """
        return self.wait(lambda: self.driver.execute_script(script, label, within), f"a field {label!r}")

    def fill(self, label: str, value: str, within: str = "body") -> None:
        control = self.labelled(label, within)
        control.clear()
        control.send_keys(value)

    def log_in(self, name: str, password: str, path: str = "/") -> None:
        self.driver.delete_all_cookies()
        self.open(path)
        self.fill("Name", name)
        self.fill("Password", password)
        self.one("form button[type=submit]").click()

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return self.driver.execute_script(
            "return Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth"
        )

    def shoot(self, path: pathlib.Path, whole: bool = False) -> None:
        if whole:
            data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
            path.write_bytes(base64.b64decode(data))
        else:
            self.driver.save_screenshot(str(path))

    def violations(self, source: str) -> list[str]:
        """What axe-core finds on the page as it is."""
        # By the debugger: the page's own policy would refuse a script of a test.
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
        run = "axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))"
        answer = self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True})
        found = []
        for violation in json.loads(answer["result"]["value"]):
            for node in violation["nodes"]:
                why = " ".join((node.get("failureSummary") or "").split())
                found.append(f"{violation['id']}: {' '.join(node['target'])}: {why[:220]}")
        return found

    # What it did

    def collect(self) -> None:
        for entry in self.driver.get_log("browser"):
            self.said.append(f"{entry['level']} {entry['source']}: {entry['message']}")
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            parameters = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.add(parameters["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                self.asked.add(parameters["url"])

    def foreign(self) -> list[str]:
        """Every address that is not of the page's own origin."""
        own = urllib.parse.urlsplit(self.origin).netloc
        parts = [(url, urllib.parse.urlsplit(url)) for url in sorted(self.asked)]
        return [url for url, part in parts if part.scheme not in ("blob", "data", "chrome") and part.netloc != own]

    def complaints(self, expected: tuple[str, ...] = ()) -> list[str]:
        """Errors and warnings of the console; a refused request is one, and may be expected."""
        bad = [line for line in self.said if line.startswith(("SEVERE", "WARNING"))]
        return [line for line in bad if not any(words in line for words in expected)]
