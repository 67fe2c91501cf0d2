"""`cluster/kuberay/`: every field is one of KubeRay's or Kubernetes', and the files say what they promise."""

import importlib.metadata
import shlex

import pytest
import yaml
from cluster.files import GPUS, GROUPS, at, read, renamed, replaced, started_with, without
from cluster.kuberay_rules import problems
from helpers import ROOT
from ray._private.label_utils import parse_node_labels_string

from urm_ray.config_file import load

CLUSTER, JOB, STORAGE = (f"kuberay/{name}.yaml" for name in ("raycluster", "rayjob", "storage"))
SPEC = {CLUSTER: "spec", JOB: "spec.rayClusterSpec"}
POD = "spec.workerGroupSpecs.1.template.spec"


@pytest.mark.parametrize("name", [CLUSTER, JOB, STORAGE])
def test_kuberay_and_kubernetes_take_it(name):
    assert problems(read(name)) == []


MISSPELLED = [
    (CLUSTER, "metadata.name"),
    (CLUSTER, "spec.enableInTreeAutoscaling"),
    (CLUSTER, "spec.authOptions.mode"),
    (CLUSTER, "spec.autoscalerOptions.idleTimeoutSeconds"),
    (CLUSTER, "spec.autoscalerOptions.securityContext.allowPrivilegeEscalation"),
    (CLUSTER, "spec.workerGroupSpecs.1.maxReplicas"),
    (CLUSTER, "spec.workerGroupSpecs.1.labels"),
    (CLUSTER, f"{POD}.securityContext.runAsNonRoot"),
    (CLUSTER, f"{POD}.nodeSelector"),
    (CLUSTER, f"{POD}.tolerations.0.effect"),
    (CLUSTER, f"{POD}.volumes.0.persistentVolumeClaim.claimName"),
    (CLUSTER, f"{POD}.containers.0.env.0.valueFrom.secretKeyRef.optional"),
    (CLUSTER, f"{POD}.containers.0.livenessProbe.httpGet.path"),
    (CLUSTER, f"{POD}.containers.0.readinessProbe.periodSeconds"),
    (CLUSTER, f"{POD}.containers.0.securityContext.capabilities.drop"),
    (JOB, "spec.shutdownAfterJobFinishes"),
    (JOB, "spec.runtimeEnvYAML"),
    (JOB, "spec.submitterConfig.backoffLimit"),
    (JOB, "spec.submitterPodTemplate.spec.restartPolicy"),
    (JOB, "spec.rayClusterSpec.rayVersion"),
    (STORAGE, "spec.accessModes"),
]
WRONG = [
    (CLUSTER, "spec.authOptions.mode", "tokens"),
    (CLUSTER, "spec.enableInTreeAutoscaling", "yes"),
    (CLUSTER, "spec.autoscalerOptions.version", 2),
    (CLUSTER, "spec.headGroupSpec.rayStartParams.num-cpus", 0),
    (CLUSTER, "spec.workerGroupSpecs.1.minReplicas", "0"),
    (CLUSTER, "spec.workerGroupSpecs.1.minReplicas", 99),
    (CLUSTER, "spec.workerGroupSpecs.1.template.spec.restartPolicy", "Always"),
    (CLUSTER, f"{POD}.containers.0.resources.limits.cpu", 7),
    (CLUSTER, f"{POD}.containers.0.ports.0.containerPort", "8080"),
    (CLUSTER, f"{POD}.securityContext.runAsUser", "ray"),
    (JOB, "spec.backoffLimit", "3"),
    (JOB, "spec.runtimeEnvYAML", {"working_dir": "."}),
    (JOB, "spec.shutdownAfterJobFinishes", False),
]
MISSING = [
    (CLUSTER, "metadata"),
    (CLUSTER, "spec.rayVersion"),
    (CLUSTER, "spec.headGroupSpec"),
    (CLUSTER, "spec.workerGroupSpecs.1.groupName"),
    (CLUSTER, "spec.workerGroupSpecs.1.template"),
    (CLUSTER, f"{POD}.containers"),
    (CLUSTER, f"{POD}.containers.0.name"),
    (CLUSTER, f"{POD}.containers.0.volumeMounts.0.mountPath"),
    (CLUSTER, f"{POD}.containers.0.readinessProbe.httpGet.port"),
    (JOB, "spec.entrypoint"),
    (JOB, "spec.rayClusterSpec.headGroupSpec.template"),
]


