"""What KubeRay and Kubernetes say of a manifest, without a cluster.

Fields of `ray.io/v1` are those of `kuberay_fields.yaml`; objects of Kubernetes are held against the models of its
Python client, field by field. `operator_problems` are rules that the operator checks beside them.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes.client
import pydantic
import yaml
from ray._private.label_utils import validate_node_label_syntax

_FIELDS = Path(__file__).with_name("kuberay_fields.yaml")
_ENVELOPE = {"apiVersion", "kind", "metadata", "spec"}


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with a manifest, a sentence each; none where it would be taken."""
    if document.get("apiVersion") != "ray.io/v1":
        return list(_of_kubernetes(f"V1{document['kind']}", document))
    found = [f"unknown {name}" for name in document.keys() - _ENVELOPE]
    found += [f"no {name}" for name in _ENVELOPE - document.keys()]
    if found:
        return found
    found += _of_kubernetes("V1ObjectMeta", document["metadata"])
    found += [f"{e.json_path}: {e.message}" for e in _validator(document["kind"]).iter_errors(document["spec"])]
    return found or list(operator_problems(document))


def operator_problems(document: dict[str, Any]) -> Iterator[str]:
    spec = document["spec"]
    if document["kind"] == "RayJob":
        if not spec.get("entrypoint"):
            yield "no entrypoint"
        if spec.get("ttlSecondsAfterFinished", 0) and not spec.get("shutdownAfterJobFinishes"):
            yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
        if "clusterSelector" in spec and spec.get("backoffLimit"):
            yield "backoffLimit needs a cluster of the job's own"
        spec = spec.get("rayClusterSpec") or {}
    if spec.get("authOptions") and not spec.get("rayVersion"):
        yield "authOptions needs rayVersion"
    for group in [spec.get("headGroupSpec"), *spec.get("workerGroupSpecs", [])]:
        if not group:
            continue
        start, pod = group["rayStartParams"], group["template"]["spec"]
        if "labels" in start:
            yield "labels belong beside rayStartParams"
        validate_node_label_syntax(group.get("labels", {}))
        if group.get("minReplicas", 0) > group.get("maxReplicas", 0):
            yield "minReplicas above maxReplicas"
        if spec.get("enableInTreeAutoscaling") and pod.get("restartPolicy", "Never") != "Never":
            yield "with the autoscaler pods restart never"


@cache
def _validator(kind: str) -> Any:
    def model(validator: Any, name: str, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
        yield from (jsonschema.ValidationError(problem) for problem in _of_kubernetes(name, value))

    strict = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"model": model})
    return strict(yaml.safe_load(_FIELDS.read_text("utf-8")) | {"$ref": f"#/{kind}"})


def _of_kubernetes(model: str, value: Any) -> Iterator[str]:
    try:
        taken = getattr(kubernetes.client, model).model_validate(value)
    except pydantic.ValidationError as error:
        yield from (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    else:  # Python's names of fields are taken too, by the models alone
        if taken.model_dump(by_alias=True, exclude_unset=True) != value:
            yield f"{model}: a field has not the name that Kubernetes gives it"
