"""What the page must do, seen in a browser.

in   a browser and the door that is tested
out  for each case: it returns, or it raises with what was not so, or Skip with what is missing

Cases are independent: each signs in anew, and enrols under names of its own.
"""

import json
import time
import uuid

from browser import SIZES, Browser
from target import Target, broken_picture
from world import MARKUP

VIEWS = ("live", "people", "log", "figures", "door", "people/add", "people/enrol", "people/identify")


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


def first_login(browser: Browser, target: Target) -> None:
    browser.driver.delete_all_cookies()
    browser.open("/")
    browser.says("Sign in to the door")
    expect(not browser.all("#nav a"), "nothing but the login is shown without a session")
    name, password = target.accounts["administrator"]
    browser.fill("Name", name)
    browser.fill("Password", password + "x")
    browser.one("form button[type=submit]").click()
    browser.one("form .notice.bad")
    expect(not browser.all("#nav a"), "a wrong password shows nothing")
    expect(browser.labelled("Name").get_property("value") == name, "the name is kept after a wrong password")
    browser.fill("Password", password)
    browser.one("form button[type=submit]").click()
    browser.one("#nav a")
    browser.says("administrator", "#top")
    browser.open("/")
    browser.one("#nav a")
    browser.press("Sign out")
    browser.says("Sign in to the door")
    browser.open("/#/people")
    browser.says("Sign in to the door")


def viewer_reads_only(browser: Browser, target: Target) -> None:
    if "viewer" not in target.accounts:
        raise Skip("no --viewer was given")
    browser.log_in(*target.accounts["viewer"])
    browser.says("Last decisions")
    expect(not browser.all("canvas"), "a viewer sees no live picture")
    browser.go("people")
    browser.one(".table tbody a")
    expect("Add from files" not in browser.text(), "a viewer adds nobody")
    browser.all(".table tbody a")[0].click()
    browser.says("Enrolment")
    text = browser.text("#main")
    expect(not any(words in text for words in ("Rename", "Remove", "Switch off")), f"a viewer changes nobody: {text!r}")
    browser.go("people/add")
    browser.wait(lambda: not browser.all("input[type=file]"), "a viewer gets no form by its address either")
    browser.collect()
    expect(not any("/live" in url and url.startswith("ws") for url in browser.asked), "no socket was opened for a viewer")


def live_picture(browser: Browser, target: Target) -> None:
    administrator(browser, target)
    script = """
        const canvas = document.querySelector("canvas");
        if (!canvas || document.querySelector(".picture.waiting")) return 0;
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        const seen = new Set();
        for (let i = 0; i < data.length; i += 4004) seen.add(data[i] + "," + data[i + 1] + "," + data[i + 2]);
        return seen.size;
    """
    browser.wait(lambda: browser.driver.execute_script(script) > 5, "the canvas shows a picture")
    if not target.world:
        return
    name = next(iter(target.world.subjects.values()))["name"]
    browser.says(name, ".judged")
    expect("0.748 of 0.612" in browser.text(".judged"), "score and threshold are written")
    label = browser.driver.execute_script("return document.querySelector('canvas').getAttribute('aria-label')")
    expect(name in label, f"who is seen is told in words: {label!r}")
    target.world.recognised = False
    browser.says("Nobody enrolled is near enough", ".judged")
    target.world.recognised = True
    target.world.come("come_closer")
    browser.says("Come closer", ".side")
    target.world.go()
    browser.says("nobody", ".side")


def people_are_listed(browser: Browser, target: Target) -> None:
    administrator(browser, target, "people")
    browser.one(".table tbody a")
    listed = request(browser, "GET", "subjects")["json"]
    expect(len(browser.all(".table tbody tr")) == len(listed), "everybody is listed")
    some = listed[0]["name"]
    browser.one("input[type=search]").send_keys(some)
    browser.says("found", ".toolbar")
    names = [row.text for row in browser.all(".table tbody a")]
    expect(some in names, f"{some!r} is found by name: {names}")
    browser.one("input[type=search]").clear()
    browser.one("input[type=search]").send_keys("nobody has this name")
    browser.says("Nobody has such a name.")


