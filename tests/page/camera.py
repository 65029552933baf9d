"""A camera that a test directs: pictures of whatever scene it is told, on standard output.

in   a folder with `scene`, a file that names one of its folders; in each of those pictures (JPEG) in
     the order of their names; the daemon runs it (`camera.device = 'command'`)
out  the pictures of the scene over and over, RATE a second, until nobody reads any more

Only the standard library: it runs with the Python that the daemon's machine has.
"""

import pathlib
import sys
import time

RATE = 10


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    scenes = {}
    for place in (path for path in folder.iterdir() if path.is_dir()):
        scenes[place.name] = [path.read_bytes() for path in sorted(place.glob("*.jpg"))]
    number, last = 0, ""
    due = time.monotonic()
    while True:
        name = (folder / "scene").read_text(encoding="utf-8").strip()
        number = number + 1 if name == last else 0
        last = name
        pictures = scenes[name]
        sys.stdout.buffer.write(pictures[number % len(pictures)])
        sys.stdout.buffer.flush()
        due = max(due + 1 / RATE, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


try:
    main()
except BrokenPipeError:
    pass
