"""A virtual machine: QEMU without hardware help, and a shell in it.

in   an image (build_image.sh), a folder that the machine sees as /payload
out  `Machine.run`: what a shell script in the machine wrote, and its exit status

The host speaks to the machine's agent (agent.sh) over a virtual serial port; there is no network.
Nothing is kept: the disk is a copy-on-write layer that goes with the process. Emulation is 10 to
50 times slower than the machine it stands for, so every wait has a bound that only a hang reaches.
"""

from __future__ import annotations

import base64
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# What is nobody's fault but a hang's.
BOOT_S = 600
COMMAND_S = 300

EMULATORS = {
    # With SSE and without AVX, which is emulated more slowly than it is worth: a face is found in
    # three quarters of the time.
    "amd64": ["qemu-system-x86_64", "-M", "q35,accel=tcg", "-cpu", "Nehalem"],
    # The processor of a Raspberry Pi 4.
    "arm64": ["qemu-system-aarch64", "-M", "virt,gic-version=2", "-cpu", "cortex-a72", "-accel", "tcg"],
}
TPM_SOCKET = "tpm.control"
CONSOLES = {"amd64": "ttyS0", "arm64": "ttyAMA0"}


class MachineError(Exception):
    """The machine does not start, or no longer answers."""


@dataclass(frozen=True)
class Answer:
    """What a script came to."""

    status: int
    text: str

    def __bool__(self) -> bool:
        return self.status == 0


class Machine:
    """A running machine; a context manager that ends it."""

    def __init__(self, architecture: str, image: Path, payload: Path, logs: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="system-test-"))
        self._console = logs / "console.log"
        self._number = 0
        self._received = b""
        port = self._folder / "agent"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(port))
        listener.listen(1)
        listener.settimeout(60)
        disk = self._folder / "payload.img"
        make_disk(payload, disk)
        self._tpm = start_tpm(self._folder) if architecture == "amd64" else None
        command = [
            *EMULATORS[architecture],
            *("-smp", "2", "-m", "1024", "-nodefaults", "-display", "none", "-no-reboot"),
            *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img")),
            "-append",
            f"root=/dev/vda rw console={CONSOLES[architecture]} quiet panic=-1 mitigations=off",
            *("-drive", f"file={image / 'disk.img'},format=raw,if=virtio,snapshot=on"),
            *("-drive", f"file={disk},format=raw,if=virtio,readonly=on"),
            *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=agent,path={port}"),
            *("-device", "virtserialport,chardev=agent,name=agent"),
            *("-nic", "none", "-serial", f"file:{self._console}"),
        ]
        if self._tpm is not None:
            command += ["-chardev", f"socket,id=tpm,path={self._folder / TPM_SOCKET}"]
            command += ["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"]
        with (logs / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._port, _ = listener.accept()
        except TimeoutError:
            self.end()
            said = (logs / "qemu.log").read_text(errors="replace").strip()
            raise MachineError(f"{command[0]} does not start: {said or 'it says nothing'}") from None
        finally:
            listener.close()
        if self._line(time.monotonic() + BOOT_S) != b"ready":
            raise MachineError(f"the machine's agent says something else than ready; see {self._console}")

    def run(self, script: str, seconds: int = COMMAND_S) -> Answer:
        """Runs a shell script as root; gives what it wrote, standard error included."""
        self._number += 1
        encoded = base64.b64encode(script.encode()).decode()
        self._port.sendall(f"{self._number} {seconds} {encoded}\n".encode())
        # The agent itself stops the script; more is a machine that hangs.
        number, status, *output = self._line(time.monotonic() + seconds + COMMAND_S).split(b" ")
        if int(number) != self._number:
            raise MachineError(f"the agent answers {number!r}, asked was {self._number}")
        text = base64.b64decode(output[0]).decode(errors="replace") if output else ""
        return Answer(int(status), text)

    def must(self, script: str, seconds: int = COMMAND_S) -> str:
        """Runs a shell script that has to succeed; gives what it wrote."""
        answer = self.run(script, seconds)
        if not answer:
            raise AssertionError(f"in the machine: {script.strip()}\nexit status {answer.status}: {answer.text.strip()}")
        return answer.text.strip()

    def write(self, path: str, text: str) -> None:
        """Writes a file in the machine."""
        encoded = base64.b64encode(text.encode()).decode()
        self.must(f"echo {encoded} | base64 --decode > {shlex.quote(path)}")

    def end(self) -> None:
        """Ends the machine as a power cut would."""
        for process in filter(None, (self._process, self._tpm)):
            process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _line(self, until: float) -> bytes:
        while b"\n" not in self._received:
            left = until - time.monotonic()
            if left <= 0:
                raise MachineError(f"the machine does not answer; see {self._console}")
            self._port.settimeout(min(left, 5))
            try:
                more = self._port.recv(1 << 20)
            except TimeoutError:
                continue
            if not more:
                raise MachineError(f"the machine has ended; see {self._console}")
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        return line.strip()


def start_tpm(folder: Path) -> subprocess.Popen | None:
    """A TPM 2.0 of the machine's own, new and empty; none where swtpm is not installed."""
    if shutil.which("swtpm") is None:
        return None
    (folder / "tpm").mkdir()
    control = folder / TPM_SOCKET
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder / 'tpm'}", "--ctrl", f"type=unixio,path={control}"]
    quiet = subprocess.DEVNULL
    tpm = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    until = time.monotonic() + 60
    while not control.exists():
        if tpm.poll() is not None or time.monotonic() > until:
            tpm.kill()
            raise MachineError("swtpm does not start")
        time.sleep(0.05)
    return tpm


def make_disk(folder: Path, disk: Path) -> None:
    """An ext4 image of a folder, without mounting anything."""
    used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    with disk.open("wb") as file:
        file.truncate(used * 5 // 4 + (16 << 20))
    tool = shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if tool is None:
        raise MachineError("mke2fs is missing: apt-get install e2fsprogs")
    options = ["-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", str(folder)]
    subprocess.run([tool, *options, str(disk)], check=True)
