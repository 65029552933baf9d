"""What the page must do about people: list, enrol, change, remove and recognise them.

in, out and independence as of cases.py
"""

import pathlib
import shutil
import tempfile

from browser import Browser
from steps import Skip, add_by_files, administrator, expect, needs_pictures, own, request
from target import Target, broken_picture
from world import MARKUP

# Every sentence that is said, also one that stands for less time than a test needs to look.
NOTE_WHAT_IS_SAID = """
    window.said = new Set();
    const note = () => window.said.add(document.querySelector(".say-now")?.textContent ?? "");
    new MutationObserver(note).observe(document.body, {subtree: true, childList: true, characterData: true});
    note();
"""
# What is asked for, by a word of how it is said.
POSES = {"to the left": "left", "to the right": "right", "chin": "up"}


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
    expect(all(some.lower() in name.lower() for name in names), f"and nobody else: {names}")
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

    def nothing_is_made(where: str) -> None:
        made = [e for e in browser.all("b") if "Bold" in e.text] + browser.all("img[onerror], img[src='x']")
        expect(not made, f"{where}: no element was made of a name")

    nothing_is_made("the list")
    next(link for link in browser.all(".table tbody a") if link.text == name).click()
    browser.says(name, "h1")
    nothing_is_made("the person")
    browser.press("Remove …")
    browser.says(name, "dialog h2")
    nothing_is_made("the question")
    browser.press("Cancel", "dialog")
    browser.go("log")
    browser.says(name, ".log")
    nothing_is_made("the log")


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


def files_of_one_name(browser: Browser, target: Target) -> None:
    """Files of two folders may be called the same, and one that was refused may be chosen again."""
    needs_pictures(target)
    administrator(browser, target)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="deepid-page-"))
    files = [folder / part / "same.jpg" for part in "ab"]
    for file, source in zip(files, (target.pictures[0], broken_picture())):
        file.parent.mkdir()
        shutil.copyfile(source, file)
    name = own("Mary Golda Ross")
    add_by_files(browser, target, name, files)
    listed = lambda kind: [item.text.splitlines()[0] for item in browser.all(f".pictures li.{kind}")]
    browser.wait(lambda: listed("accepted") == ["same.jpg"] and listed("refused") == ["same (2).jpg"], "each has its own verdict")
    chooser = browser.all("input[type=file]")[0]
    chooser.send_keys(str(files[1]))
    browser.wait(lambda: len(listed("waiting")) == 1, "one that was refused can be chosen again")
    expect(not listed("refused"), "and is listed once")
    chooser.send_keys(str(files[0]))
    other = folder / "c" / "same.jpg"
    other.parent.mkdir()
    shutil.copyfile(target.pictures[1], other)
    chooser.send_keys(str(other))
    browser.wait(lambda: len(listed("waiting")) == 2, "another file of that name is another picture")
    expect(listed("accepted") == ["same.jpg"], "one that was taken is not listed twice")
    shutil.rmtree(folder)


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
    known = [one["name"] for one in request(browser, "GET", "subjects")["json"]]
    expect(browser.text(".asked .subject") in known, "somebody who is enrolled is named")
    browser.all("input[type=file]")[0].send_keys(str(target.no_face))
    browser.one(".asked .notice.bad")
    expect(not browser.all(".asked .score"), "a picture without a face shows nobody")


def enrolment_at_the_door(browser: Browser, target: Target) -> None:
    if not target.can("enrol"):
        raise Skip("no --at-door command lets somebody stand before the camera")
    administrator(browser, target, "people/enrol")
    name = own("Annie Easley")
    browser.fill("Name", name)
    browser.driver.execute_script(NOTE_WHAT_IS_SAID)
    browser.press("Begin")
    browser.one(".ring")
    asked = ""

    def everything():
        nonlocal asked
        said = browser.text(".say-now")
        if said != asked:
            target.pose(next((step for word, step in POSES.items() if word in said), "straight"))
            asked = said
        return "Everything was taken" in said

    browser.wait(everything, "every side was taken", 120)
    seen = browser.driver.execute_script("return [...window.said]")
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

    def running() -> bool:
        answer = request(browser, "GET", "enrolments")
        expect(answer["status"] in (200, 204), f"enrolments are answered {answer['status']}")
        return bool(answer["json"])

    expect(running(), "the door enrols")
    browser.press("Cancel")
    browser.one("form input[name=name]")
    browser.wait(lambda: not running(), "the door was told of the cancelling")
    # Whoever leaves the view cancels, too.
    browser.fill("Name", name)
    browser.press("Begin")
    browser.one(".ring")
    expect(running(), "the door enrols again")
    browser.go("people")
    browser.wait(lambda: not running(), "who leaves the view cancels")
    everybody = request(browser, "GET", "subjects")["json"]
    expect(name not in [one["name"] for one in everybody], "who cancels enrols nobody")


