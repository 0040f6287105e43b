"""Decode untrusted audio in a separate process with limited time and memory.

Decoders are large C programs; a crafted file can only harm that process.
"""

import resource
import subprocess
import sys

import numpy as np

from phonolake.errors import AudioError
from phonolake.records import Hertz, Seconds

SECONDS = 30
# Address space, most of which the libraries only reserve.
MEMORY = 3 << 30
LONGEST = Seconds(1200)


def decode_confined(
    data: bytes, *, sr: Hertz, extension: str = "", seconds: float = SECONDS, memory: int = MEMORY
) -> np.ndarray:
    """As `decode` after `probe`, in a process of its own.

    Parameters
    ----------
    data : bytes
        The file as received.
    sr : Hertz
        Sampling rate wanted.
    extension : str
        Its file extension without the dot.
    seconds : float
        Time limit.
    memory : int
        Limit of address space in bytes.

    Raises
    ------
    AudioError
        As `probe` and `decode`; ``too-large`` for what lasts longer than 20 minutes, or takes more time or memory.
    """
    command = [sys.executable, "-m", __name__, str(int(sr)), extension, str(memory), str(int(seconds) + 1)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise AudioError("too-large", f"decoding took longer than {seconds:g} s") from error
    if done.returncode == 0:
        return np.frombuffer(done.stdout, np.float32)
    if done.returncode == REFUSED:
        reason, _, detail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1].partition("\t")
        raise AudioError(reason, detail)
    raise AudioError("corrupt", f"the decoder crashed (exit code {done.returncode})")


REFUSED = 3


def _main(sr: str, extension: str, memory: str, seconds: str) -> int:
    """The process: audio on standard input, float32 samples on standard output."""
    from phonolake.audio.decode import decode, probe

    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        data = sys.stdin.buffer.read()
        facts = probe(data, extension=extension)
        if facts.duration > LONGEST:
            raise AudioError("too-large", f"{facts.duration:.0f} s, but at most {LONGEST:.0f} s are taken")
        samples = decode(data, sr=Hertz(int(sr)))
    except MemoryError:
        refusal = AudioError("too-large", f"decoding took more than {int(memory) >> 20} MiB")
    except AudioError as error:
        refusal = error
    else:
        sys.stdout.buffer.write(samples.tobytes())
        return 0
    print(f"{refusal.reason}\t{' '.join(refusal.detail.split())}", file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
