"""`make boot-check ARCH=...`: what a system call does in a kernel that Debian packages, booted under qemu.

The kernel of an architecture and suite is fetched by apt into a folder of its own (build/boot), with lists
and settings of its own: nothing of the system's packages is touched. Its initramfs is one static program,
which `mcverify.callers.program` writes: it makes calls over a buffer that ends at an unmapped page, and
powers off.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcverify.callers.program import Name, SystemCall, program
from mcverify.errors import InputError

ROOT = Path(__file__).parents[1]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TIMEOUT = 110.0
_CALLS = ("write:100:8", "write:100:56", "write:71:1:0", "write:100:100", "read:100:8")


@dataclass(frozen=True, slots=True)
class Machine:
    """How a kernel of an architecture is fetched and booted: Debian's name, the meta-package of its kernel,
    the suite it is taken from, the compiler, the emulator, and the packages that have these two."""

    debian: str
    kernel: str
    suite: str
    compiler: str
    qemu: tuple[str, ...]
    packages: str


MACHINES = {
    "x86-64": Machine(
        "amd64",
        "linux-image-cloud-amd64",
        "bookworm",
        "gcc",
        ("qemu-system-x86_64", "-M", "q35", "-m", "512"),
        "qemu-system-x86 gcc libc6-dev",
    ),
    "riscv64": Machine(
        "riscv64",
        "linux-image-riscv64",
        "trixie",
        "riscv64-linux-gnu-gcc",
        ("qemu-system-riscv64", "-M", "virt", "-m", "1024"),
        "qemu-system-misc opensbi gcc-riscv64-linux-gnu libc6-dev-riscv64-cross",
    ),
}


def main() -> int:
    """Boot, and say what came of it: 0 as it should be, 1 not, 2 it could not be tried."""
    options = _options()
    machine = MACHINES[options.arch]
    suite = options.suite or machine.suite
    folder = ROOT / "build" / "boot" / f"{machine.debian}-{suite}"
    try:
        calls = [_call(text) for text in options.call or _CALLS]
        _need(machine)
        kernel = Path(options.kernel) if options.kernel else _kernel(machine, suite, folder)
        initramfs = _initramfs(_compiled(machine, calls, folder), folder)
        return _boot(machine, kernel, initramfs)
    except InputError as error:
        print(f"boot-check: error: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"boot-check: error: {error}", file=sys.stderr)
        return 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arch", choices=sorted(MACHINES))
    parser.add_argument("--suite", help="Debian suite of the kernel [default: one that has it]")
    parser.add_argument("--kernel", help="boot this image in place of Debian's")
    parser.add_argument(
        "--call",
        action="append",
        metavar="write|read:LEN:GOOD[:OFFSET]",
        help="make this call; may be repeated [default: " + " ".join(_CALLS) + "]",
    )
    return parser.parse_args()


def _call(text: str) -> SystemCall:
    match = re.fullmatch(r"(write|read):(\d{1,7}):(\d{1,7})(?::(\d{1,7}))?", text)
    if match is None:
        raise InputError(f"{text!r} is no call", hint="write:100:8 writes 100 bytes of which 8 can be read")
    name: Name = "write" if match[1] == "write" else "read"
    return SystemCall(name, int(match[2]), int(match[3]), int(match[4] or 0))


def _need(machine: Machine) -> None:
    for name in (machine.compiler, machine.qemu[0], "dpkg-deb", "apt-get"):
        if shutil.which(name) is None:
            raise InputError(f"there is no {name} here", hint=f"apt install {machine.packages}")


# -- the kernel


def _kernel(machine: Machine, suite: str, folder: Path) -> Path:
    """Debian's newest kernel of the suite, fetched unless it is here."""
    if found := sorted((folder / "boot").glob("vmlinu[xz]-*")):
        return found[-1]
    settings = _settings(machine, suite, folder)
    _apt(settings, folder, "apt-get", "-qq", "update")
    package = _real_package(settings, folder, machine.kernel)
    _apt(settings, folder, "apt-get", "-qq", "download", package)
    (archive,) = folder.glob(f"{package}_*.deb")
    files = folder / "files"
    subprocess.run(["dpkg-deb", "-x", archive, files], check=True)
    (folder / "boot").mkdir(exist_ok=True)
    for place in (files / "boot", files / "usr/lib/linux", *files.glob("usr/lib/modules/*")):
        for image in place.glob("vmlinu[xz]*") if place.is_dir() else ():
            version = image.name if "-" in image.name else f"{image.name}-{image.parent.name}"
            shutil.copy(image, folder / "boot" / version)
    shutil.rmtree(files)
    archive.unlink()
    if found := sorted((folder / "boot").glob("vmlinu[xz]-*")):
        return found[-1]
    raise InputError(f"the package {package} has no kernel in it")


