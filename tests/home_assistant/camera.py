"""A camera of which a test chooses what it sees: a program as `camera.command` names it.

in   a folder: NAME.mjpeg for each part of the visit; `nobody` is one of them. In its file `show` the name of
     what comes to be seen next, once; `freeze` repeats one picture, `nobody` ends that
out  JPEG pictures to the standard output, 7.5 a second, until it is ended; a part that was shown is named in
     the file `shown`
"""

import itertools
import pathlib
import re
import sys
import time

# Half the recording's, so that an unoptimised program sees enough of somebody who walks by.
RATE = 7.5


def pictures_of(path: pathlib.Path) -> list[bytes]:
    recording = path.read_bytes()
    starts = [match.start() for match in re.finditer(rb"\xff\xd8\xff", recording)]
    return [recording[a:b] for a, b in zip(starts, [*starts[1:], len(recording)])]


def main(folder: pathlib.Path) -> None:
    parts = {path.stem: pictures_of(path) for path in folder.glob("*.mjpeg")}
    empty = itertools.cycle(parts["nobody"])
    asked, frozen = folder / "show", False
    playing: list[bytes] = []
    name = "nobody"
    due = time.monotonic()
    while True:
        if not playing:
            if name != "nobody":
                (folder / "shown").write_text(name)
                name = "nobody"
            if asked.exists():
                name = asked.read_text().strip()
                asked.unlink()
                frozen = name == "freeze"
                playing = list(parts.get(name, []))
        picture = playing.pop(0) if playing else parts["nobody"][0] if frozen else next(empty)
        sys.stdout.buffer.write(picture)
        sys.stdout.buffer.flush()
        due = max(due + 1 / RATE, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))


main(pathlib.Path(sys.argv[1]))
