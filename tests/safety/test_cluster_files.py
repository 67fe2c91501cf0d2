"""Every file that starts Ray or builds an image asks for Ray's token, runs as no root and holds no key."""

import re
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from safety.cluster_rules import problems

FILES = sorted(
    p for room in ("cluster", "jobs") for p in (ROOT / room).rglob("*") if p.is_file() and p.suffix != ".pyc"
)
DOCKERFILE = (ROOT / "cluster/Dockerfile").read_text()

LAUNCHER = """\
cluster_name: urm
provider: {type: aws, region: eu-central-1}
docker:
  image: urm_ray:1
  container_name: urm
  run_options: ["--env RAY_AUTH_MODE=token"]
head_start_ray_commands:
  - ray stop
  - ray start --head --port=6379 --dashboard-host=127.0.0.1
worker_start_ray_commands:
  - ray start --address=$RAY_HEAD_IP:6379
"""
MANIFEST = """\
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: urm}
spec:
  authOptions: {mode: token}
  headGroupSpec:
    rayStartParams:
      # The dashboard is reached through the service; the token keeps others out.
      dashboard-host: 0.0.0.0
    template:
      spec:
        securityContext: {runAsNonRoot: true}
        containers:
          - name: head
            image: urm_ray:1
            securityContext: {allowPrivilegeEscalation: false}
            env: [{name: HF_HUB_OFFLINE, value: "1"}]
"""
COMPOSE = """\
services:
  head:
    image: urm_ray:1
    user: "1000"
    command: ray start --head --block
    environment: {RAY_AUTH_MODE: token, RAY_AUTH_TOKEN: "${RAY_AUTH_TOKEN}"}
    ports: ["127.0.0.1:8265:8265"]
"""
SCRIPT = """\
#!/bin/bash
#SBATCH --nodes=2
export RAY_AUTH_MODE=token
srun ray start --head --block --dashboard-host 127.0.0.1 &
"""
GOOD = {
    "Dockerfile": DOCKERFILE,
    "aws.yaml": LAUNCHER,
    "kuberay.yaml": MANIFEST,
    "compose.yaml": COMPOSE,
    "slurm.sh": SCRIPT,
}