def markup_in_a_name_is_text(browser: Browser, target: Target) -> None:
    administrator(browser, target)
    name = MARKUP
    if not target.world:
        needs_pictures(target)
        add_by_files(browser, target, name, target.pictures)
    browser.go("people")
    browser.wait(lambda: name in [link.text for link in browser.all(".table tbody a")], "the name is shown as written")
    next(link for link in browser.all(".table tbody a") if link.text == name).click()
    browser.says(name, "h1")
    browser.press("Remove …")
    browser.says(name, "dialog h2")
    browser.press("Cancel", "dialog")
    browser.go("log")
    browser.says(name, ".log")
    for selector in ("#main img[src='x']", "#main b"):
        expect(not any("Bold" in e.text for e in browser.all(selector)), f"{selector} was made of a name")
    expect(not browser.all("img[onerror]"), "no element was made of a name")


def files_with_one_refused(browser: Browser, target: Target) -> None:
    needs_pictures(target)
    administrator(browser, target)
    name = own("Mary Jackson")
    add_by_files(browser, target, name, [target.pictures[0], target.no_face, broken_picture()])
    browser.says(f"{name} has 1 new reference", ".notice.good")
    refused = [item.text for item in browser.all(".pictures li.refused")]
    expect(len(refused) == 2, f"two pictures are refused: {refused}")
    expect(any(target.no_face.name in text for text in refused), "the refused picture is named")
    expect(all(len(text.splitlines()) >= 2 for text in refused), f"each refused picture has its reason: {refused}")
    browser.press("Show the person")
    browser.says(name, "h1")
    browser.go("people/add")
    browser.fill("Name", own("Nobody"))
    browser.all("input[type=file]")[0].send_keys(str(target.no_face))
    browser.one("form button[type=submit]").click()
    browser.one(".notice.bad")
    browser.one(".pictures li.refused")
    browser.go("people/add")
    browser.fill("Name", name)
    browser.all("input[type=file]")[0].send_keys(str(target.pictures[0]))
    browser.one("form button[type=submit]").click()
    browser.one(".notice.bad")
    expect(not browser.all(".notice.good"), "a name that is taken enrols nobody")
    drop = """
        const data = new DataTransfer();
        data.items.add(new File(["x"], "notes.txt", {type: "text/plain"}));
        document.querySelector(".drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
    """
    browser.driver.execute_script(drop)
    texts = lambda: [item.text for item in browser.all(".pictures li.refused")]
    browser.wait(lambda: any("notes.txt" in text for text in texts()), "a dropped file that is no picture is refused")


def a_person_is_changed(browser: Browser, target: Target) -> None:
    needs_pictures(target)
    administrator(browser, target)
    name, other = own("Katherine Johnson"), own("Dorothy Vaughan")
    add_by_files(browser, target, name, target.pictures)
    browser.press("Show the person")
    browser.says(name, "h1")
    browser.fill("Name", other)
    browser.press("Rename")
    browser.says(other, "h1")
    browser.press("Switch off")
    browser.says("Switched off", ".head")
    browser.press("Switch on")
    browser.says("May pass", ".head")
    set_time = "arguments[0].value = arguments[1]"
    browser.driver.execute_script(set_time, browser.labelled("From"), "2030-02-01T08:00")
    browser.driver.execute_script(set_time, browser.labelled("Until"), "2030-01-01T08:00")
    browser.press("Set validity")
    browser.one("form .notice.bad")
    browser.driver.execute_script(set_time, browser.labelled("Until"), "2030-03-01T08:00")
    browser.press("Set validity")
    browser.says("Not yet valid", ".head")
    browser.driver.execute_script(set_time, browser.labelled("From"), "")
    browser.driver.execute_script(set_time, browser.labelled("Until"), "")
    browser.press("Set validity")
    browser.says("May pass", ".head")
    groups = request(browser, "GET", "groups")["json"]
    if groups:
        browser.labelled("Group").send_keys(groups[0]["name"])
        browser.press("Set group")
        browser.wait(lambda: groups[0]["name"] in browser.text(".terms"), "the group is shown")
    # Removal: asked first, and not done unless confirmed.
    browser.press("Remove …")
    browser.says("erases", "dialog")
    browser.driver.switch_to.active_element.send_keys("\ue00c")
    browser.wait(lambda: not browser.all("dialog"), "Escape closes the question")
    expect(other in browser.text("h1"), "Escape removes nobody")
    browser.press("Remove …")
    browser.press("Remove and erase", "dialog")
    browser.wait(lambda: browser.text("h1") == "People", "the list is shown again")
    browser.one(".table tbody a, .empty")
    browser.wait(lambda: other not in browser.text("table"), "the removed person is gone from the list")
    everybody = request(browser, "GET", "subjects")["json"]
    expect(other not in [one["name"] for one in everybody], "the daemon has forgotten the person")


