"""One driver per run directory, on any machine that sees it: a lease that lies in the directory."""

import json
import logging
import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from fade_ray.records.remote import Store, address, store_of
from fade_ray.run.ends_when import ends_when
from spaces.errors import InvalidInput

RENEWED, EXPIRES = 3.0, 30.0
"""Seconds between renewals, and without one after which another driver may take the lease."""
LOOK, SETTLED = 0.5, 1.0
"""Seconds between looks at another's lease, and between taking one over and trusting in it."""


class LeaseFile:
    """Where a lease lies: a file, whose holder renews it in place through what it has open. Once
    another one lies there, a renewal reaches the old one alone.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._file = path, -1

    def read(self) -> bytes | None:
        """What lies there; opened anew, as NFS asks its server then. None for nothing."""
        with suppress(FileNotFoundError):
            return self.path.read_bytes()
        return None

    def create(self, content: bytes) -> bool:
        """Whether nothing was there: of several that create, one does."""
        try:
            self._put(self.path, content)
        except FileExistsError:
            return False
        return True

    def replace(self, content: bytes) -> None:
        """In one step; of several that replace, the last one does."""
        temporary = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        self._put(temporary, content)
        os.replace(temporary, self.path)

    def _put(self, path: Path, content: bytes) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self.renew(content)

    def renew(self, content: bytes) -> None:
        """`content` is as long as what was put."""
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, content)
        os.fsync(self._file)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._file)


class LeaseObject:
    """The same in a store, whose objects are written whole or not at all. One says who holds the
    lease and is written as it is taken; it is renewed in another one, the holder's own.
    """

    def __init__(self, store: Store, token: str) -> None:
        self.store, self._token = store, token.encode()

    def read(self) -> bytes | None:
        token = self.store.get(".lease")
        return None if token is None else self.store.get(f".lease.{token.decode()}") or token

    def create(self, content: bytes) -> bool:
        """Of several that create, the last one does: no store tells pyarrow more."""
        if self.store.get(".lease") is not None:
            return False
        self.replace(content)
        time.sleep(SETTLED)
        return self.store.get(".lease") == self._token

    def replace(self, content: bytes) -> None:
        before = self.store.get(".lease")
        self.renew(content)
        self.store.put(".lease", self._token)
        if before is not None:
            self.store.delete(f".lease.{before.decode()}")

    def renew(self, content: bytes) -> None:
        self.store.put(f".lease.{self._token.decode()}", content)

    def remove(self) -> None:
        self.store.delete(".lease")

    def close(self) -> None:
        self.store.delete(f".lease.{self._token.decode()}")


class Lease:
    """Holds `folder` for this process, from `take` to `leave`.

    No two clocks are compared: whoever finds another's lease watches it for as long as leases last
    on its own clock, and takes it where it has not changed, or at once where its holder was a
    process of this machine that is no more.
    """

    def __init__(self, folder: Path) -> None:
        self._token, self._count = secrets.token_hex(8), 0
        self.address, store = address(folder), store_of(folder)
        self.place: LeaseFile | LeaseObject = LeaseFile(folder / ".lease")
        if store is not None:
            self.place = LeaseObject(store, self._token)

    @property
    def _content(self) -> bytes:
        held = {
            "host": platform.node(),
            "pid": os.getpid(),
            "since": self._since,
            "machine": _machine(),
            "process": _process(os.getpid()),
            "token": self._token,
            "renewed": f"{self._count:09d}",
        }
        return json.dumps(held).encode()

    def take(self) -> "Lease":
        """Raises InvalidInput when another driver holds it, on any machine."""
        self._since = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        while not self.place.create(self._content):
            seen = self.place.read()
            dead = seen is not None and _dead(seen)
            if seen is None or not (dead or self._expired(seen)):
                continue  # it was given back
            self.place.replace(self._content)
            if not dead:
                time.sleep(SETTLED)
            self.check()
            break
        return self

    def _expired(self, seen: bytes) -> bool:
        """Whether nobody renews what was seen; False where it is given back."""
        logging.getLogger("fade_ray").info(
            f"{holder(seen)} may be running in {self.address}: if its lease there is not renewed "
            f"within {EXPIRES:g} s, it is taken over"
        )
        since = time.monotonic()
        while True:
            time.sleep(LOOK)
            age, now = time.monotonic() - since, self.place.read()
            if now is None:
                return False
            if now != seen:
                raise InvalidInput(
                    f"One process at a time may run in {self.address}, and {holder(now)} does: it "
                    f"renewed its lease there less than {LOOK:g} s ago. Wait for it or end it; a "
                    f"lease that is not renewed for {EXPIRES:g} s is taken over."
                )
            if age >= EXPIRES:
                return True

    def check(self) -> None:
        """Raises InvalidInput where the lease is another's by now: nothing may be written."""
        now = self.place.read()
        if now is None or self._token.encode() not in now:
            raise InvalidInput(
                f"One process at a time may run in {self.address}, and "
                f"{'its lease was removed' if now is None else f'{holder(now)} does'}: this one "
                f"had not renewed its lease there for {EXPIRES:g} s. It wrote nothing since, and "
                "what it did before is kept. `fade-ray status` tells how the run goes on."
            )

    def lost(self) -> str | None:
        """Renew it; in words why it cannot be."""
        try:
            self.check()
            self._count += 1
            self.place.renew(self._content)
        except InvalidInput as error:
            return str(error)
        except OSError:
            return None  # the disk may answer the next time; what is written asks again
        return None

    def leave(self) -> None:
        with suppress(InvalidInput, OSError):
            self.check()
            self.place.remove()
        with suppress(OSError):
            self.place.close()


@contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Renew a lease that was taken, and give it back. Raises InvalidInput as soon as another driver
    has it: this one was frozen, or cut off from the disk.
    """
    try:
        with ends_when(lease.lost, RENEWED):
            yield
    finally:
        lease.leave()


def holder(content: bytes | None) -> str:
    """Whose lease it is, in words."""
    with suppress(ValueError, TypeError, KeyError):
        held = json.loads(content or b"")
        return f"process {held['pid']} on {held['host']} (since {held['since']} by its clock)"
    return "another process"


def _dead(content: bytes) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    with suppress(ValueError, TypeError, KeyError):
        held = json.loads(content)
        return bool(held["machine"] == _machine() and held["process"] != _process(held["pid"]))
    return False


def _machine() -> str:
    """This one since it was started, and whose process ids mean the same as here."""
    told = platform.node()
    with suppress(OSError):
        told += f" {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
        told += f" {os.readlink('/proc/self/ns/pid')}"
    return told


def _process(pid: int) -> str:
    """When a process started, by the kernel's count; "" of one that is no more (a zombie is none),
    and where the system does not say (only Linux does).
    """
    with suppress(OSError):
        state, *told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else told[18]
    return ""