def _settings(machine: Machine, suite: str, folder: Path) -> Path:
    """An apt of its own: lists, state and sources below `folder`."""
    for part in ("lists/partial", "cache/archives/partial", "etc", "dpkg"):
        (folder / "apt" / part).mkdir(parents=True, exist_ok=True)
    own = folder / "apt"
    (own / "dpkg/status").touch()
    source = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n"
    (own / "etc/sources.list").write_text(source)
    (own / "apt.conf").write_text(
        f'Dir::State "{own}"; Dir::State::lists "{own}/lists"; Dir::State::status "{own}/dpkg/status";\n'
        f'Dir::Cache "{own}/cache"; Dir::Etc::sourcelist "{own}/etc/sources.list";\n'
        'Dir::Etc::sourceparts "/dev/null";\n'
        f'APT::Architecture "{machine.debian}"; APT::Architectures "{machine.debian}";\n'
        'Acquire::Languages "none"; APT::Sandbox::User "root";\n'
    )
    return own / "apt.conf"


def _real_package(settings: Path, folder: Path, name: str) -> str:
    """The package with the kernel: of what `name` depends on, down to where no such name is left."""
    for _ in range(4):
        shown = _apt(settings, folder, "apt-cache", "show", "--no-all-versions", name)
        depends = re.search(r"^Depends: (.*)$", shown, re.MULTILINE)
        more = re.findall(r"\b(linux-(?:image|binary)-\d\S*)", depends[1] if depends else "")
        if not more:
            return name
        name = more[0]
    return name


def _apt(settings: Path, folder: Path, *command: str) -> str:
    environment = {**os.environ, "APT_CONFIG": str(settings), "LC_ALL": "C"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise InputError(f"{' '.join(command)} failed: {''.join(last)}")
    return done.stdout


# -- the program


def _compiled(machine: Machine, calls: Sequence[SystemCall], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    source, binary = folder / "init.c", folder / "init"
    source.write_text(program(calls, "calls of make boot-check"))
    subprocess.run([machine.compiler, "-O2", "-static", "-Wall", source, "-o", binary], check=True)
    return binary


def _initramfs(init: Path, folder: Path) -> Path:
    """A compressed archive (cpio, newc) with the program as /init."""
    archive = _entry("init", 0o100755, init.read_bytes()) + _entry("TRAILER!!!", 0, b"")
    path = folder / "initramfs.gz"
    path.write_bytes(gzip.compress(archive, 1, mtime=0))
    return path


def _entry(name: str, mode: int, data: bytes) -> bytes:
    """One file of the archive: Documentation/driver-api/early-userspace/buffer-format.rst."""
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


# -- the boot


def _boot(machine: Machine, kernel: Path, initramfs: Path) -> int:
    """Emulated in software: seconds, and no rights on /dev/kvm are needed."""
    arguments = ["-nographic", "-no-reboot", "-kernel", str(kernel), "-initrd", str(initramfs)]
    command = [*machine.qemu, *arguments, "-append", "console=ttyS0 panic=-1 quiet"]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as late:
        print((late.stdout or b"").decode(errors="replace"))
        raise InputError(f"the machine was not done after {_TIMEOUT:.0f} s") from late
    text = done.stdout.decode(errors="replace").replace("\r", "")
    if "mcverify: " not in text:
        print(text[-4000:], done.stderr.decode(errors="replace"))
        raise InputError("the program did not come to run in this kernel")
    said = text[text.index("mcverify: ") :]
    print(said[: said.rindex("mcverify: ") :] + said[said.rindex("mcverify: ") :].splitlines()[0])
    print(f"({kernel.name}, {machine.qemu[0]}, {time.monotonic() - start:.0f} s)")
    return 1 if "NOT as it should be" in said else 0


if __name__ == "__main__":
    sys.exit(main())