def whom_a_picture_shows(browser: Browser, target: Target) -> None:
    needs_pictures(target)
    administrator(browser, target)
    if not target.world:
        add_by_files(browser, target, own("Valerie Thomas"), target.pictures)
    browser.go("people/identify")
    browser.says("Who is this?", "h1")
    browser.all("input[type=file]")[0].send_keys(str(target.pictures[0]))
    browser.one(".asked .score.good")
    browser.all("input[type=file]")[0].send_keys(str(target.no_face))
    browser.one(".asked .notice.bad")
    expect(not browser.all(".asked .score"), "a picture without a face shows nobody")


def enrolment_at_the_door(browser: Browser, target: Target) -> None:
    if not target.can("enrol"):
        raise Skip("no --at-door command lets somebody stand before the camera")
    administrator(browser, target, "people/enrol")
    name = own("Annie Easley")
    browser.fill("Name", name)
    browser.press("Begin")
    if target.at_door:
        from target import run

        run(target.at_door)
    browser.one(".ring")
    seen = set()

    def everything():
        seen.add(browser.text(".say-now"))
        return "Everything was taken" in seen

    browser.wait(everything, "every side was taken", 120)
    expect(any("left" in say for say in seen) and any("right" in say for say in seen), f"what to do was said: {seen}")
    expect(name not in [one["name"] for one in request(browser, "GET", "subjects")["json"]], "nothing is written before the button")
    if target.world:
        browser.says("looks alike", ".notice.warn")
    browser.press("Save")
    browser.says(f"{name} is enrolled.")
    expect(name in [one["name"] for one in request(browser, "GET", "subjects")["json"]], "the person is enrolled")


def enrolment_is_cancelled(browser: Browser, target: Target) -> None:
    administrator(browser, target, "people/enrol")
    name = own("Nobody")
    browser.fill("Name", name)
    browser.press("Begin")
    browser.one(".ring")
    browser.press("Cancel")
    browser.one("form input[name=name]")
    running = lambda: request(browser, "GET", "enrolments")
    browser.wait(lambda: not running()["json"], "the door was told of the cancelling")
    # Whoever leaves the view cancels, too.
    browser.fill("Name", name)
    browser.press("Begin")
    browser.one(".ring")
    browser.go("people")
    browser.wait(lambda: not running()["json"], "who leaves the view cancels")
    expect(name not in browser.text(), "who cancels enrols nobody")


