"""Damaged and odd files of a run, as changes of its folder, and odd names of folders."""

import io
import json
import os
import struct
import zipfile

import numpy as np

HUGE = 10**4000


def config(**changes):
    def change(run):
        path = run / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def content(name, data):
    return lambda run: (run / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def in_place_of(name, make):
    def change(run):
        (run / name).unlink(missing_ok=True)
        make(run / name)

    return change


def members(**headers):
    """An npz file whose headers say something else than what follows."""

    def change(run):
        with zipfile.ZipFile(run / "evaluations.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, (header, data) in headers.items():
                text = header.encode() + b" " * (117 - len(header)) + b"\n"
                archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data)

    return change


def encrypted(run):
    data = bytearray((run / "evaluations.npz").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + offset] |= 1
            place = data.find(mark, place + 4)
    (run / "evaluations.npz").write_bytes(bytes(data))


def saved(**arrays):
    def change(run):
        file = io.BytesIO()
        np.savez(file, **arrays)
        (run / "evaluations.npz").write_bytes(file.getvalue())

    return change


ONE = "{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }"
CASES = {
    "steps infinite": content("config.json", '{"env":"A-v0","algo":"x","seed":0,"n_timesteps":Infinity}'),
    "steps 1e999": content("config.json", '{"env":"A-v0","algo":"x","seed":0,"n_timesteps":1e999}'),
    "steps huge": config(n_timesteps=HUGE),
    "seed huge": config(seed=HUGE),
    "binary": content("config.json", b"\xff\xfe\x00"),
    "half a surrogate": content("config.json", '{"env":"\\ud800","algo":"\\udfff","seed":0}'),
    "control characters": config(env="\x1b]0;OWNED\x07\x1b[2J", algo="\x1b[31mred"),
    "markup": config(env="[/red]x", algo="[bold]"),
    "nested settings": config(hyperparameters={"policy_kwargs": "{" * 9000}),
    "evaluation 1e999": content("evaluation.json", '{"num_timesteps": 1e999}'),
    "evaluation nested": content("evaluation.json", "[" * 100_000),
    "episode huge": content("monitor.csv", "#\nr,l,t\n1," + "9" * 4000 + ",1\n"),
    "episode of a long field": content("monitor.csv", "#\nr,l,t\n" + "9" * 200_000 + ",1,1\n"),
    "episodes binary": content("monitor.csv", b"\x00\xff" * 1000),
    "episodes a pipe": in_place_of("monitor.csv", os.mkfifo),
    "episodes without end": in_place_of("monitor.csv", lambda path: path.symlink_to("/dev/zero")),
    "episodes a folder": in_place_of("monitor.csv", lambda path: path.mkdir()),
    "evaluations a pipe": in_place_of("evaluations.npz", os.mkfifo),
    "evaluations without end": in_place_of("evaluations.npz", lambda path: path.symlink_to("/dev/zero")),
    "evaluations encrypted": encrypted,
    "evaluations infinite": saved(timesteps=np.array([1.0, np.inf]), results=np.zeros((2, 1))),
    "evaluations text": saved(timesteps=np.array(["a", "b"]), results=np.zeros((2, 1))),
    "evaluations that lie": members(timesteps=(ONE % 10**11, b""), results=(ONE % 10**11, b"")),
    "evaluations a bomb": members(timesteps=(ONE % 10**7, bytes(8 * 10**7)), results=(ONE % 10**7, bytes(8 * 10**7))),
    "evaluations of a bad header": members(timesteps=("{'descr': '<i8', 'shape': ((((", b""), results=("", b"")),
    "evaluations a pickle": content("evaluations.npz", b"\x80\x04K\x01."),
    "audit odd": content("audit.json", '{"generators":[{"dynamics_median":1e999,"name":{"a":1}}]}'),
    "lock a pipe": in_place_of(".lock", os.mkfifo),
    "events of noise": content("events.out.tfevents.1.x", b"\xff" * 5000),
}
NAMES = (
    "a[/x]",
    "[bold red]x",
    "\x1b]0;OWNED\x07\x1b[2J",
    "a\nb",
    "\u202eabc",
    "<b>x</b>](javascript:x)",
    "-x",
    "=1+1",
)
