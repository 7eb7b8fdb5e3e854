"""Holds a real server to its OpenAPI description with schemathesis, and tries the examples on it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import examples
from server import Server

HERE = Path(__file__).resolve().parent
SCHEMATHESIS_WITHIN_S = 300


def schemathesis(url, folder):
    """Every check on every operation; SEED repeats a run with other data."""
    seed = os.environ.get("SEED", "1")
    print(f"schemathesis, seed {seed} (SEED=... for another)", flush=True)
    program = Path(sys.executable).with_name("schemathesis")
    command = [program, "--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json", "--seed", seed]
    ran = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SCHEMATHESIS_WITHIN_S)
    if ran.returncode:
        sys.exit(ran.stdout)
    print("\n".join(line for line in ran.stdout.splitlines() if "Tested:" in line or " generated, " in line))


def main():
    for part in (examples.check, lambda server, folder: schemathesis(server.url, folder)):
        with tempfile.TemporaryDirectory() as folder, Server(sys.argv[1], folder) as server:
            server.fill()
            part(server, Path(folder))


if __name__ == "__main__":
    main()