@pytest.mark.parametrize(("name", "path"), MISSPELLED)
def test_a_misspelled_key_is_found(name, path):
    key = path.rpartition(".")[2]
    assert problems(renamed(read(name), path, key[:-1] + key[-1] * 2))


def test_names_in_another_style_are_found():
    assert problems(renamed(read(CLUSTER), f"{POD}.nodeSelector", "node_selector"))


@pytest.mark.parametrize(("name", "path", "value"), WRONG)
def test_a_wrong_value_is_found(name, path, value):
    assert problems(replaced(read(name), path, value))


@pytest.mark.parametrize(("name", "path"), MISSING)
def test_a_missing_field_is_found(name, path):
    assert problems(without(read(name), path))


def test_a_job_runs_on_the_cluster_of_the_other_file():
    assert at(read(CLUSTER), SPEC[CLUSTER]) == at(read(JOB), SPEC[JOB])


def test_ray_start_takes_what_kuberay_makes_of_a_group():
    spec = read(CLUSTER)["spec"]
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        labels = ",".join(f"{key}={value}" for key, value in group["labels"].items())
        given = {**group["rayStartParams"], "labels": labels}
        taken = started_with([f"--{name}={value}" for name, value in given.items()])
        assert parse_node_labels_string(taken["labels"]) == group["labels"]
        assert taken["num_cpus"] == (0 if group is spec["headGroupSpec"] else None)


def test_the_versions_are_those_of_the_image():
    spec = read(CLUSTER)["spec"]
    assert spec["rayVersion"] == importlib.metadata.version("ray")
    assert f"ray=={spec['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_groups_start_from_nothing_with_what_their_pods_have():
    groups = {group["groupName"]: group for group in read(CLUSTER)["spec"]["workerGroupSpecs"]}
    assert groups.keys() == GROUPS
    for name, group in groups.items():
        assert (group["replicas"], group["minReplicas"]) == (0, 0)
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert ("nvidia.com/gpu" in limits) == (name in GPUS) == ("ray.io/accelerator-type" in group["labels"])


@pytest.mark.parametrize("name", [CLUSTER, JOB])
def test_every_node_sees_the_shared_folder_gets_the_secret_and_is_watched(name):
    spec = at(read(name), SPEC[name])
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        (claim,) = (volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"])
        assert claim == read(STORAGE)["metadata"]["name"]
        assert read(STORAGE)["spec"]["accessModes"] == ["ReadWriteMany"]
        (container,) = pod["containers"]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        assert [variable["name"] for variable in container["env"]] == ["HF_TOKEN"]
        assert all("secretKeyRef" in variable["valueFrom"] for variable in container["env"])
        assert container["livenessProbe"]["httpGet"] == container["readinessProbe"]["httpGet"]
        assert pod.get("automountServiceAccountToken", True) == (group is spec["headGroupSpec"])


def test_a_job_is_what_is_submitted_by_hand_and_a_retry_goes_on():
    spec = read(JOB)["spec"]
    ours, theirs = read("runtime_env.yaml"), yaml.safe_load(spec["runtimeEnvYAML"])
    assert theirs == {"working_dir": "/opt/urm_ray", "env_vars": ours["env_vars"]}
    assert "WORKDIR /opt/urm_ray" in (ROOT / "cluster/Dockerfile").read_text()
    python, script, _, path, _, assignment = shlex.split(spec["entrypoint"])
    assert (python, script) == ("python", "jobs/pipeline.py")
    assert load(str(ROOT / path), [assignment]).run.dir.startswith("/shared/")
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"]
    assert spec["ttlSecondsAfterFinished"] > 0
