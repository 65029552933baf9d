"""Pictures of every view at every size, for people to look at; the mock's are fit for documents.

in   the door that is tested, a folder
out  PNG files named VIEW-SIZE-SCHEME.png
"""

import pathlib

from browser import SIZES, Browser
from steps import administrator, request, settle
from target import Target

BOTH = ("light", "dark")


def make(target: Target, folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    browser = Browser(target.url, target.insecure)
    try:
        login(browser, folder)
        views(browser, target, folder)
        if target.world:
            moments(browser, target, folder)
            kiosk(browser, target, folder)
    finally:
        browser.close()


def shoot(browser: Browser, folder: pathlib.Path, name: str) -> None:
    settle(browser)
    browser.shoot(folder / f"{name}.png")
    print(f"{name}.png", flush=True)


def login(browser: Browser, folder: pathlib.Path) -> None:
    for size in ("phone", "panel", "desktop"):
        browser.size(size)
        browser.open("/")
        browser.one("form")
        shoot(browser, folder, f"login-{size}-light")


def views(browser: Browser, target: Target, folder: pathlib.Path) -> None:
    administrator(browser, target)
    if target.world:
        target.world.stranger()
        target.world.stranger()
    subject = request(browser, "GET", "subjects")["json"]
    people = [f"people/{subject[0]['id']}"] if subject else []
    for scheme in BOTH:
        browser.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        for size in SIZES:
            if scheme == "dark" and size not in ("desktop", "phone"):
                continue
            browser.size(size)
            for view in ("live", "people", *people, "log", "figures", "door", "people/visits", "people/add"):
                browser.go(view)
                browser.one("#main h1, #main section")
                if view == "live":
                    browser.wait(lambda: browser.all(".picture:not(.waiting)"), "a picture is shown")
                if view == "log":
                    browser.one(".entry").click()
                if view == "people/add" and target.pictures:
                    files = [*target.pictures, target.no_face]
                    browser.fill("Name", "Mary Jackson")
                    browser.all("input[type=file]")[0].send_keys("\n".join(map(str, files)))
                browser.driver.execute_script("scrollTo(0, 0)")
                name = view.split("/")[0] if view in people else view.replace("/", "-")
                shoot(browser, folder, f"{name}{'-one' if view in people else ''}-{size}-{scheme}")


def moments(browser: Browser, target: Target, folder: pathlib.Path) -> None:
    """What is seen only while something happens."""
    world = target.world
    browser.media(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    world.pace_s = 0.5
    for size in ("desktop", "panel", "phone"):
        browser.size(size)
        browser.go("people/enrol")
        browser.fill("Name", f"Annie Easley {size}")
        browser.press("Begin")
        browser.wait(lambda: "right" in browser.text(".say-now"), "the second side is asked for")
        shoot(browser, folder, f"enrol-{size}-light")
        if size == "desktop":
            browser.says("Everything was taken", ".say-now")
            shoot(browser, folder, "enrol-ready-desktop-light")
        browser.press("Cancel")
    for size in ("desktop", "phone"):
        browser.size(size)
        browser.go(f"people/{next(iter(world.subjects))}")
        browser.press("Remove …")
        shoot(browser, folder, f"remove-{size}-light")
        browser.press("Cancel", "dialog")
    browser.size("desktop")
    browser.go("people/add")
    browser.fill("Name", "Mary Jackson")
    browser.all("input[type=file]")[0].send_keys("\n".join(map(str, [*target.pictures[:1], target.no_face])))
    browser.one("form button[type=submit]").click()
    browser.one(".notice.good")
    shoot(browser, folder, "added-desktop-light")
    browser.go("people/identify")
    browser.all("input[type=file]")[0].send_keys(str(target.pictures[0]))
    browser.one(".asked .score")
    shoot(browser, folder, "identify-desktop-light")
    browser.go("door")
    browser.press("Ask the doctor")
    browser.wait(lambda: browser.all(".checks li"), "the doctor answers")
    shoot(browser, folder, "doctor-desktop-light")
    browser.go("log")
    browser.one(".entry")
    target.stop()
    browser.one("#banner")
    for size in ("desktop", "phone"):
        browser.size(size)
        shoot(browser, folder, f"gone-{size}-light")
    target.start()
    browser.log_in(*target.accounts["viewer"])
    browser.one(".side")
    for size in ("desktop", "phone"):
        browser.size(size)
        shoot(browser, folder, f"viewer-live-{size}-light")


def kiosk(browser: Browser, target: Target, folder: pathlib.Path) -> None:
    world = target.world
    somebody = next(iter(world.subjects.values()))
    browser.driver.delete_all_cookies()
    for size in ("panel", "phone", "desktop"):
        browser.size(size)
        if size == "panel":
            browser.open("/kiosk?lang=en")
            browser.one("form")
            shoot(browser, folder, "kiosk-login-panel")
        browser.log_in(*target.accounts["kiosk"], path="/kiosk?lang=en")
        browser.one("body.idle #clock")
        shoot(browser, folder, f"kiosk-idle-{size}")
        for code in ("come_closer", "turn_left", "uncover", "more_light", "one_at_a_time", "step_back", "look_here", "hold_still"):
            world.come(code)
            browser.one(f"body[data-state='guide:{code}']")
            if size == "panel" or code in ("come_closer", "turn_left"):
                shoot(browser, folder, f"kiosk-{code}-{size}")
        for outcome, reason, who in (("granted", "matched", somebody), ("denied", "outside_schedule", somebody), ("unknown", "no_match", None), ("ambiguous", "not_live", None)):
            world.decide(outcome, reason, who)
            browser.one(f"body.{outcome}")
            shoot(browser, folder, f"kiosk-{outcome}-{size}")
        world.go()
    browser.open("/kiosk?lang=de")
    browser.one("body.idle")
    world.come("turn_right")
    browser.one("body.guide")
    shoot(browser, folder, "kiosk-de-desktop")
    world.go()
    target.stop()
    browser.one("body.gone")
    shoot(browser, folder, "kiosk-gone-desktop")
    target.start()
