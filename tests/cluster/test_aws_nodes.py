"""`cluster/aws.yaml` through Ray's own launcher, with an EC2 that is pretended: the machines that would be rented."""

from typing import Any

import boto3
import pytest
from cluster.files import GROUPS, read
from moto import mock_aws
from ray.autoscaler._private.util import prepare_config


@pytest.fixture(scope="module")
def rented(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One machine of each kind, as EC2 describes it, by the name of the kind; and the rules of who may reach them."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # where Ray puts the key for ssh
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "pretended")
        from ray.autoscaler._private.aws.config import bootstrap_aws
        from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

        config = prepare_config(read("aws.yaml"))
        place = {"region_name": config["provider"]["region"]}
        for name in ("urm-ray-head", "urm-ray-worker"):
            boto3.client("iam", **place).create_instance_profile(InstanceProfileName=name)
        config = bootstrap_aws(config)
        provider, ec2 = AWSNodeProvider(config["provider"], config["cluster_name"]), boto3.client("ec2", **place)
        machines = {}
        for kind, node in config["available_node_types"].items():
            (number,) = provider.create_node(node["node_config"], {"ray-node-type": "worker", "ray-node-name": kind}, 1)
            (machine,) = ec2.describe_instances(InstanceIds=[number])["Reservations"][0]["Instances"]
            machines[kind] = machine
        groups = {group["GroupId"] for machine in machines.values() for group in machine["SecurityGroups"]}
        (group,) = ec2.describe_security_groups(GroupIds=list(groups))["SecurityGroups"]
        return machines, group["IpPermissions"]


def test_machines_are_those_that_resources_are_told_of(rented):
    kinds = {kind: machine["InstanceType"] for kind, machine in rented[0].items()}
    assert kinds.keys() == GROUPS | {"head"}
    assert len(set(kinds.values())) == len(kinds)
    spot = {kind for kind, machine in rented[0].items() if machine.get("InstanceLifecycle") == "spot"}
    assert spot == {"cpu", "sampler", "judge"}


def test_workers_may_not_do_what_the_head_may(rented):
    profiles = {kind: machine["IamInstanceProfile"]["Arn"].rpartition("/")[2] for kind, machine in rented[0].items()}
    assert profiles == {"head": "urm-ray-head", **dict.fromkeys(GROUPS, "urm-ray-worker")}
    assert {machine["MetadataOptions"]["HttpTokens"] for machine in rented[0].values()} == {"required"}


def test_nothing_but_ssh_is_open_to_others(rented):
    from_outside = [rule for rule in rented[1] if rule["IpRanges"] or rule.get("Ipv6Ranges")]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in from_outside] == [(22, 22)]
