"""Fetches the C library of Debian trixie into a directory: `libc.py DIRECTORY`.

The package is looked up in the suite's list and its SHA-256 compared with what the list says.
"""

import hashlib
import io
import lzma
import os
import sys
import tarfile
import urllib.request

MIRROR = "https://deb.debian.org/debian"
LIST = f"{MIRROR}/dists/trixie/main/binary-amd64/Packages.xz"


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def paragraph(name: str) -> dict[str, str]:
    text = lzma.decompress(fetch(LIST)).decode()
    for block in text.split("\n\n"):
        if block.startswith(f"Package: {name}\n"):
            pairs = (line.split(": ", 1) for line in block.splitlines() if ": " in line)
            return dict(pairs)
    raise SystemExit(f"trixie has no package {name}")


def members(archive: bytes):
    """The files of an `ar` archive, which a Debian package is."""
    if not archive.startswith(b"!<arch>\n"):
        raise SystemExit("this is no Debian package")
    at = 8
    while at + 60 <= len(archive):
        header = archive[at : at + 60]
        size = int(header[48:58])
        at += 60
        yield header[:16].decode().strip().rstrip("/"), archive[at : at + size]
        at += size + size % 2


def main(directory: str) -> None:
    package = paragraph("libc6")
    archive = fetch(f"{MIRROR}/{package['Filename']}")
    found = hashlib.sha256(archive).hexdigest()
    if found != package["SHA256"]:
        raise SystemExit(f"{package['Filename']} has the SHA-256 {found}, not {package['SHA256']}")
    os.makedirs(directory, exist_ok=True)
    for name, content in members(archive):
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(content)) as files:
                files.extractall(directory, filter="tar")
            return
    raise SystemExit(f"{package['Filename']} has no files")


main(sys.argv[1])
