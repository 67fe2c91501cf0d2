"""`cluster/aws.yaml` and `cluster/gcp.yaml`: taken by Ray and the clouds, starting from nothing, closed to others."""

import re
import shlex

import pytest
from cluster.files import CLUSTER, GPUS, GROUPS, LAUNCHERS, at, read, renamed, replaced, started_with, without
from cluster.launcher_rules import prepared, problems

NODE = "available_node_types.judge"
SPOT = {"aws": f"{NODE}.node_config.InstanceMarketOptions", "gcp": f"{NODE}.node_config.scheduling"}


@pytest.mark.parametrize("cloud", LAUNCHERS)
def test_ray_and_the_cloud_take_it(cloud):
    assert problems(read(f"{cloud}.yaml")) == []


MISSPELLED = {
    "aws": [
        "max_workers",
        "provider.region",
        "docker.run_options",
        f"{NODE}.resources",
        f"{NODE}.labels",
        f"{NODE}.docker.worker_run_options",
        f"{NODE}.node_config.InstanceType",
        f"{NODE}.node_config.IamInstanceProfile.Name",
        f"{NODE}.node_config.BlockDeviceMappings.0.Ebs.VolumeSize",
        f"{NODE}.node_config.InstanceMarketOptions.MarketType",
    ],
    "gcp": [
        "idle_timeout_minutes",
        "provider.project_id",
        f"{NODE}.min_workers",
        f"{NODE}.node_config.machineType",
        f"{NODE}.node_config.disks.0.initializeParams.sourceImage",
        f"{NODE}.node_config.serviceAccounts.0.scopes",
        f"{NODE}.node_config.scheduling.provisioningModel",
    ],
}
WRONG = {
    "aws": {
        "max_workers": "thirty",
        "file_mounts": ["~/.ray/auth_token"],
        f"{NODE}.max_workers": 1.5,
        f"{NODE}.resources.GPU": "1",
        f"{NODE}.labels": ["L4"],
        f"{NODE}.node_config.BlockDeviceMappings.0.Ebs.VolumeSize": "much",
        f"{NODE}.node_config.MetadataOptions": "required",
        "worker_start_ray_commands": "ray start",
        "head_node_type": "master",
    },
    "gcp": {
        "idle_timeout_minutes": "five",
        "available_node_types.trainer.idle_timeout_s": "long",
        f"{NODE}.node_config.disks.0.boot": "yes",
        f"{NODE}.node_config.scheduling": [{"preemptible": True}],
        f"{NODE}.node_config.scheduling.provisioningModel": "CHEAP",
        f"{NODE}.node_config.serviceAccounts.0.scopes": "all",
    },
}
MISSING = {
    "aws": [
        "cluster_name",
        "head_node_type",
        "provider",
        "provider.type",
        "docker.image",
        f"{NODE}.resources",
        f"{NODE}.node_config",
        f"{NODE}.node_config.InstanceType",
        f"{NODE}.node_config.ImageId",
    ],
    "gcp": ["cluster_name", "docker.container_name", f"{NODE}.node_config.machineType", f"{NODE}.node_config.disks"],
}


@pytest.mark.parametrize(("cloud", "path"), [(cloud, path) for cloud in LAUNCHERS for path in MISSPELLED[cloud]])
def test_a_misspelled_key_is_found(cloud, path):
    name = path.rpartition(".")[2]
    assert problems(renamed(read(f"{cloud}.yaml"), path, name[:-1] + name[-1] * 2))


@pytest.mark.parametrize(("cloud", "path"), [(cloud, path) for cloud in LAUNCHERS for path in WRONG[cloud]])
def test_a_wrong_type_is_found(cloud, path):
    config = read(f"{cloud}.yaml")
    assert at(config, path) != WRONG[cloud][path]
    assert problems(replaced(config, path, WRONG[cloud][path]))


@pytest.mark.parametrize(("cloud", "path"), [(cloud, path) for cloud in LAUNCHERS for path in MISSING[cloud]])
def test_a_missing_field_is_found(cloud, path):
    assert problems(without(read(f"{cloud}.yaml"), path))


