"""How soon the page is seen: the browser's own word, by the Paint Timing API.

in   the door that is tested
out  a line for each page: medians over LOADS loads of the first contentful paint, as a figure and as a
     share of GOAL_MS, and of when what somebody came for was there (navigation, form, clock)

Each load has an empty cache, on loopback. Nothing fails by it: a machine that does much else is slow.
Source: W3C, Paint Timing (first-contentful-paint), which counts from the start of the navigation.
"""

import json
import statistics

from browser import Browser
from target import Target

LOADS = 7
GOAL_MS = 300
FIRST = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
PAGES = (("/", "administrator", "#nav a"), ("/", None, "form"), ("/kiosk?lang=en", "kiosk", "#clock, .sign"))


# When an element was first there, noted by the page's own clock.
THERE = """
    const note = () => {
      if (!document.querySelector(%s)) return requestAnimationFrame(note);
      window.thereAt = performance.now();
    };
    requestAnimationFrame(note);
"""


def loads(browser: Browser, path: str, shown: str) -> tuple[list[float], list[float]]:
    """When each of LOADS loads painted something first, and when `shown` was there, in milliseconds."""
    browser.before_each_page(THERE % json.dumps(shown))
    painted, there = [], []
    for _ in range(LOADS):
        browser.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        browser.driver.get("about:blank")
        browser.open(path)
        browser.one(shown)
        both = lambda: browser.driver.execute_script(FIRST) is not None and browser.driver.execute_script("return window.thereAt ?? null")
        there.append(browser.wait(both, "something was painted"))
        painted.append(browser.driver.execute_script(FIRST))
    return painted, there


def tell(target: Target) -> None:
    for path, role, shown in PAGES:
        if role and role not in target.accounts:
            continue
        browser = Browser(target.url, target.insecure)
        try:
            if role:
                browser.log_in(*target.accounts[role], path=path)
                browser.one(shown)
            took, there = loads(browser, path, shown)
        finally:
            browser.close()
        median, who = statistics.median(took), role or "nobody signed in"
        about = f"{path.split('?')[0]} ({who})"
        print(f"first paint of {about}: {median:.0f} ms, {median / GOAL_MS:.2f} of {GOAL_MS} ms ({min(took):.0f} to {max(took):.0f}, {LOADS} loads); complete after {statistics.median(there):.0f} ms", flush=True)