def test_there_is_something_to_look_at():
    files = {"Dockerfile", "Dockerfile.dockerignore", "runtime_env.yaml", "aws.yaml", "gcp.yaml", "start_node.sh"}
    assert files | {"raycluster.yaml", "rayjob.yaml", "storage.yaml"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_lets_anybody_in(path: Path):
    assert problems(path.name, path.read_text("utf-8")) == []


@pytest.mark.parametrize("name", GOOD)
def test_files_as_they_should_be_have_no_problems(name):
    assert problems(name, GOOD[name]) == []


WHY = "      # The dashboard is reached through the service; the token keeps others out.\n"
BAD = [
    ("Dockerfile", "USER 1000\n", "", "runs as root"),
    ("Dockerfile", "USER 1000\n", "USER root\n", "runs as root"),
    ("Dockerfile", "USER 1000\n", "USER 0:0\n", "runs as root"),
    ("Dockerfile", "USER 1000\n", "USER 1000\nUSER 0\n", "runs as root"),
    ("Dockerfile", "USER 1000\n", "USER $NAME\n", "runs as root"),
    ("Dockerfile", "USER 1000\n", "# USER 1000\n", "runs as root"),
    ("Dockerfile", "RAY_AUTH_MODE=token", "A=b", "does not set RAY_AUTH_MODE=token"),
    ("Dockerfile", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "sets RAY_AUTH_MODE to disabled"),
    ("Dockerfile", "python:3.11-slim-bookworm", "python", "version of python is left open"),
    ("Dockerfile", "python:3.11-slim-bookworm", "registry:5000/python", "is left open"),
    ("Dockerfile", "python:3.11-slim-bookworm", "python:latest", "is left open"),
    ("Dockerfile", "USER 1000\n", "ARG HF_TOKEN\nUSER 1000\n", "key would lie in its layers: ARG HF_TOKEN"),
    ("Dockerfile", "USER 1000\n", "ENV A=1 AWS_SECRET_ACCESS_KEY=$X\nUSER 1000\n", "key would lie in its layers"),
    ("Dockerfile", "COPY jobs ./jobs", "COPY . ./", "keys could come into its layers"),
    ("Dockerfile", "COPY jobs ./jobs", "COPY .aws /root/.aws", "keys could come into its layers"),
    ("Dockerfile", "COPY jobs ./jobs", "ADD https://x.org/a.sh /a.sh", "nobody checks"),
    ("Dockerfile", "USER 1000\n", "RUN curl https://x.org/a | sh\nUSER 1000\n", "runs what it fetches"),
    ("aws.yaml", "RAY_AUTH_MODE=token", "A=b", "head_start_ray_commands starts Ray without"),
    ("aws.yaml", "RAY_AUTH_MODE=token", "A=b", "worker_start_ray_commands starts Ray without"),
    ("aws.yaml", "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "the dashboard listens on 0.0.0.0"),
    ("aws.yaml", "--env RAY", "--user root --env RAY", "run as root"),
    ("aws.yaml", "region: eu", "key: AKIAIOSFODNN7EXAMPLE, region: eu", "holds a key"),
    ("kuberay.yaml", "{mode: token}", "{mode: disabled}", "no RAY_AUTH_MODE=token"),
    ("kuberay.yaml", "  authOptions: {mode: token}\n", "", "no RAY_AUTH_MODE=token"),
    ("kuberay.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"),
    ("kuberay.yaml", "securityContext: {runAsNonRoot: true}", "restartPolicy: Never", "may run as root"),
    ("kuberay.yaml", "{allowPrivilegeEscalation: false}", "{}", "may gain rights"),
    (
        "kuberay.yaml",
        "{allowPrivilegeEscalation: false}",
        "{allowPrivilegeEscalation: false, privileged: true}",
        "may gain",
    ),
    (
        "kuberay.yaml",
        WHY,
        "",
        "no comment",
    ),
    ("kuberay.yaml", '{name: HF_HUB_OFFLINE, value: "1"}', "{name: HF_TOKEN, value: abc}", "key in plain text"),
    ("compose.yaml", "RAY_AUTH_MODE: token, ", "", "does not set RAY_AUTH_MODE"),
    ("compose.yaml", 'user: "1000"', "user: root", "may run as root"),
    ("compose.yaml", '    user: "1000"\n', "", "may run as root"),
    ("compose.yaml", "127.0.0.1:8265:8265", "8265:8265", "to other machines"),
    ("compose.yaml", "127.0.0.1:8265:8265", "0.0.0.0:8265:8265", "to other machines"),
    ("compose.yaml", '"${RAY_AUTH_TOKEN}"', "abcdef", "key in plain text"),
    ("compose.yaml", "image: urm_ray:1", "privileged: true", "rights or the network of its host"),
    ("slurm.sh", "export RAY_AUTH_MODE=token\n", "", "starts Ray without RAY_AUTH_MODE=token"),
    ("slurm.sh", "export RAY_AUTH_MODE=token\n", "# export RAY_AUTH_MODE=token\n", "starts Ray without"),
    ("slurm.sh", "--dashboard-host 127.0.0.1", "--dashboard-host ::", "the dashboard listens on ::"),
    ("slurm.sh", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=token RAY_AUTH_TOKEN=abcdef123456", "holds a key"),
]


@pytest.mark.parametrize(("name", "good", "bad", "problem"), BAD, ids=range(len(BAD)))
def test_each_way_in_is_found(name, good, bad, problem):
    assert good in GOOD[name]
    found = problems(name, GOOD[name].replace(good, bad))
    assert any(problem in one for one in found), found


def test_the_image_is_made_of_what_is_there():
    """Nothing is copied into it but files of the repository, and the builder is sent no more than those."""
    ignored = (ROOT / "cluster/Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        name
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY")
        for name in line.split()[1:-1]
        if not name.startswith("--")
    }
    assert "*" in ignored
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert "--constraint constraints.txt" in DOCKERFILE


def test_the_image_has_what_launchers_and_gpus_need():
    """Commands run in login shells, workers are reached from the head's container, GPUs are let in by variables."""
    steps = re.sub(r"\\\n", " ", DOCKERFILE)
    installed = re.search(r"apt-get install (.*)", steps)[1]
    assert {"openssh-client", "rsync", "wget"} <= set(installed.split())
    assert "PATH=/opt/venv/bin:$PATH' > /etc/profile.d/" in steps
    assert "NVIDIA_VISIBLE_DEVICES=all" in steps
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in steps
    assert "'.[launcher]'" in steps


def test_jobs_that_are_submitted_leave_the_tokens_on_and_carry_no_key():
    found = yaml.safe_load((ROOT / "cluster/runtime_env.yaml").read_text())
    assert not [name for name in found.get("env_vars", {}) if "AUTH" in name or "TOKEN" in name.split("_")]