def somebody_unknown_comes(browser: Browser, target: Target, alike: bool = False) -> str:
    """Somebody whom the door does not know comes and goes; the id of the visit, as the door remembers it."""
    if target.world:
        return target.world.stranger(alike)["id"]
    known = {one["id"] for one in request(browser, "GET", "visits")["json"]["visits"]}
    target.daemon.show("stranger")
    new = lambda: next((one["id"] for one in request(browser, "GET", "visits")["json"]["visits"] if one["id"] not in known), None)
    visit = browser.wait(new, "the visit is remembered")
    target.leave()
    return visit


def choose(browser: Browser, visit: str) -> None:
    seq = next(one["seq"] for one in request(browser, "GET", "visits")["json"]["visits"] if one["id"] == visit)
    browser.one(f"#visit-{seq}").click()


def from_a_recent_visit(browser: Browser, target: Target) -> None:
    if not target.world and not target.daemon:
        raise Skip("nobody can be sent before the camera of a daemon elsewhere")
    if target.world:
        target.world.visits = []
    administrator(browser, target, "people")
    browser.press("Add from a recent visit")
    browser.says("Look at who stood there.")
    browser.says("a photograph that is held up can be enrolled")
    if target.world:
        browser.says("No stranger's visit is remembered")
        expect(not browser.one_or_none("form input[name=name]"), "nobody can be named where there is no visit")
    name = own("Christine Darden")
    visit = somebody_unknown_comes(browser, target)
    browser.one(".choice")
    choose(browser, visit)
    told_of = browser.text(".choice:has(:checked)")
    expect("kept" in told_of and "remembered for" in told_of, f"how good and for how long: {told_of!r}")
    expect(not browser.all("form img, form canvas"), "no picture of the visit is shown")
    names = lambda: [one["name"] for one in request(browser, "GET", "subjects")["json"]]
    browser.fill("Name", name)
    browser.press("Enrol")
    expect(name not in names(), "whoever does not say that they know who stood there enrols nobody")
    browser.one("#stood-there").click()
    browser.press("Enrol")
    browser.says(f"{name} has", ".notice.good")
    expect(name in names(), "the person is enrolled")
    left = [one["id"] for one in request(browser, "GET", "visits")["json"]["visits"]]
    expect(visit not in left, "a visit is enrolled once")
    again = request(browser, "POST", f"visits/{visit}/enrol", {"name": own("Nobody")})
    expect(again["status"] == 404, f"and not a second time: {again}")
    browser.press("Show the person")
    browser.says(name, "h1")
    browser.press("From a recent visit")
    browser.wait(lambda: f"More references of {name}" in browser.driver.execute_script("const s = document.querySelector('select'); return s?.selectedOptions[0]?.textContent ?? ''"), "the person is chosen")
    if target.daemon:
        # The door knows them now.
        target.daemon.show("stranger")
        browser.go("live")
        browser.says(name, ".judged")
        target.leave()
        return
    from_the_log(browser, target, name)


def from_the_log(browser: Browser, target: Target, name: str) -> None:
    """The log's entry of a stranger's visit leads to it, and what is wrong or doubtful is told."""
    visit = somebody_unknown_comes(browser, target, alike=True)
    somebody_unknown_comes(browser, target)
    browser.go("log")
    browser.wait(lambda: len(browser.all(".entry")) > 1, "the visits are in the log")
    entry = browser.all(".entry")[1]
    entry.click()
    browser.press("Enrol this person", ".details:not([hidden])")
    browser.one(".choice")
    chosen = "return document.querySelector('.choice :checked')?.id ?? ''"
    seq = next(one["seq"] for one in request(browser, "GET", "visits")["json"]["visits"] if one["id"] == visit)
    browser.wait(lambda: browser.driver.execute_script(chosen) == f"visit-{seq}", "the visit of that record is chosen")
    browser.fill("Name", name)
    browser.one("#stood-there").click()
    browser.press("Enrol")
    browser.one("form .notice.bad")
    expect(browser.labelled("Name").get_property("value") == name, "what was typed stays")
    browser.fill("Name", own("Evelyn Boyd"))
    browser.press("Enrol")
    browser.says("looks like Emmy Noether", "form")
    target.world.recall_minutes = 0
    try:
        browser.go("people/visits")
        browser.says("This door remembers no visits.")
        browser.says("policy.recall_minutes")
        expect(not browser.one_or_none("form input[name=name]"), "and nobody can be enrolled so")
    finally:
        target.world.recall_minutes = 10
        target.world.visits = []
    somebody_unknown_comes(browser, target)
    target.world.visits = []
    browser.go("log")
    browser.one(".entry").click()
    browser.one(".details:not([hidden])")
    expect("Enrol this person" not in browser.text(".details:not([hidden])"), "what is forgotten is not offered")