@pytest.mark.parametrize("cloud", LAUNCHERS)
def test_it_starts_from_nothing_and_goes_back_to_it(cloud):
    config = prepared(read(f"{cloud}.yaml"))
    nodes = config.get_node_type_configs()
    assert nodes.keys() == GROUPS | {"head"}
    assert nodes["head"].resources == {"CPU": 0}
    assert {nodes[group].min_worker_nodes for group in GROUPS} == {0}
    assert all(nodes[group].max_worker_nodes > 0 for group in GROUPS)
    assert sum(nodes[group].max_worker_nodes for group in GROUPS) == config.get_max_num_worker_nodes()
    assert 0 < config.get_idle_timeout_s() <= 600
    assert {group for group in GROUPS if "GPU" in nodes[group].resources} == GPUS
    assert len({nodes[group].labels["ray.io/accelerator-type"] for group in GPUS}) == len(GPUS)


@pytest.mark.parametrize("cloud", LAUNCHERS)
def test_what_is_called_spot_is_spot(cloud):
    spot = {"aws": {"MarketType": "spot"}, "gcp": {"provisioningModel": "SPOT"}}[cloud].items()
    key = SPOT[cloud].rpartition(".")[2]
    for name, node in read(f"{cloud}.yaml")["available_node_types"].items():
        asked = node["node_config"].get(key, {}).items() >= spot
        assert asked == (node["labels"]["ray.io/market-type"] == "spot") == (name in {"cpu", "sampler", "judge"})


@pytest.mark.parametrize("cloud", LAUNCHERS)
def test_nodes_run_what_the_image_holds_and_nothing_of_the_defaults(cloud):
    """Ray fills in what is left out, such as an installation of a nightly build."""
    config = prepared(read(f"{cloud}.yaml"))
    commands = [*config.get_head_setup_commands(), *config.get_initialization_commands("judge")]
    commands += [command for group in GROUPS for command in config.get_worker_setup_commands(group)]
    assert not re.search(r"pip|conda|apt|curl", " ".join(commands))
    for group in GPUS:
        docker = config.get_docker_config(group)
        assert docker["image"] == "IMAGE"
        assert "--gpus all" in docker["worker_run_options"]
        assert "--env RAY_AUTH_MODE=token" in docker["run_options"]


@pytest.mark.parametrize("cloud", LAUNCHERS)
def test_ray_start_takes_the_commands(cloud):
    config = read(f"{cloud}.yaml")
    for role in ("head", "worker"):
        before, command = config[f"{role}_start_ray_commands"]
        assert before == "ray stop"
        taken = started_with(shlex.split(command.partition("ray start")[2]))
        assert (taken["head"], taken["dashboard_host"]) == (role == "head", "127.0.0.1")
        assert taken["address"] == {"head": None, "worker": "$RAY_HEAD_IP:6379"}[role]
        assert taken["autoscaling_config"] == {"head": "~/ray_bootstrap_config.yaml", "worker": None}[role]


@pytest.mark.parametrize("cloud", LAUNCHERS)
def test_workers_have_an_identity_of_their_own_and_every_node_the_token(cloud):
    config = read(f"{cloud}.yaml")
    assert config["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
    who = {"aws": "IamInstanceProfile", "gcp": "serviceAccounts"}[cloud]
    nodes = {name: node["node_config"].get(who) for name, node in config["available_node_types"].items()}
    assert len({str(nodes[group]) for group in GROUPS}) == 1
    assert "urm-ray-worker" in str(nodes["cpu"])
    assert nodes["head"] != nodes["cpu"]


@pytest.mark.parametrize("cloud", LAUNCHERS)
def test_what_has_to_be_filled_in_stands_in_capitals_at_the_top(cloud):
    lines = (CLUSTER / f"{cloud}.yaml").read_text().splitlines()
    head = "\n".join(line for line in lines if line.startswith("#"))
    body = "\n".join(line.partition("#")[0] for line in lines)
    wanted = set(re.findall(r"(?<![\w$.])(IMAGE|PROJECT|BUCKET)(?!\w)", body))
    assert wanted == {"aws": {"IMAGE"}, "gcp": {"IMAGE", "PROJECT"}}[cloud]
    assert "CAPITALS" in head
    assert "IMAGE" in head
