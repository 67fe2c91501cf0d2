"""Makes `kuberay_fields.yaml` of KubeRay's own definition: names, types, and what is required, without descriptions.

    python tests/cluster/condense_crd.py VERSION ray.io_rayjobs.yaml > tests/cluster/kuberay_fields.yaml

The definition is `helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml` of the tag v1.7.0 of ray-project/kuberay; it
holds that of a RayCluster, too. Objects of Kubernetes, which it repeats in full, are named by their model in
`kubernetes.client`.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

MODELS = {
    "template": "V1PodTemplateSpec",
    "submitterPodTemplate": "V1PodTemplateSpec",
    "headService": "V1Service",
    "resources": "V1ResourceRequirements",
    "securityContext": "V1SecurityContext",
    "env": "V1EnvVar",
    "envFrom": "V1EnvFromSource",
    "volumeMounts": "V1VolumeMount",
    "valueFrom": "V1EnvVarSource",
    "tls": "V1IngressTLS",
    "egressRules": "V1NetworkPolicyEgressRule",
    "ingressRules": "V1NetworkPolicyIngressRule",
}


def condensed(schema: dict[str, Any], name: str = "") -> dict[str, Any]:
    """A part of the definition as JSON schema that refuses unknown fields; `model` names an object of Kubernetes."""
    if name in MODELS and "properties" in schema:
        return {"model": MODELS[name]}
    if name == "rayClusterSpec":
        return {"$ref": "#/RayCluster"}
    kept = {key: schema[key] for key in ("type", "enum", "minimum") if key in schema}
    if "properties" in schema:
        kept["properties"] = {key: condensed(inner, key) for key, inner in schema["properties"].items()}
        kept["additionalProperties"] = False
        if "required" in schema:
            kept["required"] = schema["required"]
    elif isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = condensed(schema["additionalProperties"])
    if "items" in schema:
        kept["items"] = condensed(schema["items"], name)
    return kept


def main(version: str, path: str) -> None:
    definition = yaml.load(Path(path).read_text("utf-8"), Loader=yaml.CSafeLoader)
    served = next(known for known in definition["spec"]["versions"] if known["name"] == "v1")
    job = served["schema"]["openAPIV3Schema"]["properties"]["spec"]
    trees = {
        "version": version,
        "RayCluster": condensed(job["properties"]["rayClusterSpec"]),
        "RayJob": condensed(job),
    }
    print(f"# Fields of ray.io/v1, made by condense_crd.py of KubeRay {version}.")
    print(yaml.safe_dump(trees, sort_keys=False, width=120), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
