"""The door's page in a real browser: against a mock of the daemon, or against a daemon.

in   nothing: the mock of this folder; --daemon: a real one, which is started before a camera that the
     cases direct; or --url and accounts of a daemon that runs
out  a line for each case, and the first paint of both pages; exits with 0 when every case held, with 1
     otherwise

    tools/in_venv.sh tests/page/requirements.txt tests/page/check.py
    … check.py --daemon target/debug/deepid-edge
    … check.py --url https://127.0.0.1:8443 --insecure --administrator admin:PASSWORD \\
        --viewer viewer:PASSWORD --kiosk screen:PASSWORD --picture ada1.jpg --picture ada2.jpg \\
        --on-visit 'COMMAND that lets somebody enrolled come' --on-stop COMMAND --on-start COMMAND \\
        --at-door 'COMMAND that lets somebody pose before the camera'

Against a daemon elsewhere, what no command was given for is skipped and said so; the people whom the
cases enrol stay, under names that no other run has. Needs chromium and chromedriver on the path.
"""

import argparse
import pathlib
import sys
import traceback

import cases
import paint
import screenshots
from browser import Browser
from steps import Skip, judge
from target import Target, mocked, real, started


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--daemon", metavar="PROGRAM", help="start this program, and test its page")
    parser.add_argument("--url", help="a daemon's page; without either the mock is tested")
    for role in ("administrator", "viewer", "kiosk"):
        parser.add_argument(f"--{role}", metavar="NAME:PASSWORD")
    parser.add_argument("--password-file", help="the password of accounts that are given without one")
    parser.add_argument("--insecure", action="store_true", help="take a certificate that nobody vouches for")
    parser.add_argument("--picture", action="append", default=[], help="a picture with one good face")
    parser.add_argument("--no-face", help="a picture without a face")
    parser.add_argument("--on-visit", metavar="COMMAND")
    parser.add_argument("--on-stop", metavar="COMMAND")
    parser.add_argument("--on-start", metavar="COMMAND")
    parser.add_argument("--at-door", metavar="COMMAND")
    parser.add_argument("--only", action="append", default=[], metavar="CASE")
    parser.add_argument("--screenshots", metavar="DIR", help="only make pictures of every view")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    target = started(asked.daemon) if asked.daemon else real(asked) if asked.url else mocked()
    try:
        return check(asked, target)
    finally:
        target.close()


def check(asked: argparse.Namespace, target: Target) -> int:
    if asked.screenshots:
        screenshots.make(target, pathlib.Path(asked.screenshots))
        return 0
    wanted = {case: expected for case, expected in cases.CASES.items() if not asked.only or case.__name__ in asked.only}
    if not wanted:
        names = ", ".join(case.__name__ for case in cases.CASES)
        sys.exit(f"check: no case is called {asked.only}; there are {names}")
    failed, skipped = [], []
    for case, expected in wanted.items():
        name = case.__name__
        browser = Browser(target.url, target.insecure)
        try:
            target.tidy()
            case(browser, target)
            judge(browser, expected)
            print(f"ok       {name}", flush=True)
        except Skip as why:
            skipped.append(name)
            print(f"skipped  {name}: {why}", flush=True)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the other cases are run
            failed.append(name)
            lines = traceback.extract_tb(error.__traceback__)
            where = next((f"{line.name}:{line.lineno}" for line in lines if line.filename.endswith("cases.py")), "")
            print(f"FAILED   {name} ({where}): {getattr(error, 'msg', None) or error}", flush=True)
            browser.collect()
            for said in browser.said[-8:]:
                print(f"           {said[:300]}")
        finally:
            browser.close()
    if not asked.only:
        target.tidy()
        paint.tell(target)
    print(f"{len(wanted) - len(failed) - len(skipped)} held, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


sys.exit(main())