def a_grant_appears_at_once(browser: Browser, target: Target) -> None:
    if not target.can("visit"):
        raise Skip("no --on-visit command was given")
    if "kiosk" not in target.accounts:
        raise Skip("no --kiosk was given")
    screen = Browser(target.url, target.insecure)
    try:
        screen.log_in(*target.accounts["kiosk"], path="/kiosk?lang=en")
        screen.one("body.idle #clock")
        administrator(browser, target, "log")
        browser.one(".entry")
        newest = browser.all(".entry")[0].get_attribute("aria-controls")
        begin = time.monotonic()
        target.visit()
        screen.one("body.granted")
        kiosk_ms = (time.monotonic() - begin) * 1000
        browser.wait(lambda: browser.all(".entry")[0].get_attribute("aria-controls") != newest, "the log shows it")
        log_ms = (time.monotonic() - begin) * 1000
        print(f"    a grant is on the kiosk after {kiosk_ms:.0f} ms, in the log after {log_ms:.0f} ms")
        expect("Welcome" in screen.text(), "the visitor is greeted")
        target.leave()
        screen.one("body.idle #clock")
        judge(screen)
    finally:
        screen.close()


def the_log(browser: Browser, target: Target) -> None:
    administrator(browser, target, "log")
    browser.one(".entry")
    first = browser.all(".entry")[0]
    first.click()
    browser.wait(lambda: first.get_attribute("aria-expanded") == "true", "a record opens")
    expect("Record" in browser.text(".details:not([hidden])"), "details are shown")
    first.click()
    browser.wait(lambda: not browser.all(".details:not([hidden])"), "a record closes")
    count = len(browser.all(".entry"))
    if target.world:
        browser.press("Older records")
        browser.wait(lambda: len(browser.all(".entry")) > count, "older records follow")
    browser.labelled("Outcome").send_keys("Granted")
    marks = "return [...document.querySelectorAll('.entry .outcome')].map(e => e.className)"
    browser.wait(
        lambda: all("granted" in name for name in browser.driver.execute_script(marks)), "only grants are shown"
    )
    expect("outcome=granted" in browser.driver.current_url, "the filter is in the address")
    link = browser.driver.execute_script("return [...document.querySelectorAll('a[download]')].map(a => a.href)")
    expect(len(link) == 2 and all("outcome=granted" in url for url in link), f"the downloads have the filter: {link}")
    for url in link:
        answer = request(browser, "GET", url.split("/api/v1/")[1])
        expect(answer["status"] == 200, f"{url} answers {answer['status']}")
        if url.split("?")[0].endswith("jsonl") and answer["text"]:
            json.loads(answer["text"].splitlines()[0])
    browser.labelled("Outcome").send_keys("All")
    browser.driver.refresh()
    browser.one(".entry, .log .empty")


def the_daemon_goes_and_comes(browser: Browser, target: Target) -> None:
    if not target.can("stop"):
        raise Skip("no --on-stop and --on-start commands were given")
    administrator(browser, target, "log")
    browser.one(".entry")
    browser.one("#top .pill:not(.lost)")
    target.stop()
    browser.one("#banner")
    browser.says("has not answered", "#banner")
    browser.says("No connection", "#top")
    expect(browser.all("body.stale"), "what is shown is marked as old")
    expect(browser.all(".entry"), "what was known stays")
    target.start()
    browser.wait(lambda: not browser.one_or_none("#banner"), "the banner goes when the door is back", 60)
    if browser.all("form.login"):
        # A daemon that was started anew knows no session; who signs in again is where they were.
        browser.fill("Password", target.accounts["administrator"][1])
        browser.fill("Name", target.accounts["administrator"][0])
        browser.one("form button[type=submit]").click()
    browser.one("#top .pill:not(.lost)")
    browser.one(".entry")
    expect(not browser.all("body.stale"), "what is shown is fresh again")


