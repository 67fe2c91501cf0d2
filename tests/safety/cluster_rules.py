"""What a file that starts Ray or builds an image has to say, so that nobody gets in who has no token.

`problems(name, text)` names what is wrong with Dockerfiles, configurations of Ray's cluster launcher, manifests of
Kubernetes, compose files and shell scripts; of other files, that they hold a key or turn the tokens off.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from urm_ray.secrets import masked

_START = re.compile(r"\bray\s+start\b")
_ON = re.compile(r"RAY_AUTH_MODE=[\"']?token\b")
_OTHER = re.compile(r"RAY_AUTH_MODE[\"']?\s*[:=]\s*[\"']?(?!token\b|\")([\w$]+)")
_WIDE = re.compile(r"dashboard[-_]host[\"']?(?:=|:\s+|\s+)[\"']?(?!127\.0\.0\.1|localhost|::1)([^\s\"']+)")
_SECRET = re.compile(r"(?i)(?:^|_)(?:token|secret|password|passwd|credentials?|access_key|api_key)(?:$|_)(?!path|file)")
_KEY_FILES = re.compile(r"\.env\b|\.ssh\b|\.aws\b|\.netrc|auth_token|id_rsa|\.kube\b|\.git-credentials|\.huggingface")
_ROOT = re.compile(r"(root|0)(:|$)")


def problems(name: str, text: str) -> list[str]:
    """What is wrong with a file, a sentence each; none where it is as it should be."""
    found = list(_everywhere(text))
    if "Dockerfile" in name.rpartition("/")[2] and not name.endswith("ignore"):
        found += _dockerfile(text)
    elif name.endswith((".yaml", ".yml")):
        for document in yaml.safe_load_all(text):
            found += _document(document, text)
    elif _START.search(text):
        found += _script(text)
    return found


def _everywhere(text: str) -> Iterator[str]:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        code = line.partition("#")[0]
        if masked(code) != code and "$" not in code:
            yield "it holds a key"
        if other := _OTHER.search(code):
            yield f"it sets RAY_AUTH_MODE to {other[1]}"
        around = " ".join(part.partition("#")[2] for part in lines[max(0, number - 1) : number + 1])
        if (wide := _WIDE.search(code)) and "dashboard" not in around.lower():
            yield f"the dashboard listens on {wide[1]}, and no comment beside it says why"


def _dockerfile(text: str) -> Iterator[str]:
    joined = re.sub(r"\\\n(\s*#.*\n)*", " ", text)
    lines = [line.split(None, 1) for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    steps = [(word.upper(), rest) for word, rest in (line for line in lines if len(line) == 2)]
    users = [rest.strip() for word, rest in steps if word == "USER"]
    if not users or _ROOT.match(users[-1]) or "$" in users[-1]:
        yield "it runs as root: its last USER has to be another"
    if not any(_ON.search(rest) for word, rest in steps if word == "ENV"):
        yield "it does not set RAY_AUTH_MODE=token"
    for word, rest in steps:
        if word == "FROM" and not re.search(r"[:@][\w.-]", rest.split()[0].rpartition("/")[2] + " "):
            yield f"the version of {rest.split()[0]} is left open"
        if word == "FROM" and rest.split()[0].endswith(":latest"):
            yield f"the version of {rest.split()[0]} is left open"
        if word in ("ENV", "ARG") and any(_SECRET.search(part.partition("=")[0]) for part in rest.split()):
            yield f"a key would lie in its layers: {word} {rest.split('=')[0]}"
        if word in ("COPY", "ADD") and (_KEY_FILES.search(rest) or re.search(r"(^|\s)\.(/)?\s", rest)):
            yield f"keys could come into its layers: {word} {rest}"
        if word == "ADD" and "://" in rest:
            yield "it fetches a file that nobody checks"
        if word == "RUN" and re.search(r"(curl|wget)[^|&;]*\|\s*(ba)?sh|chmod\s+(-R\s+)?[0-7]*777", rest):
            yield "it runs what it fetches, or lets everyone write"


def _document(document: Any, text: str) -> Iterator[str]:
    if not isinstance(document, dict):
        return
    if "services" in document:
        for name, service in document["services"].items():
            yield from _service(name, service)
    elif "apiVersion" in document and "kind" in document:
        yield from _manifest(document)
    elif "cluster_name" in document or _START.search(text):
        yield from _launcher(document)


def _launcher(document: dict[str, Any]) -> Iterator[str]:
    docker = document.get("docker") or {}
    options = [str(o) for name in docker if name.endswith("run_options") for o in docker[name] or []]
    if docker and any(re.search(r"--privileged|(--user|-u)[= ](root|0)\b", option) for option in options):
        yield "its containers run as root or with all rights"
    everywhere = any(_ON.search(option) for option in options)
    for key, commands in document.items():
        if isinstance(commands, list) and key.endswith("_commands"):
            for command in map(str, commands):
                if _START.search(command) and not (everywhere or _ON.search(command.partition("ray start")[0])):
                    yield f"{key} starts Ray without RAY_AUTH_MODE=token"


def _manifest(document: dict[str, Any]) -> Iterator[str]:
    cluster = document["kind"] in ("RayCluster", "RayJob", "RayService", "RayCronJob")
    on = any(
        isinstance(found, dict) and found.get("mode") == "token"
        for key, found in _walk(document)
        if key == "authOptions"
    )
    pods = [pod for _, pod in _walk(document) if isinstance(pod, dict) and isinstance(pod.get("containers"), list)]
    if cluster and not pods:
        yield "it has no pods"
    for pod in pods:
        pod_wide = pod.get("securityContext") or {}
        if pod.get("hostNetwork") or pod.get("hostPID"):
            yield "a pod shares the network or the processes of its host"
        for container in pod["containers"]:
            own = container.get("securityContext") or {}
            known = f"container {container.get('name')}"
            if not own.get("runAsNonRoot", pod_wide.get("runAsNonRoot")) or 0 in (own.get("runAsUser"),):
                yield f"{known} may run as root: set runAsNonRoot"
            if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
                yield f"{known} may gain rights: set allowPrivilegeEscalation to false"
            variables = {v.get("name"): v.get("value") for v in container.get("env") or []}
            if cluster and not on and variables.get("RAY_AUTH_MODE") != "token":
                yield f"{known} has no RAY_AUTH_MODE=token, and the cluster no authOptions"
            if any(value and _SECRET.search(str(name)) for name, value in variables.items()):
                yield f"{known} has a key in plain text: take it from a secret"


def _service(name: str, service: dict[str, Any]) -> Iterator[str]:
    given = service.get("environment") or {}
    variables = dict(str(v).partition("=")[::2] for v in given) if isinstance(given, list) else given
    if variables.get("RAY_AUTH_MODE") != "token":
        yield f"service {name} does not set RAY_AUTH_MODE to token"
    if any(v and "$" not in str(v) and _SECRET.search(str(k)) for k, v in variables.items()):
        yield f"service {name} has a key in plain text"
    if not service.get("user") or _ROOT.match(str(service["user"])):
        yield f"service {name} may run as root: set user"
    if service.get("privileged") or service.get("network_mode") == "host":
        yield f"service {name} has the rights or the network of its host"
    for port in service.get("ports") or []:
        host = port.get("host_ip", "") if isinstance(port, dict) else str(port).rpartition(":")[0].rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost", "[::1]"):
            yield f"service {name} opens {port} to other machines: begin it with 127.0.0.1:"


def _script(text: str) -> Iterator[str]:
    code = "\n".join(line.partition("#")[0] for line in text.splitlines())
    first = _START.search(code)
    if first and not _ON.search(code[: first.start()]):
        yield "it starts Ray without RAY_AUTH_MODE=token"


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """All values that are inside one, with their keys."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield str(key), inner
        yield from _walk(inner)
