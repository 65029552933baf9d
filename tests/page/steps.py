"""What cases of the page have in common: how they begin, ask and judge.

in   a browser and the door that is tested
out  steps that return, or raise with what was not so, or Skip with what is missing
"""

import uuid

from browser import Browser
from target import Target


class Skip(Exception):
    pass


def expect(holds: object, about: str) -> None:
    if not holds:
        raise AssertionError(about)


def own(name: str) -> str:
    return f"{name} {uuid.uuid4().hex[:6]}"


def administrator(browser: Browser, target: Target, view: str = "live") -> None:
    browser.log_in(*target.accounts["administrator"])
    browser.one("#nav a")
    browser.go(view)


def request(browser: Browser, method: str, path: str, body: object = None) -> dict:
    """What the API answers to the page's own session."""
    script = """
        const [method, path, body, done] = arguments;
        (async () => {
          const session = await (await fetch("/api/v1/session")).json();
          const headers = {"X-CSRF-Token": session.csrf, "Content-Type": "application/json"};
          const options = method === "GET" ? {} : {method, headers, body: body && JSON.stringify(body)};
          const response = await fetch("/api/v1/" + path, options);
          const text = await response.text();
          let json = null;
          try { json = JSON.parse(text); } catch {}
          return {status: response.status, json, text: text.slice(0, 5000)};
        })().then(done, error => done({status: 0, json: null, text: String(error)}));
    """
    return browser.driver.execute_async_script(script, method, path, body)


def add_by_files(browser: Browser, target: Target, name: str, files: list) -> None:
    browser.go("people/add")
    browser.fill("Name", name)
    browser.all("input[type=file]")[0].send_keys("\n".join(map(str, files)))
    browser.wait(lambda: len(browser.all(".pictures li")) == len(files), "every file is listed")
    browser.one("form button[type=submit]").click()
    browser.wait(lambda: browser.all(".notice.good") or browser.all(".notice.bad"), "the pictures were judged", 180)


def needs_pictures(target: Target) -> None:
    if not target.pictures:
        raise Skip("no --picture of a face was given")


def told(browser: Browser, term: str) -> str | None:
    """What a list of terms says of one."""
    script = """
        for (const term of document.querySelectorAll("dl.terms dt"))
          if (term.textContent === arguments[0]) return term.nextElementSibling.textContent;
        return null;
    """
    return browser.driver.execute_script(script, term)


# What a view shows as soon as it has what it asks for; others ask for nothing.
LOADED = {
    "live": ".decisions li",
    "people": ".table tbody a, .empty",
    "log": ".entry, .log .empty",
    "door/zones": ".picture:not(.waiting)",
    "people/visits": ".choice, form .empty",
    "figures": ".tiles .tile",
    "door": ".settings tbody tr",
}


def loaded(browser: Browser, view: str) -> None:
    """Until what a view asks for is there."""
    browser.one("#main h1, #main section")
    if view in LOADED:
        browser.one(LOADED[view])
    settle(browser)


def settle(browser: Browser) -> None:
    """Until what is shown is drawn."""
    browser.wait(lambda: "Loading …" not in browser.text("#main"), "the view is loaded")
    browser.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def judge(browser: Browser, expected: tuple[str, ...] = ()) -> None:
    """What holds in every case: a quiet console, and nothing asked of anybody else."""
    browser.collect()
    # A refusal that a case provokes is an answer; the browser writes it into the console all the same.
    unauthorised = "Failed to load resource: the server responded with a status of 401"
    refusals = (f"/api/v1/session - {unauthorised}", f"/api/v1/kiosk - {unauthorised}")
    complaints = browser.complaints(refusals + expected)
    expect(not complaints, f"the console is quiet: {complaints}")
    expect(not browser.foreign(), f"nobody else is asked: {browser.foreign()}")