def the_kiosk(browser: Browser, target: Target) -> None:
    if "kiosk" not in target.accounts:
        raise Skip("no --kiosk was given")
    browser.log_in(*target.accounts["kiosk"], path="/kiosk?lang=en")
    browser.one("body.idle #clock")
    expect(not browser.all("canvas, img:not([alt=''])"), "no picture at the door")
    cookie = next(one for one in browser.driver.get_cookies() if one["httpOnly"])
    expect(cookie.get("expiry", 0) > time.time() + 30 * 86_400, "a screen stays signed in for long")
    browser.open("/")
    browser.wait(lambda: browser.driver.current_url.endswith("/kiosk"), "a kiosk sees nothing else")
    browser.open("/kiosk?lang=de")
    browser.says("In die Kamera schauen")
    if not target.world:
        return
    world = target.world
    for code in ("come_closer", "step_back", "one_at_a_time", "turn_left", "turn_right", "hold_still", "more_light", "look_here", "uncover", "second_factor"):
        world.come(code)
        browser.one(f"body[data-state='guide:{code}'] svg.sign")
    browser.open("/kiosk?lang=en")
    somebody = next(iter(world.subjects.values()))
    world.go()
    browser.one("body.idle")
    browser.wait(lambda: world.listeners, "the screen listens")
    world.decide("granted", "matched", somebody)
    browser.says(somebody["name"])
    world.names_at_kiosk = False
    try:
        browser.open("/kiosk?lang=en")
        browser.one("body.idle")
        # The page keeps to what it was told, also where an event carries a name all the same.
        world.names_at_kiosk = True
        world.decide("denied", "outside_schedule", somebody)
        browser.one("body.denied")
        browser.says("Not at this time")
        expect(somebody["name"] not in browser.text(), "no name unless the door is told to show names")
        world.decide("unknown", "no_match")
        browser.one("body.unknown")
    finally:
        world.names_at_kiosk = True
    world.tell("health", world.state() | {"status": "fault"})
    browser.one("body.fault")
    world.tell("health", world.state())
    browser.one("body.idle")
    target.stop()
    browser.one("body.gone")
    browser.says("No connection to the door")
    target.start()
    browser.wait(lambda: browser.all("body.idle"), "the screen goes on by itself", 60)


def figures_and_door(browser: Browser, target: Target) -> None:
    administrator(browser, target, "figures")
    browser.says("Claimed FPIR")
    browser.says("Who is near whom")
    if target.world:
        browser.wait(lambda: len(browser.all("svg.chart")) == 5, "a histogram and four lines")
        labels = browser.driver.execute_script("return [...document.querySelectorAll('svg.chart')].map(e => e.getAttribute('aria-label'))")
        expect(all(labels), "each chart is told in words")
    expect("NaN" not in browser.text() and "undefined" not in browser.text(), "no number is broken")
    browser.go("door")
    browser.says("Configuration in force")
    browser.one(".settings tbody tr")
    count = len(browser.all(".settings tbody tr"))
    browser.one("input[type=search]").send_keys("camera.")
    browser.wait(lambda: 0 < len(browser.all(".settings tbody tr")) < count, "settings are found by key")
    browser.press("Ask the doctor")
    browser.wait(lambda: browser.all(".checks li") or "deepid-edge doctor" in browser.text("#main"), "the doctor answers", 90)
    expect("NaN" not in browser.text() and "undefined" not in browser.text(), "no value is broken")


def a_lost_session(browser: Browser, target: Target) -> None:
    administrator(browser, target, "people")
    browser.one(".table, .empty")
    browser.driver.delete_all_cookies()
    browser.driver.execute_script("location.hash = '#/log'")
    browser.says("Sign in to the door")
    expect(not browser.all(".entry"), "nothing of the door is left on the page")


def by_keyboard(browser: Browser, target: Target) -> None:
    administrator(browser, target, "log")
    browser.one(".entry")
    browser.driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(60):
        browser.driver.switch_to.active_element.send_keys("\ue004")
        element = browser.driver.switch_to.active_element
        reached.append(element.get_attribute("class") or element.text or element.tag_name)
        # Within a field for a time the focus goes on to its parts, each of which the browser marks.
        if element.get_attribute("type") == "datetime-local":
            continue
        outline = browser.driver.execute_script(
            "const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0"
        )
        expect(outline, f"what has the focus shows it: {reached[-1]!r}")
        if "entry" in (element.get_attribute("class") or ""):
            element.send_keys("\ue007")
            browser.wait(lambda: element.get_attribute("aria-expanded") == "true", "Enter opens a record")
            return
    raise AssertionError(f"no record is reached by Tab: {reached}")


def it_fits(browser: Browser, target: Target) -> None:
    administrator(browser, target)
    wrong = []
    subject = request(browser, "GET", "subjects")["json"]
    views = [*VIEWS, *([f"people/{subject[0]['id']}"] if subject else [])]
    for size in SIZES:
        browser.size(size)
        for view in views:
            browser.go(view)
            browser.one("#main h1, #main section")
            settle(browser)
            if browser.overflow() > 0:
                wrong.append(f"{view} at {size}: {browser.overflow()} px too wide")
    expect(not wrong, "; ".join(wrong))


def settle(browser: Browser) -> None:
    """Until what a view loads is there."""
    browser.wait(lambda: "Loading …" not in browser.text("#main"), "the view is loaded")
    browser.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def axe_finds_nothing(browser: Browser, target: Target) -> None:
    from browser import axe

    source, found = axe(), []
    browser.driver.delete_all_cookies()
    browser.open("/")
    browser.one("form")
    found += [f"login: {text}" for text in browser.violations(source)]
    administrator(browser, target)
    subject = request(browser, "GET", "subjects")["json"]
    views = [*VIEWS, *([f"people/{subject[0]['id']}"] if subject else [])]
    for scheme in ("light", "dark"):
        browser.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        for size in ("desktop", "phone"):
            browser.size(size)
            for view in views:
                browser.go(view)
                browser.one("#main h1, #main section")
                settle(browser)
                if view == "log":
                    browser.one(".entry").click()
                found += [f"{view}, {scheme}, {size}: {text}" for text in browser.violations(source)]
    if "kiosk" in target.accounts:
        browser.size("panel")
        browser.log_in(*target.accounts["kiosk"], path="/kiosk?lang=en")
        browser.one("body.idle #clock")
        found += [f"kiosk: {text}" for text in browser.violations(source)]
        if target.world:
            for outcome, reason in (("granted", "matched"), ("denied", "locked_out"), ("unknown", "no_match")):
                target.world.decide(outcome, reason)
                browser.one(f"body.{outcome}")
                found += [f"kiosk, {outcome}: {text}" for text in browser.violations(source)]
            target.world.come("turn_left")
            browser.wait(lambda: browser.all("body.guide"), "guidance follows")
            found += [f"kiosk, guidance: {text}" for text in browser.violations(source)]
            target.world.go()
    expect(not found, "\n      ".join(["axe-core finds:", *found]))


def judge(browser: Browser, expected: tuple[str, ...] = ()) -> None:
    """What holds in every case: a quiet console, and nothing asked of anybody else."""
    browser.collect()
    # A refusal that a case provokes is an answer; the browser writes it into the console all the same.
    unauthorised = "Failed to load resource: the server responded with a status of 401"
    refusals = (f"/api/v1/session - {unauthorised}", f"/api/v1/kiosk - {unauthorised}")
    complaints = browser.complaints(refusals + expected)
    expect(not complaints, f"the console is quiet: {complaints}")
    expect(not browser.foreign(), f"nobody else is asked: {browser.foreign()}")


GONE = ("net::ERR_", "WebSocket connection to")
REFUSED = ("responded with a status of 4",)

# Each case, and which lines of the console belong to what it provokes.
CASES = {
    first_login: (),
    viewer_reads_only: (),
    live_picture: (),
    people_are_listed: (),
    markup_in_a_name_is_text: (),
    files_with_one_refused: REFUSED,
    a_person_is_changed: REFUSED,
    whom_a_picture_shows: REFUSED,
    enrolment_at_the_door: (),
    enrolment_is_cancelled: (),
    a_grant_appears_at_once: (),
    the_log: (),
    # A daemon without a doctor on its page is told from one that fails.
    figures_and_door: ("/api/v1/doctor",),
    by_keyboard: (),
    a_lost_session: REFUSED,
    the_kiosk: GONE + REFUSED,
    it_fits: (),
    axe_finds_nothing: (),
    the_daemon_goes_and_comes: (*GONE, "/api/v1/events - Failed to load resource"),
}
